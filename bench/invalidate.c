/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an INVALIDATE to its acknowledgement, against a ping-pong: two threads
 * that receive and send as many bytes, blocking, on the same processors. The
 * front-end's end is as bare in both; the back-end is the library's, with a
 * queue that has worked and now rests. The page was in the map: it is given by an
 * UPDATE before, which does not count.
 *
 * Threads: the section's own is the front-end's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo.h"
#include "figures.h"
#include "results.h"
#include "sections.h"
#include "wire/protocol.h"

#define PAGE 4096u
#define IOVA UINT64_C(0x10000000)

/* As they are on the wire. */
struct question {
	struct vhu_header header;
	struct vhu_iotlb iotlb;
} __attribute__((packed));

struct answer {
	struct vhu_header header;
	uint64_t value;
} __attribute__((packed));

static void must(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "iotlb: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* All of it at once, or nothing: the other end has closed. */
static bool receive(int fd, void *buf, size_t size)
{
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &msg, MSG_WAITALL);

	return n == (ssize_t)size;
}

static void send_all(int fd, void *buf, size_t size)
{
	struct iovec iov = { buf, size };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	must(sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)size, "send");
}

/* To the acknowledgement, in ns. */
static uint64_t ask(int fd, struct question *question)
{
	struct answer answer;
	uint64_t start = pairs_now();

	send_all(fd, question, sizeof(*question));
	must(receive(fd, &answer, sizeof(answer)), "no acknowledgement");
	must(answer.value == 0, "an IOTLB message is refused");
	return pairs_now() - start;
}

static struct question question_of(const struct echo *echo, uint8_t type)
{
	return (struct question){
		.header = { VHU_FE_IOTLB_MSG, VHU_FLAG_VERSION | VHU_FLAG_NEED_REPLY,
			    sizeof(struct vhu_iotlb) },
		.iotlb = {
			.iova = IOVA,
			.size = PAGE,
			.uaddr = echo->uva,
			.perm = VHU_PERM_RW,
			.type = type,
		},
	};
}

/* In the front-end's thread, which serves nothing else meanwhile. */
static uint64_t run_invalidate(void *opaque, uint64_t n)
{
	struct echo *echo = opaque;
	struct question update = question_of(echo, VHU_IOTLB_UPDATE);
	struct question invalidate = question_of(echo, VHU_IOTLB_INVALIDATE);
	uint64_t ns = 0;

	while (n--) {
		ask(echo->main, &update);
		ns += ask(echo->main, &invalidate);
	}
	return ns;
}

struct pong {
	pthread_t thread;
	unsigned processor;
	int ends[2];
};

static void *run_pong(void *opaque)
{
	struct pong *pong = opaque;
	unsigned char buf[sizeof(struct question)];

	pairs_pin(pong->processor);
	while (receive(pong->ends[1], buf, sizeof(buf)))
		send_all(pong->ends[1], buf, sizeof(struct answer));
	return NULL;
}

static uint64_t run_ping(void *opaque, uint64_t n)
{
	struct pong *pong = opaque;
	unsigned char buf[sizeof(struct question)] = { 0 };

	for (uint64_t i = 0; i < n; i++) {
		send_all(pong->ends[0], buf, sizeof(buf));
		must(receive(pong->ends[0], buf, sizeof(struct answer)), "no answer");
	}
	return n;
}

static void pong_init(struct pong *pong, unsigned processor)
{
	pong->processor = processor;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pong->ends) == 0, "socketpair");
	must(pthread_create(&pong->thread, NULL, run_pong, pong) == 0, "thread");
}

static void pong_done(struct pong *pong)
{
	close(pong->ends[0]);
	pthread_join(pong->thread, NULL);
	close(pong->ends[1]);
}

/* The library's own calls on the socket never wait, whatever is set. */
static void make_blocking(int fd)
{
	must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0, "fcntl");
}

static int measure(const char *name, const struct echo_config *config, struct bar bar)
{
	struct echo *echo = echo_new(config);
	struct pong pong;
	const struct contender contenders[] = {
		{ "invalidate", run_invalidate, echo, true },
		{ "ping-pong", run_ping, &pong },
	};
	const struct figure figure = { name, 0, 1, bar, "us", 1e-3 };
	const struct vhu_buffer buffer = { IOVA, 64, false };
	int err;

	/* The worker has had work: the ring is mapped. */
	must(vhu_iommu_map(echo->iommu, IOVA, PAGE, echo->uva, VHU_PERM_RW) == 0, "map");
	echo_request(echo, &buffer, 1);
	make_blocking(echo->main);
	pong_init(&pong, config->server_processor);
	err = figures_measure(IOTLB_BENCH, contenders, 2, &figure, 1);
	pong_done(&pong);
	echo_free(echo);
	return err;
}

int bench_invalidate(void)
{
	const struct bar bar = { BAR_MOST, 1.5 };
	bool many = pairs_processors() > 2;
	/* Of two processors the polling worker has one: the others share. */
	const struct echo_config apart = {
		.server_processor = 1,
		.worker_processor = many ? 2 : 1,
		.worker = true,
	};
	const struct echo_config together = { .worker = true };
	const struct echo_config polling = {
		.server_processor = many ? 1 : 0,
		.worker_processor = many ? 2 : 1,
		.worker = true,
		.polling = true,
	};
	int err = measure("invalidate, worker asleep", &apart, bar);

	err |= measure("invalidate, worker asleep, all on one CPU", &together, (struct bar){ 0 });
	if (pairs_processors() < 2)
		return err | result_skip(IOTLB_BENCH, "invalidate, worker polls",
		                         "there is but one processor");
	return err | measure(many ? "invalidate, worker polls"
	                          : "invalidate, worker polls, the rest on one CPU",
	                     &polling, bar);
}
