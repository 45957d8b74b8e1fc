/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_bare.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wire/protocol.h"

#include "../tools/peer.h"
#include "blk_peer.h"

/* A message of the device IOTLB, and the reply to one. */
#define MESSAGE   (sizeof(struct vhu_header) + sizeof(struct vhu_iotlb))
#define REPLY     (sizeof(struct vhu_header) + sizeof(uint64_t))
#define CALL_MOST (512u * MESSAGE)

static bool send_bytes(int fd, size_t len)
{
	static char bytes[CALL_MOST];
	struct iovec iov = { bytes, len };
	const struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	return !len || sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool receive_bytes(int fd, size_t len)
{
	static char bytes[CALL_MOST];

	while (len) {
		struct iovec iov = { bytes, len };
		struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t got = recvmsg(fd, &message, 0);

		if (got <= 0)
			return false;
		len -= (size_t)got;
	}
	return true;
}

/* The back-end's side: asks, is told, acknowledges, and lets go. */
static void answer(const struct bare_config *config, int main_fd, int back_fd)
{
	bool fine = true;

	while (fine)
		fine = send_bytes(back_fd, config->misses * MESSAGE) &&
		       receive_bytes(main_fd, config->updates * MESSAGE) &&
		       send_bytes(main_fd, config->updates * REPLY) &&
		       receive_bytes(back_fd, config->misses * REPLY) &&
		       receive_bytes(main_fd, config->invalidations * MESSAGE) &&
		       send_bytes(main_fd, config->invalidations * REPLY);
	_exit(0);
}

/* The front-end's. */
static bool ask(const struct bare *bare)
{
	const struct bare_config *config = &bare->config;
	int main_fd = bare->main_fd, back_fd = bare->back_fd;

	return receive_bytes(back_fd, config->misses * MESSAGE) &&
	       send_bytes(main_fd, config->updates * MESSAGE) &&
	       receive_bytes(main_fd, config->updates * REPLY) &&
	       send_bytes(back_fd, config->misses * REPLY) &&
	       send_bytes(main_fd, config->invalidations * MESSAGE) &&
	       receive_bytes(main_fd, config->invalidations * REPLY);
}

int bare_start(struct bare *bare, const struct bare_config *config)
{
	int main_pair[2], back_pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, main_pair) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back_pair))
		return -errno;
	*bare = (struct bare){ *config, main_pair[0], back_pair[0], fork() };
	if (!bare->pid) {
		close(main_pair[0]);
		close(back_pair[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		blk_go_elsewhere();
		answer(config, main_pair[1], back_pair[1]);
	}
	close(main_pair[1]);
	close(back_pair[1]);
	return bare->pid < 0 ? -errno : 0;
}

void bare_end(struct bare *bare)
{
	if (bare->pid <= 0)
		return;
	close(bare->main_fd);
	close(bare->back_fd);
	waitpid(bare->pid, NULL, 0);
	bare->pid = -1;
}

static uint64_t cpu_of(const struct bare *bare)
{
	struct peer peer = { .pid = bare->pid };

	peer.has_clock = clock_getcpuclockid(bare->pid, &peer.clock) == 0;
	return own_cpu_ns() + peer_cpu_ns(&peer);
}

uint64_t bare_run_cpu(void *opaque, uint64_t n)
{
	struct bare *bare = opaque;
	uint64_t before = cpu_of(bare), rounds = n / bare->config.requests + 1, took;

	for (uint64_t i = 0; i < rounds; i++)
		if (!ask(bare))
			return n * 1000000000;
	took = cpu_of(bare) - before;
	/* Rounds are whole, and @n need not be. */
	return (uint64_t)((double)took * (double)n / (double)(rounds * bare->config.requests));
}
