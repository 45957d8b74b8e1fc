/* SPDX-License-Identifier: BSD-3-Clause */
#include "sent.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/protocol.h"

static _Atomic uint64_t counts[SENT_KINDS];

/* The linker's names for the function that is called, and the one that is meant. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);

uint64_t sent_count(enum sent kind)
{
	return atomic_load(&counts[kind]);
}

struct first {
	struct vhu_header header;
	struct vhu_iotlb iotlb;
};

/* The beginning of what is sent, as much as there is. */
static struct first first_of(const struct msghdr *msg)
{
	struct first first = { 0 };
	size_t done = 0;

	for (size_t i = 0; i < msg->msg_iovlen && done < sizeof(first); i++) {
		size_t len = msg->msg_iov[i].iov_len;

		if (len > sizeof(first) - done)
			len = sizeof(first) - done;
		memcpy((char *)&first + done, msg->msg_iov[i].iov_base, len);
		done += len;
	}
	return first;
}

/* VHU_BE_IOTLB_MSG has the number of another request of the front-end's, without replies here. */
static enum sent kind_of(const struct first *first)
{
	bool reply = first->header.flags & VHU_FLAG_REPLY;

	if (first->header.request == VHU_FE_IOTLB_MSG)
		return reply                                   ? SENT_ACKNOWLEDGEMENTS
		       : first->iotlb.type == VHU_IOTLB_UPDATE ? SENT_UPDATES
		                                               : SENT_KINDS;
	if (first->header.request != VHU_BE_IOTLB_MSG)
		return SENT_KINDS;
	if (reply)
		return SENT_MISS_REPLIES;
	return first->header.size == sizeof(first->iotlb) ? SENT_MISSES : SENT_KINDS;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	ssize_t n = __real_sendmsg(fd, msg, flags);

	if (n > 0) {
		const struct first first = first_of(msg);
		enum sent kind = kind_of(&first);

		if (kind < SENT_KINDS)
			atomic_fetch_add_explicit(&counts[kind], 1, memory_order_relaxed);
	}
	return n;
}
