/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a miss waits for a front-end that knows a million mappings: from when it has
 * arrived, as recvmsg returns with it, to the call of sendmsg that carries the update.
 * What the kernel takes to hand it over, and to wake the back-end, is its own. The
 * program is linked so that both calls come to this file first.
 *
 * Threads: the section's own is the front-end's; the back-end has another.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/protocol.h"

#include "blk_peer.h"
#include "blk_sections.h"
#include "echo.h"
#include "figures.h"
#include "results.h"

#define PAGE     4096u
#define MAPPINGS UINT64_C(1000000)
#define BATCH    4000u
#define ASKED    50000u
#define IOVA     UINT64_C(0x200000000)
#define MOST_US  2.0
#define US       1e-3

/* Of the thread that is measured; all in ns. */
static _Thread_local struct {
	bool on;
	uint64_t asked;   /* the call that brought a miss was made; 0: there was none */
	uint64_t arrived; /* it returned */
	uint64_t answered;
} watch;

/* The linker's names for functions that are called, and the ones that are meant. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);

static bool begins_with(const struct msghdr *msg, ssize_t n, uint32_t request)
{
	struct vhu_header header;

	if (n < (ssize_t)sizeof(header) || msg->msg_iov[0].iov_len < sizeof(header))
		return false;
	memcpy(&header, msg->msg_iov[0].iov_base, sizeof(header));
	return header.request == request && !(header.flags & VHU_FLAG_REPLY);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	uint64_t now = watch.on ? pairs_now() : 0;
	ssize_t n = __real_recvmsg(fd, msg, flags);

	if (now && begins_with(msg, n, VHU_BE_IOTLB_MSG)) {
		watch.asked = now;
		watch.arrived = pairs_now();
		watch.answered = 0;
	}
	return n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (watch.on && !watch.answered && begins_with(msg, SSIZE_MAX, VHU_FE_IOTLB_MSG))
		watch.answered = pairs_now();
	return __real_sendmsg(fd, msg, flags);
}

/* Neighbours are none in memory, so that nothing is merged. */
static struct vhu_mapping mapping(const struct echo *echo, uint64_t i)
{
	return (struct vhu_mapping){ IOVA + i * PAGE, PAGE,
		                     echo->uva + i * 2 % (ECHO_MEMORY / PAGE) * PAGE, VHU_PERM_RW };
}

static void map_all(const struct echo *echo)
{
	static struct vhu_mapping mappings[BATCH];

	for (uint64_t i = 0; i < MAPPINGS; i += BATCH) {
		for (unsigned j = 0; j < BATCH; j++)
			mappings[j] = mapping(echo, i + j);
		if (vhu_iommu_map_batch(echo->iommu, mappings, BATCH, NULL))
			abort();
	}
}

/* In us: the front-end's part, and with what the kernel takes to hand a miss over. */
struct answers {
	double own[ASKED], all[ASKED];
};

/* Requests of a page each, none of which the back-end has met before. */
static void ask(struct echo *echo, uint64_t first, struct answers *ret)
{
	watch.on = true;
	for (uint64_t i = 0; i < ASKED; i++) {
		uint64_t page = (first + i) * UINT64_C(0x9e3779b1) % MAPPINGS;
		const struct vhu_buffer buffer = { IOVA + page * PAGE, 512, false };

		echo_request(echo, &buffer, 1);
		ret->own[i] = (double)(watch.answered - watch.arrived) * US;
		ret->all[i] = (double)(watch.answered - watch.asked) * US;
	}
	watch.on = false;
}

static int report(const char *name, const struct spread *spread, struct bar bar,
                  unsigned repetitions)
{
	return result_add(&(struct result){
		.bench = BLK_BENCH,
		.name = name,
		.value = spread->median,
		.unit = "us",
		.spread = spread,
		.bar = bar,
		.repetitions = repetitions,
	});
}

int bench_blk_answer(void)
{
	static struct answers answers;
	const struct bar bar = { BAR_MOST, MOST_US };
	struct echo *echo = echo_new(&(struct echo_config){ .server_processor = 1 });
	struct spread own, all;
	unsigned n;
	int err;

	map_all(echo);
	for (n = 0;; n++) {
		ask(echo, n * ASKED, &answers);
		own = spread_of(answers.own, ASKED);
		all = spread_of(answers.all, ASKED);
		if (n == REPETITIONS_MAX || bar_judge(bar, &own) != VERDICT_NOISY)
			break;
	}
	echo_free(echo);
	err = report("a million mappings: from miss to update", &own, bar, n);
	return err | report("a million mappings: and with recvmsg", &all, (struct bar){ 0 }, 0);
}
