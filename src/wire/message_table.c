/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * THE table of messages: sizes, layouts, fds, replies, gates and states of each,
 * as the specification gives them. Validation, dispatch, description, the
 * tools and the tests read it; none of them repeats it.
 *
 * A field that a row does not name is 0: main channel, empty payload, no fds,
 * legal at any time, acknowledged when asked.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "wire/message.h"

#define FRONTEND(id) .name = #id, .channel = MESSAGE_MAIN, .request = VHU_FE_##id
#define BACKEND(id)                                                              \
	.name = "BACKEND_" #id, .channel = MESSAGE_BACK, .request = VHU_BE_##id, \
	.state = MESSAGE_BACK_CHANNEL

/* The feature bits a message needs: virtio's and the protocol's, or NO_BIT. */
#define NO_BIT                MESSAGE_NO_BIT
#define GATE(virtio, pf)      .feature = (virtio), .protocol = (pf)
#define NO_GATE               GATE(NO_BIT, NO_BIT)
#define PROTOCOL(id)          GATE(NO_BIT, VHU_PROTOCOL_F_##id)

#define RANGE(kind, min, max) .layout = MESSAGE_LAYOUT_##kind, .size_min = (min), .size_max = (max)
#define EXACT(kind, size)     RANGE(kind, size, size)

#define REPLY_RANGE(rule, kind, min, max)                                                         \
	.reply = MESSAGE_REPLY_##rule, .reply_layout = MESSAGE_LAYOUT_##kind, .reply_min = (min), \
	.reply_max = (max)
#define REPLY(kind, size) REPLY_RANGE(ALWAYS, kind, size, size)
#define ACKED             REPLY_RANGE(ACK, ACK, 8, 8)

#define FDS(rule)         .fds = MESSAGE_FDS_##rule
#define REPLY_FDS(rule)   .reply_fds = MESSAGE_FDS_##rule

