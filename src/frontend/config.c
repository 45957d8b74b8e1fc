/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration space, device status, reset. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "base/export.h"
#include "frontend/frontend.h"

static int check_protocol(struct vhu_frontend *fe, unsigned bit, uint32_t request)
{
	if (frontend_has_protocol(fe, bit))
		return 0;
	return frontend_fault(fe, -EOPNOTSUPP, "%s: not offered by the back-end",
	                      message_name(MESSAGE_MAIN, request));
}

static int init_config(struct vhu_frontend *fe, struct message *message, uint32_t request,
                       uint32_t offset, uint32_t len)
{
	int error = check_protocol(fe, VHU_PROTOCOL_F_CONFIG, request);

	if (error)
		return error;
	if (!len || len > VHU_CONFIG_MAX || offset > VHU_CONFIG_MAX - len)
		return frontend_fault(fe, -EINVAL, "%s: %u bytes at %u are out of range",
		                      message_name(MESSAGE_MAIN, request), len, offset);
	message_init(message, request);
	message->header.size = VHU_CONFIG_HEADER + len;
	message->payload.config.offset = offset;
	message->payload.config.size = len;
	return 0;
}

/* An empty reply is how a back-end says no. */
static int get_config(struct vhu_frontend *fe, uint32_t offset, void *buf, uint32_t len)
{
	struct message message;
	int error = init_config(fe, &message, VHU_FE_GET_CONFIG, offset, len);

	if (!error)
		error = exchange(fe, &message, &message);
	if (error)
		return error;
	if (message.header.size == 0)
		return frontend_fault(fe, -EREMOTEIO, "GET_CONFIG: refused by the back-end");
	if (message.header.size != VHU_CONFIG_HEADER + len ||
	    message.payload.config.offset != offset || message.payload.config.size != len)
		return frontend_fault(
			fe, -EREMOTEIO, "GET_CONFIG: asked for %u bytes at %u, got %u at %u", len,
			offset, message.payload.config.size, message.payload.config.offset);
	memcpy(buf, message.payload.config.bytes, len);
	return 0;
}

VHU_EXPORT int vhu_frontend_get_config(struct vhu_frontend *fe, uint32_t offset, void *buf,
                                       uint32_t len)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, get_config(fe, offset, buf, len));
}

static int set_config(struct vhu_frontend *fe, uint32_t offset, const void *buf, uint32_t len,
                      bool migration)
{
	struct message message;
	int error = init_config(fe, &message, VHU_FE_SET_CONFIG, offset, len);

	if (error)
		return error;
	message.payload.config.flags = migration ? VHU_CONFIG_MIGRATION : VHU_CONFIG_WRITABLE;
	memcpy(message.payload.config.bytes, buf, len);
	return exchange(fe, &message, NULL);
}

VHU_EXPORT int vhu_frontend_set_config(struct vhu_frontend *fe, uint32_t offset, const void *buf,
                                       uint32_t len, bool migration)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, set_config(fe, offset, buf, len, migration));
}

static int set_status(struct vhu_frontend *fe, uint8_t status)
{
	int error = check_protocol(fe, VHU_PROTOCOL_F_STATUS, VHU_FE_SET_STATUS);

	if (!error)
		error = exchange_u64(fe, VHU_FE_SET_STATUS, status);
	if (!error)
		fe->status = status;
	return error;
}

VHU_EXPORT int vhu_frontend_set_status(struct vhu_frontend *fe, uint8_t status)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, set_status(fe, status));
}

int config_driver_ok(struct vhu_frontend *fe)
{
	if (fe->status > 0 || !frontend_has_protocol(fe, VHU_PROTOCOL_F_STATUS))
		return 0;
	return set_status(fe, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
	                              VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

int config_restore(struct vhu_frontend *fe)
{
	if (fe->status < 0 || !frontend_has_protocol(fe, VHU_PROTOCOL_F_STATUS))
		return 0;
	return set_status(fe, (uint8_t)fe->status);
}

VHU_EXPORT int vhu_frontend_get_status(struct vhu_frontend *fe, uint8_t *ret)
{
	uint64_t status;
	int error = frontend_enter(fe);

	if (error)
		return error;
	error = check_protocol(fe, VHU_PROTOCOL_F_STATUS, VHU_FE_GET_STATUS);
	if (!error)
		error = exchange_get_u64(fe, VHU_FE_GET_STATUS, &status);
	if (!error)
		*ret = (uint8_t)status;
	return frontend_leave(fe, error);
}

VHU_EXPORT int vhu_frontend_reset_device(struct vhu_frontend *fe)
{
	struct message message;
	int error = frontend_enter(fe);

	if (error)
		return error;
	error = check_protocol(fe, VHU_PROTOCOL_F_RESET_DEVICE, VHU_FE_RESET_DEVICE);
	message_init(&message, VHU_FE_RESET_DEVICE);
	if (!error)
		error = exchange(fe, &message, NULL);
	if (!error) {
		rings_forget(fe, 0, RINGS_MAX);
		fe->status = -1;
	}
	return frontend_leave(fe, error);
}
