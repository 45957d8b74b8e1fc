/* SPDX-License-Identifier: BSD-3-Clause */
#include "tricks.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "frontend/frontend.h"
#include "record.h"

static void expect(struct vhu_frontend *frontend, int error, const char *what)
{
	record_expect(error, what, vhu_frontend_error(frontend));
}

/* One request and its reply. */
static void ask(struct vhu_frontend *frontend, struct message *message, const char *what)
{
	int error;

	pthread_mutex_lock(&frontend->lock);
	error = exchange(frontend, message, NULL);
	expect(frontend, frontend_leave(frontend, error), what);
}

void trick_invalidate(struct vhu_frontend *frontend, struct range range)
{
	struct message message;

	message_init(&message, VHU_FE_IOTLB_MSG);
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb.iova = range.start;
	message.payload.iotlb.size = range_size(range);
	message.payload.iotlb.type = VHU_IOTLB_INVALIDATE;
	ask(frontend, &message, "INVALIDATE");
}

void trick_push(struct vhu_frontend *frontend, uint64_t iova, uint8_t perm)
{
	const struct awaiter nobody = { .by = AWAITED_BY_NOBODY };
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	unsigned n = iommu_miss(&frontend->device, iova, 0, perm, answers);
	int error = 0;

	pthread_mutex_lock(&frontend->lock);
	for (unsigned i = 0; i < n && !error; i++)
		error = iotlb_send_update(frontend, &answers[i], nobody);
	exchange_flush(frontend);
	expect(frontend, frontend_leave(frontend, error), "UPDATE");
}

void trick_move_ring(struct vhu_frontend *frontend, unsigned index,
                     const struct vhu_vring_setup *setup)
{
	struct message message;

	message_init(&message, VHU_FE_SET_VRING_ADDR);
	message.header.size = sizeof(message.payload.addr);
	message.payload.addr = (struct vhu_vring_addr){
		.index = index,
		.desc = setup->desc,
		.avail = setup->avail,
		.used = setup->used,
	};
	ask(frontend, &message, "SET_VRING_ADDR");
}

static void set_fd(struct vhu_frontend *frontend, uint32_t request, unsigned index, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = index;
	message.fds[0] = fd;
	message.n_fds = 1;
	ask(frontend, &message, "an eventfd");
}

void trick_set_kick(struct vhu_frontend *frontend, unsigned index, int fd)
{
	set_fd(frontend, VHU_FE_SET_VRING_KICK, index, fd);
}

void trick_set_call(struct vhu_frontend *frontend, unsigned index, int fd)
{
	set_fd(frontend, VHU_FE_SET_VRING_CALL, index, fd);
}

/* The old one is served until the new one is acknowledged, as a front-end would. */
void trick_replace_back_channel(struct vhu_frontend *frontend)
{
	struct channel *channel;
	struct message message;
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		record_fail("no socket pair");
	expect(frontend, channel_new(pair[0], MESSAGE_BACK, &channel), "a channel");
	message_init(&message, VHU_FE_SET_BACKEND_REQ_FD);
	message.fds[0] = pair[1];
	message.n_fds = 1;
	ask(frontend, &message, "SET_BACKEND_REQ_FD");
	fd_close(&pair[1]);
	pthread_mutex_lock(&frontend->lock);
	backchannel_close(frontend);
	frontend->back = channel;
	frontend->back_events = EPOLLIN;
	frontend->back_stalled = false;
	error = pump_add(frontend, pair[0], PUMP_BACK);
	expect(frontend, frontend_leave(frontend, error), "a back-channel");
}

void trick_forget_slots(struct vhu_frontend *frontend)
{
	frontend->protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
}