static const struct message_spec frontend_specs[VHU_FE_END] = {
	[VHU_FE_GET_FEATURES] = { FRONTEND(GET_FEATURES), NO_GATE, REPLY(FEATURES, 8) },
	[VHU_FE_SET_FEATURES] = { FRONTEND(SET_FEATURES), NO_GATE, EXACT(FEATURES, 8), ACKED },
	[VHU_FE_SET_OWNER] = { FRONTEND(SET_OWNER), NO_GATE, ACKED },
	[VHU_FE_RESET_OWNER] = { FRONTEND(RESET_OWNER), NO_GATE, ACKED, .deprecated = true },

	/* 8 + 32 * n bytes; no region is a table too. */
	[VHU_FE_SET_MEM_TABLE] = { FRONTEND(SET_MEM_TABLE), NO_GATE, RANGE(MEMORY, 8, 264), ACKED,
	                           FDS(PER_REGION) },

	/*
	 * With LOG_SHMFD a struct vhu_log; without it the specification gives a u64
	 * and front-ends send either. Back-ends differ on whether the reply has a
	 * payload.
	 */
	[VHU_FE_SET_LOG_BASE] = { FRONTEND(SET_LOG_BASE), NO_GATE, RANGE(LOG, 8, 16), FDS(LOG),
	                          REPLY_RANGE(LOG, ACK, 0, 8) },
	[VHU_FE_SET_LOG_FD] = { FRONTEND(SET_LOG_FD), NO_GATE, ACKED, FDS(ONE) },

	[VHU_FE_SET_VRING_NUM] = { FRONTEND(SET_VRING_NUM), NO_GATE, EXACT(VRING_STATE, 8), ACKED,
	                           .state = MESSAGE_RING_STOPPED },
	/* Also sent for a running ring, to turn dirty logging on. */
	[VHU_FE_SET_VRING_ADDR] = { FRONTEND(SET_VRING_ADDR), NO_GATE, EXACT(VRING_ADDR, 40),
	                            ACKED },
	[VHU_FE_SET_VRING_BASE] = { FRONTEND(SET_VRING_BASE), NO_GATE, EXACT(VRING_STATE, 8), ACKED,
	                            .state = MESSAGE_RING_STOPPED },
	[VHU_FE_GET_VRING_BASE] = { FRONTEND(GET_VRING_BASE), NO_GATE, EXACT(VRING_STATE, 8),
	                            REPLY(VRING_STATE, 8) },
	[VHU_FE_SET_VRING_KICK] = { FRONTEND(SET_VRING_KICK), NO_GATE, EXACT(VRING_FD, 8), ACKED,
	                            FDS(VRING) },
	[VHU_FE_SET_VRING_CALL] = { FRONTEND(SET_VRING_CALL), NO_GATE, EXACT(VRING_FD, 8), ACKED,
	                            FDS(VRING) },
	[VHU_FE_SET_VRING_ERR] = { FRONTEND(SET_VRING_ERR), NO_GATE, EXACT(VRING_FD, 8), ACKED,
	                           FDS(VRING) },

	/* These two precede SET_FEATURES: the offer of bit 30 is enough. */
	[VHU_FE_GET_PROTOCOL_FEATURES] = { FRONTEND(GET_PROTOCOL_FEATURES),
	                                   GATE(VHU_F_PROTOCOL_FEATURES, NO_BIT), .by_offer = true,
	                                   REPLY(PROTOCOL_FEATURES, 8) },
	[VHU_FE_SET_PROTOCOL_FEATURES] = { FRONTEND(SET_PROTOCOL_FEATURES),
	                                   GATE(VHU_F_PROTOCOL_FEATURES, NO_BIT), .by_offer = true,
	                                   EXACT(PROTOCOL_FEATURES, 8), ACKED,
	                                   .state = MESSAGE_ALL_STOPPED },
	[VHU_FE_GET_QUEUE_NUM] = { FRONTEND(GET_QUEUE_NUM), PROTOCOL(MQ), REPLY(U64, 8) },
	[VHU_FE_SET_VRING_ENABLE] = { FRONTEND(SET_VRING_ENABLE),
	                              GATE(VHU_F_PROTOCOL_FEATURES, NO_BIT), EXACT(VRING_STATE, 8),
	                              ACKED },
	[VHU_FE_SEND_RARP] = { FRONTEND(SEND_RARP), PROTOCOL(RARP), EXACT(U64, 8), ACKED },
	[VHU_FE_NET_SET_MTU] = { FRONTEND(NET_SET_MTU),
	                         GATE(VIRTIO_NET_F_MTU, VHU_PROTOCOL_F_NET_MTU), EXACT(U64, 8),
	                         ACKED },
	[VHU_FE_SET_BACKEND_REQ_FD] = { FRONTEND(SET_BACKEND_REQ_FD), PROTOCOL(BACKEND_REQ), ACKED,
	                                FDS(ONE) },
	[VHU_FE_IOTLB_MSG] = { FRONTEND(IOTLB_MSG), GATE(VIRTIO_F_ACCESS_PLATFORM, NO_BIT),
	                       RANGE(IOTLB, VHU_IOTLB_SIZE_MIN, 32), ACKED },
	[VHU_FE_SET_VRING_ENDIAN] = { FRONTEND(SET_VRING_ENDIAN), PROTOCOL(CROSS_ENDIAN),
	                              EXACT(VRING_STATE, 8), ACKED },

	/* The bytes of the request mean nothing; some front-ends omit them. An empty
	 * reply is an error. */
	[VHU_FE_GET_CONFIG] = { FRONTEND(GET_CONFIG), PROTOCOL(CONFIG),
	                        RANGE(CONFIG, VHU_CONFIG_HEADER, 268),
	                        REPLY_RANGE(ALWAYS, CONFIG, 0, 268) },
	[VHU_FE_SET_CONFIG] = { FRONTEND(SET_CONFIG), PROTOCOL(CONFIG),
	                        RANGE(CONFIG, VHU_CONFIG_HEADER, 268), ACKED },

	/* The specification leaves the layout of a session to the source of one
	 * front-end; it ends in a 64-bit session id. */
	[VHU_FE_CREATE_CRYPTO_SESSION] = { FRONTEND(CREATE_CRYPTO_SESSION),
	                                   PROTOCOL(CRYPTO_SESSION),
	                                   RANGE(BYTES, 8, VHU_PAYLOAD_MAX),
	                                   REPLY_RANGE(ALWAYS, BYTES, 8, VHU_PAYLOAD_MAX) },
	[VHU_FE_CLOSE_CRYPTO_SESSION] = { FRONTEND(CLOSE_CRYPTO_SESSION), PROTOCOL(CRYPTO_SESSION),
	                                  EXACT(U64, 8), ACKED },

	[VHU_FE_POSTCOPY_ADVISE] = { FRONTEND(POSTCOPY_ADVISE), PROTOCOL(PAGEFAULT),
	                             REPLY(EMPTY, 0), REPLY_FDS(ONE) },
	[VHU_FE_POSTCOPY_LISTEN] = { FRONTEND(POSTCOPY_LISTEN), PROTOCOL(PAGEFAULT), ACKED },
	[VHU_FE_POSTCOPY_END] = { FRONTEND(POSTCOPY_END), PROTOCOL(PAGEFAULT), REPLY(ACK, 8) },

	/* Front-ends exist that omit the payload. It carries the numbers the area is
	 * sized by, so they are refused. A reply of mmap size 0 has no fd. */
	[VHU_FE_GET_INFLIGHT_FD] = { FRONTEND(GET_INFLIGHT_FD), PROTOCOL(INFLIGHT_SHMFD),
	                             EXACT(INFLIGHT, 24), REPLY(INFLIGHT, 24),
	                             REPLY_FDS(OPTIONAL) },
	[VHU_FE_SET_INFLIGHT_FD] = { FRONTEND(SET_INFLIGHT_FD), PROTOCOL(INFLIGHT_SHMFD),
	                             EXACT(INFLIGHT, 24), ACKED, FDS(ONE) },
	[VHU_FE_GPU_SET_SOCKET] = { FRONTEND(GPU_SET_SOCKET), NO_GATE, ACKED, FDS(ONE) },
	[VHU_FE_RESET_DEVICE] = { FRONTEND(RESET_DEVICE), PROTOCOL(RESET_DEVICE), ACKED },
	[VHU_FE_VRING_KICK] = { FRONTEND(VRING_KICK), PROTOCOL(INBAND_NOTIFICATIONS),
	                        EXACT(VRING_STATE, 8), ACKED },

	[VHU_FE_GET_MAX_MEM_SLOTS] = { FRONTEND(GET_MAX_MEM_SLOTS), PROTOCOL(CONFIGURE_MEM_SLOTS),
	                               REPLY(U64, 8) },
	[VHU_FE_ADD_MEM_REG] = { FRONTEND(ADD_MEM_REG), PROTOCOL(CONFIGURE_MEM_SLOTS),
	                         EXACT(MEMORY_SINGLE, 40), ACKED, FDS(ONE) },
	/* Says nothing of an fd; front-ends that send one are tolerated. */
	[VHU_FE_REM_MEM_REG] = { FRONTEND(REM_MEM_REG), PROTOCOL(CONFIGURE_MEM_SLOTS),
	                         EXACT(MEMORY_SINGLE, 40), ACKED, FDS(OPTIONAL) },

	[VHU_FE_SET_STATUS] = { FRONTEND(SET_STATUS), PROTOCOL(STATUS), EXACT(STATUS, 8), ACKED },
	[VHU_FE_GET_STATUS] = { FRONTEND(GET_STATUS), PROTOCOL(STATUS), REPLY(STATUS, 8) },

	/* The reply is its fd; peers differ on whether the object is repeated. */
	[VHU_FE_GET_SHARED_OBJECT] = { FRONTEND(GET_SHARED_OBJECT), PROTOCOL(SHARED_OBJECT),
	                               EXACT(SHARED, 16), REPLY_RANGE(ALWAYS, SHARED, 0, 16),
	                               REPLY_FDS(OPTIONAL) },
	[VHU_FE_SET_DEVICE_STATE_FD] = { FRONTEND(SET_DEVICE_STATE_FD), PROTOCOL(DEVICE_STATE),
	                                 EXACT(DEVICE_STATE, 8), FDS(ONE), REPLY(TRANSFER, 8),
	                                 REPLY_FDS(VRING) },
	[VHU_FE_CHECK_DEVICE_STATE] = { FRONTEND(CHECK_DEVICE_STATE), PROTOCOL(DEVICE_STATE),
	                                REPLY(ACK, 8) },
	[VHU_FE_GET_SHMEM_CONFIG] = { FRONTEND(GET_SHMEM_CONFIG), PROTOCOL(SHMEM),
	                              REPLY(SHMEM, VHU_PAYLOAD_MAX) },
};

