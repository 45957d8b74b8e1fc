/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/feature.h"

#include <stddef.h>

#include "wire/protocol.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *const features[] = {
	[24] = "NOTIFY_ON_EMPTY",   [26] = "LOG_ALL",
	[27] = "ANY_LAYOUT",        [28] = "INDIRECT_DESC",
	[29] = "EVENT_IDX",         [VHU_F_PROTOCOL_FEATURES] = "PROTOCOL_FEATURES",
	[32] = "VERSION_1",         [33] = "ACCESS_PLATFORM",
	[34] = "RING_PACKED",       [35] = "IN_ORDER",
	[36] = "ORDER_PLATFORM",    [37] = "SR_IOV",
	[38] = "NOTIFICATION_DATA", [39] = "NOTIF_CONFIG_DATA",
	[40] = "RING_RESET",        [41] = "ADMIN_VQ",
};

static const char *const protocol_features[] = {
	[VHU_PROTOCOL_F_MQ] = "MQ",
	[VHU_PROTOCOL_F_LOG_SHMFD] = "LOG_SHMFD",
	[VHU_PROTOCOL_F_RARP] = "RARP",
	[VHU_PROTOCOL_F_REPLY_ACK] = "REPLY_ACK",
	[VHU_PROTOCOL_F_NET_MTU] = "NET_MTU",
	[VHU_PROTOCOL_F_BACKEND_REQ] = "BACKEND_REQ",
	[VHU_PROTOCOL_F_CROSS_ENDIAN] = "CROSS_ENDIAN",
	[VHU_PROTOCOL_F_CRYPTO_SESSION] = "CRYPTO_SESSION",
	[VHU_PROTOCOL_F_PAGEFAULT] = "PAGEFAULT",
	[VHU_PROTOCOL_F_CONFIG] = "CONFIG",
	[VHU_PROTOCOL_F_BACKEND_SEND_FD] = "BACKEND_SEND_FD",
	[VHU_PROTOCOL_F_HOST_NOTIFIER] = "HOST_NOTIFIER",
	[VHU_PROTOCOL_F_INFLIGHT_SHMFD] = "INFLIGHT_SHMFD",
	[VHU_PROTOCOL_F_RESET_DEVICE] = "RESET_DEVICE",
	[VHU_PROTOCOL_F_INBAND_NOTIFICATIONS] = "INBAND_NOTIFICATIONS",
	[VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS] = "CONFIGURE_MEM_SLOTS",
	[VHU_PROTOCOL_F_STATUS] = "STATUS",
	[VHU_PROTOCOL_F_XEN_MMAP] = "XEN_MMAP",
	[VHU_PROTOCOL_F_SHARED_OBJECT] = "SHARED_OBJECT",
	[VHU_PROTOCOL_F_DEVICE_STATE] = "DEVICE_STATE",
	[VHU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT] = "GET_VRING_BASE_INFLIGHT",
	[VHU_PROTOCOL_F_GPA_ADDRESSES] = "GPA_ADDRESSES",
	[VHU_PROTOCOL_F_SHMEM] = "SHMEM",
};

static const char *const statuses[] = {
	"ACKNOWLEDGE", "DRIVER", "DRIVER_OK", "FEATURES_OK", NULL, NULL, "NEEDS_RESET", "FAILED",
};

const char *feature_name(unsigned bit)
{
	return bit < LENGTH(features) ? features[bit] : NULL;
}

const char *protocol_feature_name(unsigned bit)
{
	return bit < LENGTH(protocol_features) ? protocol_features[bit] : NULL;
}

const char *status_name(unsigned bit)
{
	return bit < LENGTH(statuses) ? statuses[bit] : NULL;
}
