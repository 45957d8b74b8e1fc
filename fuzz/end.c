/* SPDX-License-Identifier: BSD-3-Clause */
#include "end.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/check.h"

#define HEADER_SIZE sizeof(struct vhu_header)

union control {
	struct cmsghdr header;
	unsigned char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
};

void end_take(struct end *end, int fd)
{
	end->fd = fd;
	end->received = 0;
	message_init(&end->incoming, 0);
}

void end_open(struct end *end, int *ret_other)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	end_take(end, pair[0]);
	*ret_other = pair[1];
}

void end_close(struct end *end)
{
	message_close_fds(&end->incoming);
	fd_close(&end->fd);
}

static bool send_all(struct end *end, const void *bytes, size_t size, const int *fds,
                     unsigned n_fds)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };

	if (end->fd < 0)
		return false;
	if (n_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	return sendmsg(end->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

bool end_send_bytes(struct end *end, const void *bytes, size_t size)
{
	return size == 0 || send_all(end, bytes, size, NULL, 0);
}

bool end_send(struct end *end, const struct message *message)
{
	unsigned char bytes[HEADER_SIZE + VHU_PAYLOAD_MAX];
	size_t size = message->header.size;

	if (size > VHU_PAYLOAD_MAX)
		size = VHU_PAYLOAD_MAX;
	memcpy(bytes, &message->header, HEADER_SIZE);
	memcpy(bytes + HEADER_SIZE, &message->payload, size);
	return send_all(end, bytes, HEADER_SIZE + size, message->fds, message->n_fds);
}

static void keep_fds(struct end *end, struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	struct message *message = &end->incoming;

	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return;
	assert_false(msg->msg_flags & MSG_CTRUNC);
	message->n_fds = (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(message->fds, CMSG_DATA(cmsg), message->n_fds * sizeof(int));
}

/* 1: @until bytes are here; 0: not yet; -1: they never will be. */
static int fill(struct end *end, size_t until)
{
	while (end->received < until) {
		char *at = end->received < HEADER_SIZE
		                   ? (char *)&end->incoming.header + end->received
		                   : (char *)end->incoming.payload.bytes + end->received -
		                             HEADER_SIZE;
		union control control;
		struct iovec iov = { at, until - end->received };
		struct msghdr msg = { .msg_iov = &iov,
			              .msg_iovlen = 1,
			              .msg_control = &control,
			              .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(end->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		keep_fds(end, &msg);
		end->received += (size_t)n;
	}
	return 1;
}

int end_recv(struct end *end, struct message *ret)
{
	int got;

	if (end->fd < 0)
		return -1;
	got = fill(end, HEADER_SIZE);
	if (got == 1 && end->incoming.header.size > VHU_PAYLOAD_MAX)
		return -1;
	if (got == 1)
		got = fill(end, HEADER_SIZE + end->incoming.header.size);
	if (got != 1)
		return got;
	*ret = end->incoming;
	end->received = 0;
	message_init(&end->incoming, 0);
	return 1;
}