static const struct message_spec backend_specs[VHU_BE_END] = {
	[VHU_BE_IOTLB_MSG] = { BACKEND(IOTLB_MSG), GATE(VIRTIO_F_ACCESS_PLATFORM, NO_BIT),
	                       RANGE(IOTLB, VHU_IOTLB_SIZE_MIN, 32), ACKED },
	[VHU_BE_CONFIG_CHANGE_MSG] = { BACKEND(CONFIG_CHANGE_MSG), PROTOCOL(CONFIG), ACKED },
	[VHU_BE_VRING_HOST_NOTIFIER_MSG] = { BACKEND(VRING_HOST_NOTIFIER_MSG),
	                                     PROTOCOL(HOST_NOTIFIER), EXACT(VRING_AREA, 24), ACKED,
	                                     FDS(VRING) },
	[VHU_BE_VRING_CALL] = { BACKEND(VRING_CALL), PROTOCOL(INBAND_NOTIFICATIONS),
	                        EXACT(VRING_STATE, 8), ACKED },
	[VHU_BE_VRING_ERR] = { BACKEND(VRING_ERR), PROTOCOL(INBAND_NOTIFICATIONS),
	                       EXACT(VRING_STATE, 8), ACKED },
	[VHU_BE_SHARED_OBJECT_ADD] = { BACKEND(SHARED_OBJECT_ADD), PROTOCOL(SHARED_OBJECT),
	                               EXACT(SHARED, 16), ACKED },
	[VHU_BE_SHARED_OBJECT_REMOVE] = { BACKEND(SHARED_OBJECT_REMOVE), PROTOCOL(SHARED_OBJECT),
	                                  EXACT(SHARED, 16), ACKED },
	[VHU_BE_SHARED_OBJECT_LOOKUP] = { BACKEND(SHARED_OBJECT_LOOKUP), PROTOCOL(SHARED_OBJECT),
	                                  EXACT(SHARED, 16), REPLY(ACK, 8), REPLY_FDS(OPTIONAL) },
	[VHU_BE_SHMEM_MAP] = { BACKEND(SHMEM_MAP), PROTOCOL(SHMEM), EXACT(MMAP, 40), ACKED,
	                       FDS(ONE) },
	[VHU_BE_SHMEM_UNMAP] = { BACKEND(SHMEM_UNMAP), PROTOCOL(SHMEM), EXACT(MMAP, 40), ACKED },
};

const struct message_spec *message_spec(enum message_channel channel, uint32_t request)
{
	const struct message_spec *specs = channel == MESSAGE_MAIN ? frontend_specs : backend_specs;
	uint32_t end = channel == MESSAGE_MAIN ? VHU_FE_END : VHU_BE_END;

	return request < end && specs[request].name ? &specs[request] : NULL;
}

const char *message_name(enum message_channel channel, uint32_t request)
{
	const struct message_spec *spec = message_spec(channel, request);

	return spec ? spec->name : "unknown request";
}
