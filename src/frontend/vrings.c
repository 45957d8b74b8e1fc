/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings handed to the back-end and taken back; what is in them is vq.c's business. */
#include <errno.h>

#include "base/export.h"
#include "frontend/frontend.h"

static int check_index(struct vhu_frontend *fe, unsigned index)
{
	if (index > VHU_VRING_INDEX_MASK || (fe->queues && index >= fe->queues))
		return frontend_fault(fe, -EINVAL, "ring %u: no such queue", index);
	return 0;
}

static int send_state(struct vhu_frontend *fe, uint32_t request, unsigned index, uint32_t num,
                      struct message *reply)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.state);
	message.payload.state = (struct vhu_vring_state){ index, num };
	return exchange(fe, &message, reply);
}

static int send_addr(struct vhu_frontend *fe, unsigned index, const struct vhu_vring_setup *setup)
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
	return exchange(fe, &message, NULL);
}

static int send_fd(struct vhu_frontend *fe, uint32_t request, unsigned index, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = index | (fd < 0 ? VHU_VRING_NOFD : 0);
	if (fd >= 0) {
		message.fds[0] = fd;
		message.n_fds = 1;
	}
	return exchange(fe, &message, NULL);
}

/* The kick comes last of what starts a ring: it is what makes it start. */
VHU_EXPORT int vhu_frontend_vring_start(struct vhu_frontend *fe, unsigned index,
                                        const struct vhu_vring_setup *setup)
{
	int error = check_index(fe, index);

	if (!error && setup->kick_fd < 0)
		error = frontend_fault(fe, -EINVAL, "ring %u: no kick fd", index);
	if (!error)
		error = send_state(fe, VHU_FE_SET_VRING_NUM, index, setup->num, NULL);
	if (!error)
		error = send_state(fe, VHU_FE_SET_VRING_BASE, index, setup->base, NULL);
	if (!error)
		error = send_addr(fe, index, setup);
	if (!error)
		error = send_fd(fe, VHU_FE_SET_VRING_CALL, index, setup->call_fd);
	if (!error && setup->err_fd >= 0)
		error = send_fd(fe, VHU_FE_SET_VRING_ERR, index, setup->err_fd);
	if (!error)
		error = send_fd(fe, VHU_FE_SET_VRING_KICK, index, setup->kick_fd);
	return error;
}

VHU_EXPORT int vhu_frontend_vring_enable(struct vhu_frontend *fe, unsigned index, bool enable)
{
	int error = check_index(fe, index);

	if (error || !(fe->features & VHU_BIT(VHU_F_PROTOCOL_FEATURES)))
		return error;
	return send_state(fe, VHU_FE_SET_VRING_ENABLE, index, enable, NULL);
}

VHU_EXPORT int vhu_frontend_vring_stop(struct vhu_frontend *fe, unsigned index, uint16_t *ret_base)
{
	struct message reply;
	int error = check_index(fe, index);

	if (!error)
		error = send_state(fe, VHU_FE_GET_VRING_BASE, index, 0, &reply);
	if (error)
		return error;
	if (reply.payload.state.index != index)
		return frontend_fault(fe, -EREMOTEIO,
		                      "GET_VRING_BASE: asked for ring %u, got ring %u", index,
		                      reply.payload.state.index);
	if (ret_base)
		*ret_base = (uint16_t)reply.payload.state.num;
	return 0;
}
