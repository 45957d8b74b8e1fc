/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/receiver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"

#define HEADER_SIZE sizeof(struct vhu_header)

union control {
	struct cmsghdr header;
	unsigned char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
};

void receiver_init(struct receiver *receiver, enum message_channel kind)
{
	*receiver = (struct receiver){ .kind = kind };
}

static void close_fds(struct receiver *receiver)
{
	while (receiver->n_fds)
		fd_close(&receiver->fds[--receiver->n_fds]);
}

void receiver_done(struct receiver *receiver)
{
	close_fds(receiver);
	message_close_fds(&receiver->incoming);
}

/* No more than one message may have, of which some may be claimed already. */
static bool take_fds(struct receiver *receiver, struct msghdr *msg)
{
	return fd_take_rights(msg, receiver->fds, &receiver->n_fds,
	                      MESSAGE_FDS_MAX - receiver->incoming.n_fds);
}

/* Up to @size bytes to @to, and the fds that come with them. Bytes, 0 at the end, or -errno. */
static ssize_t read_some(struct receiver *receiver, int fd, void *to, size_t size)
{
	union control control;
	struct iovec iov = { to, size };
	struct msghdr msg = { .msg_iov = &iov,
		              .msg_iovlen = 1,
		              .msg_control = &control,
		              .msg_controllen = sizeof(control) };
	ssize_t n;

	do {
		receiver->reads++;
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	/* The kernel ends a read behind fds, too, and the end is told by an empty one. */
	receiver->dry = n > 0 && (size_t)n < size && msg.msg_controllen == 0;
	return take_fds(receiver, &msg) ? n : -EBADF;
}

/* Where the message being received goes on. */
static unsigned char *place(struct receiver *receiver)
{
	if (receiver->received < HEADER_SIZE)
		return (unsigned char *)&receiver->incoming.header + receiver->received;
	return receiver->incoming.payload.bytes + (receiver->received - HEADER_SIZE);
}

/* Moves what was read ahead, up to @until bytes of the message. */
static void use_ahead(struct receiver *receiver, size_t until)
{
	size_t part = receiver->received < HEADER_SIZE ? HEADER_SIZE : until;
	size_t n = part - receiver->received;

	if (n > receiver->end - receiver->start)
		n = receiver->end - receiver->start;
	memcpy(place(receiver), receiver->ahead + receiver->start, n);
	receiver->start += n;
	receiver->received += n;
}

/*
 * Translations and replies have no fds and come in crowds, so as many are taken
 * as there is room for. Anything else is rare and read to the byte.
 */
static void guess(struct receiver *receiver, const struct vhu_header *header)
{
	uint32_t iotlb = receiver->kind == MESSAGE_MAIN ? (uint32_t)VHU_FE_IOTLB_MSG
	                                                : (uint32_t)VHU_BE_IOTLB_MSG;

	if ((header->flags & VHU_FLAG_REPLY) || header->request == iotlb)
		receiver->ask = RECEIVER_AHEAD;
	else
		receiver->ask = 0;
}

/*
 * Receives until @until bytes of the message are here: 0, -EAGAIN, or why it will
 * never be. A peer that leaves with our bytes unread shows as ECONNRESET.
 */
static int receive_until(struct receiver *receiver, int fd, size_t until)
{
	while (receiver->received < until) {
		size_t left = until - receiver->received;
		ssize_t n;

		if (receiver->start < receiver->end) {
			use_ahead(receiver, until);
			continue;
		}
		if (receiver->dry) {
			receiver->dry = false;
			return -EAGAIN;
		}
		/* A long payload needs no detour. */
		if (receiver->received >= HEADER_SIZE && left > sizeof(receiver->ahead)) {
			n = read_some(receiver, fd, place(receiver), left);
			receiver->received += n > 0 ? (size_t)n : 0;
		} else {
			/* Not within a header, whose message may have fds already. */
			if ((receiver->received == 0 || receiver->received >= HEADER_SIZE) &&
			    left < receiver->ask)
				left = receiver->ask;
			n = read_some(receiver, fd, receiver->ahead, left);
			receiver->start = 0;
			receiver->end = n > 0 ? (size_t)n : 0;
		}
		if (n == 0 || n == -ECONNRESET)
			return receiver->received ? -EPIPE : -ENOTCONN;
		if (n < 0)
			return (int)n;
	}
	return 0;
}

/* The number of an unknown request is the session's matter, if its payload can be read. */
static int check_header(struct receiver *receiver, const struct vhu_header *header)
{
	int ret = message_check_header(receiver->kind, header, header->flags & VHU_FLAG_REPLY,
	                               &receiver->fault);

	return ret == -EOPNOTSUPP ? 0 : ret;
}

/* Whether the message must have fds: one that may do without is not given another's. */
static bool needs_fds(const struct receiver *receiver)
{
	const struct message *incoming = &receiver->incoming;
	const struct message_spec *spec = message_spec(receiver->kind, incoming->header.request);

	if (!spec || (incoming->header.flags & VHU_FLAG_REPLY))
		return false;
	switch (spec->fds) {
	case MESSAGE_FDS_NONE:
	case MESSAGE_FDS_OPTIONAL: return false;
	case MESSAGE_FDS_VRING: return !(incoming->payload.u64 & VHU_VRING_NOFD);
	case MESSAGE_FDS_PER_REGION: return incoming->payload.memory.n > 0;
	case MESSAGE_FDS_ONE:
	case MESSAGE_FDS_LOG: break;
	}
	return true;
}

/*
 * Whose fds: the message's, unless another one begins in the same read and this
 * one needs none. Who sends fds sends them with the first byte of a message, and
 * the kernel ends a read behind what they were sent with.
 */
static void claim_fds(struct receiver *receiver)
{
	struct message *incoming = &receiver->incoming;

	if (receiver->start < receiver->end && !needs_fds(receiver))
		return;
	memcpy(incoming->fds + incoming->n_fds, receiver->fds, receiver->n_fds * sizeof(int));
	incoming->n_fds += receiver->n_fds;
	receiver->n_fds = 0;
}

static int receive(struct receiver *receiver, int fd)
{
	int ret = receive_until(receiver, fd, HEADER_SIZE);

	if (!ret)
		ret = check_header(receiver, &receiver->incoming.header);
	if (ret)
		return ret;
	guess(receiver, &receiver->incoming.header);
	return receive_until(receiver, fd, HEADER_SIZE + receiver->incoming.header.size);
}

/* Bytes that were not sent read as 0, fds that did not come as -1. */
static void hand_over(struct receiver *receiver, struct message *ret)
{
	struct message *incoming = &receiver->incoming;

	claim_fds(receiver);
	message_init(ret, incoming->header.request);
	ret->header = incoming->header;
	memcpy(&ret->payload, &incoming->payload, incoming->header.size);
	memcpy(ret->fds, incoming->fds, incoming->n_fds * sizeof(int));
	ret->n_fds = incoming->n_fds;
	incoming->n_fds = 0;
	receiver->received = 0;
}

/*
 * The next of a crowd, if all of it has been read ahead and no fds are about: as
 * receive() and hand_over() do it, with a copy less. What is wrong is left to those.
 */
static bool next_of_crowd(struct receiver *receiver, struct message *ret)
{
	const unsigned char *from = receiver->ahead + receiver->start;
	size_t there = receiver->end - receiver->start;
	struct vhu_header header;

	if (there < HEADER_SIZE || receiver->received || receiver->n_fds)
		return false;
	memcpy(&header, from, HEADER_SIZE);
	if (there - HEADER_SIZE < header.size || check_header(receiver, &header))
		return false;
	guess(receiver, &header);
	message_init(ret, header.request);
	ret->header = header;
	memcpy(&ret->payload, from + HEADER_SIZE, header.size);
	receiver->start += HEADER_SIZE + header.size;
	return true;
}

/* A bad header has been described already. */
static void describe_error(struct receiver *receiver, int error)
{
	char *text = receiver->fault.text;
	size_t size = sizeof(receiver->fault.text);

	if (error == -ENOTCONN)
		snprintf(text, size, "the peer has closed the connection");
	else if (error == -EPIPE)
		snprintf(text, size, "the peer closed the connection %zu bytes into a message",
		         receiver->received);
	else if (error == -EBADF)
		snprintf(text, size, "a message with more than %u file descriptors, or lost ones",
		         MESSAGE_FDS_MAX);
	else if (error != -EPROTO && error != -EMSGSIZE)
		snprintf(text, size, "can't receive: %s", strerror(-error));
}

int receiver_next(struct receiver *receiver, int fd, struct message *ret)
{
	int error = receiver->error;

	if (error)
		return error;
	if (next_of_crowd(receiver, ret))
		return 1;
	error = receive(receiver, fd);
	if (error == -EAGAIN)
		return 0;
	if (error) {
		receiver_done(receiver);
		receiver->error = error;
		describe_error(receiver, error);
		return error;
	}
	hand_over(receiver, ret);
	return 1;
}

void receiver_expect(struct receiver *receiver)
{
	receiver->dry = false;
}
