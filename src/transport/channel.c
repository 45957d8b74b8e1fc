/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "transport/receiver.h"

#define HEADER_SIZE sizeof(struct vhu_header)
/* The payloads of all that is sent often fit a slot. */
#define INLINE_SIZE 64u
/* Messages of one sendmsg(2): a whole window of misses. */
#define BATCH_MAX 128u

/* A message that waits to be sent. Its fds are closed once its first byte is out. */
struct slot {
	size_t size;
	unsigned char *large; /* instead of @small, if it is too small */
	int fds[MESSAGE_FDS_MAX];
	unsigned n_fds;
	unsigned char small[INLINE_SIZE];
};

struct channel {
	int fd;
	struct receiver receiver;

	/* Waiting messages: @n_waiting slots from @first on, @sent bytes of the first are out. */
	unsigned first;
	unsigned n_waiting;
	size_t sent;
	struct channel_stats stats; /* but for the reads, which the receiver counts */
	struct slot slots[CHANNEL_QUEUE_MAX];
};

union control {
	struct cmsghdr header;
	unsigned char bytes[CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))];
};

int channel_new(int fd, enum message_channel kind, struct channel **ret)
{
	int error = fd_set_nonblocking(fd);
	struct channel *channel;

	if (error)
		return error;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return -ENOMEM;
	channel->fd = fd;
	receiver_init(&channel->receiver, kind);
	*ret = channel;
	return 0;
}

static struct slot *slot_at(struct channel *channel, unsigned i)
{
	return &channel->slots[(channel->first + i) % CHANNEL_QUEUE_MAX];
}

static void slot_close_fds(struct slot *slot)
{
	while (slot->n_fds)
		fd_close(&slot->fds[--slot->n_fds]);
}

static void slot_done(struct slot *slot)
{
	slot_close_fds(slot);
	free(slot->large);
	slot->large = NULL;
}

void channel_free(struct channel *channel)
{
	if (!channel)
		return;
	receiver_done(&channel->receiver);
	for (unsigned i = 0; i < channel->n_waiting; i++)
		slot_done(slot_at(channel, i));
	fd_close(&channel->fd);
	free(channel);
}

int channel_fd(const struct channel *channel)
{
	return channel->fd;
}

int channel_recv(struct channel *channel, struct message *ret)
{
	int r = receiver_next(&channel->receiver, channel->fd, ret);

	channel->stats.received += r > 0;
	return r;
}

void channel_expect(struct channel *channel)
{
	receiver_expect(&channel->receiver);
}

const struct message_fault *channel_fault(const struct channel *channel)
{
	return &channel->receiver.fault;
}

/* Copies of the message's fds, so that it may close its own. */
static int slot_take_fds(struct slot *slot, const struct message *message)
{
	int ret;

	for (slot->n_fds = 0; slot->n_fds < message->n_fds; slot->n_fds++) {
		int fd = fcntl(message->fds[slot->n_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			ret = -errno;
			slot_close_fds(slot);
			return ret;
		}
		slot->fds[slot->n_fds] = fd;
	}
	return 0;
}

static unsigned char *slot_bytes(struct slot *slot)
{
	return slot->large ? slot->large : slot->small;
}

int channel_queue(struct channel *channel, const struct message *message)
{
	struct slot *slot = slot_at(channel, channel->n_waiting);
	size_t payload = message->header.size;
	int ret;

	assert(payload <= VHU_PAYLOAD_MAX && message->n_fds <= MESSAGE_FDS_MAX);
	if (channel->n_waiting == CHANNEL_QUEUE_MAX)
		return -ENOBUFS;
	slot->size = HEADER_SIZE + payload;
	if (slot->size > INLINE_SIZE) {
		slot->large = malloc(slot->size);
		if (!slot->large)
			return -ENOMEM;
	}
	ret = slot_take_fds(slot, message);
	if (ret) {
		slot_done(slot);
		return ret;
	}
	memcpy(slot_bytes(slot), &message->header, HEADER_SIZE);
	memcpy(slot_bytes(slot) + HEADER_SIZE, &message->payload, payload);
	channel->n_waiting++;
	return 0;
}

/*
 * The first message from where it stands, and those behind it up to one with
 * fds: that one starts a call of its own, so that its fds go with its first byte.
 */
static unsigned gather(struct channel *channel, struct iovec *iov)
{
	unsigned n;

	for (n = 0; n < channel->n_waiting && n < BATCH_MAX; n++) {
		struct slot *slot = slot_at(channel, n);

		if (n > 0 && (slot->n_fds || channel->slots[channel->first].n_fds))
			break;
		iov[n] = (struct iovec){ slot_bytes(slot), slot->size };
	}
	iov[0].iov_base = (unsigned char *)iov[0].iov_base + channel->sent;
	iov[0].iov_len -= channel->sent;
	return n;
}

static void attach_fds(const struct slot *slot, struct msghdr *msg, union control *control)
{
	size_t size = slot->n_fds * sizeof(int);
	struct cmsghdr *cmsg;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(size);
	cmsg = CMSG_FIRSTHDR(msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(cmsg), slot->fds, size);
}

static void pop_first(struct channel *channel)
{
	slot_done(&channel->slots[channel->first]);
	channel->first = (channel->first + 1) % CHANNEL_QUEUE_MAX;
	channel->n_waiting--;
	channel->sent = 0;
	channel->stats.sent++;
}

/* @n bytes more are out. */
static void advance(struct channel *channel, size_t n)
{
	slot_close_fds(&channel->slots[channel->first]);
	while (n) {
		size_t left = channel->slots[channel->first].size - channel->sent;

		if (n < left) {
			channel->sent += n;
			return;
		}
		n -= left;
		pop_first(channel);
	}
}

int channel_flush(struct channel *channel)
{
	struct iovec iov[BATCH_MAX];
	union control control;

	while (channel->n_waiting) {
		struct slot *first = &channel->slots[channel->first];
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = gather(channel, iov) };
		ssize_t n;

		if (first->n_fds)
			attach_fds(first, &msg, &control);
		do {
			channel->stats.sends++;
			n = sendmsg(channel->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
		advance(channel, (size_t)n);
	}
	return 0;
}

int channel_send(struct channel *channel, const struct message *message)
{
	int ret = channel_queue(channel, message);

	if (!ret)
		ret = channel_flush(channel);
	return ret == -EAGAIN ? 0 : ret;
}

unsigned channel_waiting(const struct channel *channel)
{
	return channel->n_waiting;
}

bool channel_in_message(const struct channel *channel)
{
	return channel->sent > 0;
}

unsigned channel_drop_waiting(struct channel *channel)
{
	unsigned keep = channel_in_message(channel) ? 1 : 0;
	unsigned dropped = 0;

	for (; channel->n_waiting > keep; dropped++)
		slot_done(slot_at(channel, --channel->n_waiting));
	return dropped;
}

struct channel_stats channel_stats(const struct channel *channel)
{
	struct channel_stats stats = channel->stats;

	stats.reads = channel->receiver.reads;
	return stats;
}
