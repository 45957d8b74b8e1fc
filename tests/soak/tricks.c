/* SPDX-License-Identifier: BSD-3-Clause */
#include "tricks.h"

#include <sys/socket.h>

#include "base/fd.h"
#include "frontend/frontend.h"
#include "record.h"

static void expect(struct vhu_frontend *frontend, int error, const char *what)
{
	record_expect(error, what, vhu_frontend_error(frontend));
}

void trick_invalidate(struct vhu_frontend *frontend, struct range range)
{
	struct iommu_device *device = &frontend->device;

	expect(frontend, device->ops->invalidate_start(device, range), "INVALIDATE");
	expect(frontend, device->ops->invalidate_finish(device), "INVALIDATE");
}

void trick_push(struct vhu_frontend *frontend, uint64_t iova, uint8_t perm)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	unsigned n = iommu_miss(frontend->config.iommu, &frontend->device, iova, 0, perm, answers);

	for (unsigned i = 0; i < n; i++)
		expect(frontend, iotlb_send_update(frontend, &answers[i], NULL), "UPDATE");
	exchange_flush(frontend);
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
	expect(frontend, exchange(frontend, &message, NULL), "SET_VRING_ADDR");
}

static void set_fd(struct vhu_frontend *frontend, uint32_t request, unsigned index, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = index;
	message.fds[0] = fd;
	message.n_fds = 1;
	expect(frontend, exchange(frontend, &message, NULL), "an eventfd");
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
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		record_fail("no socket pair");
	expect(frontend, channel_new(pair[0], MESSAGE_BACK, &channel), "a channel");
	message_init(&message, VHU_FE_SET_BACKEND_REQ_FD);
	message.fds[0] = pair[1];
	message.n_fds = 1;
	expect(frontend, exchange(frontend, &message, NULL), "SET_BACKEND_REQ_FD");
	fd_close(&pair[1]);
	backchannel_close(frontend);
	frontend->back = channel;
	frontend->back_events = EPOLLIN;
	frontend->back_stalled = false;
	expect(frontend,
	       loop_add(&frontend->loop, &frontend->back_source, pair[0], EPOLLIN,
	                frontend->back_source.ready),
	       "a back-channel");
}

void trick_forget_slots(struct vhu_frontend *frontend)
{
	frontend->protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
}
