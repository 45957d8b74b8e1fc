/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/peer.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

/* fds go with the first byte. */
static int send_some(int fd, const char *bytes, size_t len, const int *fds, unsigned n_fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds) {
		msg.msg_control = control.bytes;
		fd_put_rights(&msg, fds, n_fds);
	}
	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

static int send_all(int fd, const char *bytes, size_t len, const int *fds, unsigned n_fds)
{
	while (len) {
		int n = send_some(fd, bytes, len, fds, n_fds);

		if (n == -EAGAIN)
			n = fd_wait(fd, POLLOUT, PEER_PATIENCE);
		if (n < 0)
			return n;
		if (n > 0)
			n_fds = 0;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

struct encoded {
	char bytes[sizeof(struct vhu_header) + VHU_PAYLOAD_MAX];
	size_t len;
};

static void encode(const struct message *message, struct encoded *ret)
{
	size_t size = message->header.size;

	if (size > VHU_PAYLOAD_MAX)
		size = VHU_PAYLOAD_MAX;
	memcpy(ret->bytes, &message->header, sizeof(message->header));
	memcpy(ret->bytes + sizeof(message->header), &message->payload, size);
	ret->len = sizeof(message->header) + size;
}

int peer_send(int fd, const struct message *message)
{
	struct encoded encoded;

	encode(message, &encoded);
	return send_all(fd, encoded.bytes, encoded.len, message->fds, message->n_fds);
}

/* A message is sent whole or not at all: sockets buffer by the packet. */
int peer_try_send(int fd, const struct message *message)
{
	struct encoded encoded;
	int n;

	encode(message, &encoded);
	n = send_some(fd, encoded.bytes, encoded.len, NULL, 0);
	return n < 0 ? n : 0;
}

int peer_send_bytes(int fd, const void *bytes, size_t len)
{
	return send_all(fd, bytes, len, NULL, 0);
}

static int recv_some(int fd, void *to, size_t len, struct message *ret)
{
	char control[CMSG_SPACE(sizeof(int) * MESSAGE_FDS_MAX)];
	struct iovec iov = { .iov_base = to, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = control,
		              .msg_controllen = sizeof(control) };
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		fd_take_rights(&msg, ret->fds, &ret->n_fds, MESSAGE_FDS_MAX);
	return n < 0 ? -errno : n ? (int)n : -ENOTCONN;
}

static int recv_all(int fd, void *to, size_t len, struct message *ret, int timeout_ms)
{
	char *at = to;

	while (len) {
		int n = recv_some(fd, at, len, ret);

		if (n == -EAGAIN)
			n = fd_wait(fd, POLLIN, timeout_ms);
		if (n == -ECONNRESET)
			n = -ENOTCONN;
		if (n < 0)
			return n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int peer_recv(int fd, struct message *ret, int timeout_ms)
{
	int error;

	message_init(ret, 0);
	error = recv_all(fd, &ret->header, sizeof(ret->header), ret, timeout_ms);
	if (!error && ret->header.size > VHU_PAYLOAD_MAX)
		error = -EPROTO;
	if (!error)
		error = recv_all(fd, &ret->payload, ret->header.size, ret, PEER_PATIENCE);
	if (error)
		message_close_fds(ret);
	return error;
}

int peer_reply(int fd, const struct message *request, const void *payload, size_t size)
{
	struct message message;

	message_init(&message, request->header.request);
	message.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	message.header.size = (uint32_t)size;
	memcpy(&message.payload, payload, size);
	return peer_send(fd, &message);
}

int peer_reply_u64(int fd, const struct message *request, uint64_t value)
{
	return peer_reply(fd, request, &value, sizeof(value));
}

bool peer_closed(int fd)
{
	char byte;

	if (fd_wait(fd, POLLIN, PEER_QUIET))
		return false;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}
