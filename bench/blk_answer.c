/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a miss waits for a front-end that knows a million mappings: from the call of
 * recvmsg that brings the miss to the call of sendmsg that carries the update. What
 * the kernel then does to wake the back-end is nobody's here. The program is linked
 * so that both calls come to this file first.
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
#include "pairs.h"
#include "results.h"

#define PAGE     4096u
#define MAPPINGS UINT64_C(1000000)
#define BATCH    4000u
#define ASKED    50000u
#define IOVA     UINT64_C(0x200000000)
#define MOST_US  2.0
#define US       1e-3

/* Of the thread that is measured. */
static _Thread_local struct {
	bool on;
	uint64_t asked; /* when the call was made that brought a miss; 0: none did */
	uint64_t ns;    /* from then on until it was answered */
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

	if (now && begins_with(msg, n, VHU_BE_IOTLB_MSG))
		watch.asked = now;
	return n;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (watch.asked && begins_with(msg, SSIZE_MAX, VHU_FE_IOTLB_MSG)) {
		watch.ns = pairs_now() - watch.asked;
		watch.asked = 0;
	}
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

/* Requests of a page each, none of which the back-end has met before. */
static void ask(struct echo *echo, double *ret_us)
{
	watch.on = true;
	for (uint64_t i = 0; i < ASKED; i++) {
		uint64_t page = i * UINT64_C(0x9e3779b1) % MAPPINGS;
		const struct vhu_buffer buffer = { IOVA + page * PAGE, 512, false };

		watch.ns = 0;
		echo_request(echo, &buffer, 1);
		ret_us[i] = (double)watch.ns * US;
	}
	watch.on = false;
}

int bench_blk_answer(void)
{
	static double us[ASKED];
	struct echo *echo = echo_new(&(struct echo_config){ .server_processor = 1 });
	struct spread spread;

	map_all(echo);
	ask(echo, us);
	spread = spread_of(us, ASKED);
	echo_free(echo);
	return result_add(&(struct result){
		.bench = BLK_BENCH,
		.name = "a million mappings: from miss to update",
		.value = spread.median,
		.unit = "us",
		.spread = &spread,
		.bar = { BAR_MOST, MOST_US },
	});
}
