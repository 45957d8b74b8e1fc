/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_bare.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
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

/* A kick or a call: whoever reads it sleeps until the other side writes. */
static bool tell(int fd)
{
	const uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one);
}

static bool hear(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n);
}

/* The back-end's side of mapping: asks, is told, acknowledges, is told that that was all. */
static bool answer_updates(const struct bare *bare)
{
	const struct bare_config *config = &bare->config;

	return send_bytes(bare->back_fd, config->misses * MESSAGE) &&
	       receive_bytes(bare->main_fd, config->updates * MESSAGE) &&
	       send_bytes(bare->main_fd, config->updates * REPLY) &&
	       receive_bytes(bare->back_fd, config->misses * REPLY);
}

static bool answer(const struct bare *bare)
{
	const struct bare_config *config = &bare->config;

	return (config->misses || answer_updates(bare)) && hear(bare->kick_fd) &&
	       (!config->misses || answer_updates(bare)) && tell(bare->call_fd) &&
	       receive_bytes(bare->main_fd, config->invalidations * MESSAGE) &&
	       send_bytes(bare->main_fd, config->invalidations * REPLY);
}

static bool tell_updates(const struct bare *bare)
{
	return send_bytes(bare->main_fd, bare->config.updates * MESSAGE);
}

static bool hear_acknowledged(const struct bare *bare)
{
	return receive_bytes(bare->main_fd, bare->config.updates * REPLY);
}

/* What was not asked for is told before the kick, and its acknowledgement not waited for. */
static bool ask_at_once(const struct bare *bare)
{
	return tell_updates(bare) && tell(bare->kick_fd) && hear_acknowledged(bare);
}

static bool ask_when_missed(const struct bare *bare)
{
	const struct bare_config *config = &bare->config;

	return tell(bare->kick_fd) && receive_bytes(bare->back_fd, config->misses * MESSAGE) &&
	       tell_updates(bare) && hear_acknowledged(bare) &&
	       send_bytes(bare->back_fd, config->misses * REPLY);
}

static bool ask(const struct bare *bare)
{
	const struct bare_config *config = &bare->config;

	return (config->misses ? ask_when_missed(bare) : ask_at_once(bare)) &&
	       hear(bare->call_fd) && send_bytes(bare->main_fd, config->invalidations * MESSAGE) &&
	       receive_bytes(bare->main_fd, config->invalidations * REPLY);
}

static void serve(struct bare *bare, int main_fd, int back_fd)
{
	close(bare->main_fd);
	close(bare->back_fd);
	bare->main_fd = main_fd;
	bare->back_fd = back_fd;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	blk_go_elsewhere();
	while (answer(bare))
		;
	_exit(0);
}

static void close_all(const struct bare *bare)
{
	close(bare->main_fd);
	close(bare->back_fd);
	close(bare->kick_fd);
	close(bare->call_fd);
}

int bare_start(struct bare *bare, const struct bare_config *config)
{
	int main_pair[2], back_pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, main_pair) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, back_pair))
		return -errno;
	*bare = (struct bare){
		.config = *config,
		.main_fd = main_pair[0],
		.back_fd = back_pair[0],
		.kick_fd = eventfd(0, EFD_CLOEXEC),
		.call_fd = eventfd(0, EFD_CLOEXEC),
	};
	bare->pid = fork();
	if (!bare->pid)
		serve(bare, main_pair[1], back_pair[1]);
	close(main_pair[1]);
	close(back_pair[1]);
	return bare->pid < 0 ? -errno : 0;
}

void bare_end(struct bare *bare)
{
	if (bare->pid <= 0)
		return;
	/* It may be waiting for a kick. */
	kill(bare->pid, SIGKILL);
	waitpid(bare->pid, NULL, 0);
	close_all(bare);
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
