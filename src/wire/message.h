/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One vhost-user message with the fds that came with it, and everything that is
 * the same for all messages: what the table says of each (message_table.c),
 * whether a message may be acted on (message_check()), how it reads to a person
 * (message_describe()). Pure: no I/O, no memory.
 *
 * What a message *means* is not here but in backend/ and frontend/.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/protocol.h"

#define MESSAGE_FDS_MAX 8u

/* The payload, of whatever type the request number says. */
union message_payload {
	uint64_t u64;
	struct vhu_vring_state state;
	struct vhu_vring_addr addr;
	struct vhu_memory memory;
	struct vhu_memory_single single;
	struct vhu_log log;
	struct vhu_iotlb iotlb;
	struct vhu_config config;
	struct vhu_vring_area area;
	struct vhu_inflight inflight;
	struct vhu_shared shared;
	struct vhu_device_state device_state;
	struct vhu_mmap mmap;
	struct vhu_shmem shmem;
	unsigned char bytes[VHU_PAYLOAD_MAX];
};

/*
 * fds[] are owned: message_take_fd() hands one over, message_close_fds() closes
 * what is left, and is called in one place after each message.
 */
struct message {
	struct vhu_header header;
	union message_payload payload;
	int fds[MESSAGE_FDS_MAX];
	unsigned n_fds;
};

/*
 * A request without payload or fds, flags: the version; every byte that may become
 * payload of this @request, or of a reply to it, is 0.
 */
void message_init(struct message *message, uint32_t request);

/* fds[i], no longer the message's; -1 if there is none or it was taken. */
int message_take_fd(struct message *message, unsigned i);
void message_close_fds(struct message *message);

/* The two directions of requests. Replies go the other way on the same socket. */
enum message_channel {
	MESSAGE_MAIN, /* front-end asks, back-end replies */
	MESSAGE_BACK, /* back-end asks, front-end replies */
};

enum message_fds {
	MESSAGE_FDS_NONE,
	MESSAGE_FDS_ONE,        /* exactly one */
	MESSAGE_FDS_OPTIONAL,   /* none or one */
	MESSAGE_FDS_PER_REGION, /* as many as the payload has regions */
	MESSAGE_FDS_VRING,      /* one, or none with the payload's NOFD bit */
	MESSAGE_FDS_LOG,        /* exactly one if LOG_SHMFD is negotiated, else none */
};

/* What the bytes of a payload are. */
enum message_layout {
	MESSAGE_LAYOUT_EMPTY,
	MESSAGE_LAYOUT_BYTES, /* not given by the specification */
	MESSAGE_LAYOUT_U64,
	MESSAGE_LAYOUT_ACK,               /* u64: 0 is success */
	MESSAGE_LAYOUT_FEATURES,          /* u64: virtio feature bits */
	MESSAGE_LAYOUT_PROTOCOL_FEATURES, /* u64: protocol feature bits */
	MESSAGE_LAYOUT_STATUS,            /* u64: virtio device status */
	MESSAGE_LAYOUT_VRING_FD,          /* u64: ring index and NOFD */
	MESSAGE_LAYOUT_TRANSFER,          /* u64: error and NOFD, of device state */
	MESSAGE_LAYOUT_VRING_STATE,
	MESSAGE_LAYOUT_VRING_ADDR,
	MESSAGE_LAYOUT_MEMORY,
	MESSAGE_LAYOUT_MEMORY_SINGLE,
	MESSAGE_LAYOUT_LOG,
	MESSAGE_LAYOUT_IOTLB,
	MESSAGE_LAYOUT_CONFIG,
	MESSAGE_LAYOUT_VRING_AREA,
	MESSAGE_LAYOUT_INFLIGHT,
	MESSAGE_LAYOUT_SHARED,
	MESSAGE_LAYOUT_DEVICE_STATE,
	MESSAGE_LAYOUT_MMAP,
	MESSAGE_LAYOUT_SHMEM,
	MESSAGE_LAYOUT_END,
};

enum message_reply {
	MESSAGE_REPLY_ACK,    /* u64, if REPLY_ACK is negotiated and it is asked for */
	MESSAGE_REPLY_ALWAYS, /* one of its own; size as the table says */
	MESSAGE_REPLY_LOG,    /* always if LOG_SHMFD is negotiated, else as ACK */
};

/* When a message is legal, as far as the table can tell. */
enum message_state {
	MESSAGE_ANYTIME,
	MESSAGE_RING_STOPPED, /* the ring it names is stopped */
	MESSAGE_ALL_STOPPED,  /* every ring is stopped */
	MESSAGE_BACK_CHANNEL, /* there is a back-channel: all requests of a back-end */
};

/* A row of the table: everything about a message that is not its meaning. */
struct message_spec {
	const char *name;
	uint32_t request;
	enum message_channel channel;
	uint32_t size_min, size_max;   /* of the payload */
	uint32_t reply_min, reply_max; /* of the payload of a reply, an acknowledgement included */
	enum message_layout layout;
	enum message_layout reply_layout;
	enum message_fds fds;
	enum message_fds reply_fds;
	enum message_reply reply;
	uint8_t feature;  /* virtio feature bit that must be negotiated, or MESSAGE_NO_BIT */
	uint8_t protocol; /* protocol feature bit that must be negotiated, or MESSAGE_NO_BIT */
	bool by_offer;    /* that @feature is offered is enough */
	enum message_state state;
	bool deprecated;
};

#define MESSAGE_NO_BIT 255u

/* NULL: the specification knows no such message. */
const struct message_spec *message_spec(enum message_channel channel, uint32_t request);

/* Name of a request; "unknown request" where the table has none. */
const char *message_name(enum message_channel channel, uint32_t request);

/* What a receiver knows when it judges a message. */
struct message_context {
	enum message_channel channel;
	uint64_t features;          /* virtio features negotiated (SET_FEATURES) */
	uint64_t features_offered;  /* bit 30 gates GET/SET_PROTOCOL_FEATURES by offer alone */
	uint64_t protocol_features; /* negotiated */
	unsigned n_rings;           /* ring indices at or above are wrong */
	bool back_channel;          /* there is one; requests of a back-end need it */
	/*
	 * Whether ring @index runs; never called with an index of n_rings or above,
	 * nor for requests of a back-end.
	 */
	bool (*ring_runs)(const void *opaque, unsigned index);
	const void *opaque;
};

struct message_fault {
	char text[200];
};

/*
 * The header alone, before its payload is read: version, reply bit, unknown
 * flags, known request, size within the table's range. A reply that asks for a
 * reply is a flags error. 0, or -EPROTO (version,
 * flags), -EMSGSIZE, -EOPNOTSUPP (unknown request; its payload of at most
 * VHU_PAYLOAD_MAX may be read and skipped).
 */
int message_check_header(enum message_channel channel, const struct vhu_header *header,
                         bool is_reply, struct message_fault *why);

/*
 * A whole request: everything the table and the payload's syntax say. 0, or
 * -EPROTO, -EMSGSIZE (size does not fit the payload's own counts), -EBADF (fds),
 * -EOPNOTSUPP (feature not negotiated), -EBUSY (wrong state), -EINVAL (field out
 * of range: ring index, permission, type). @why says it in words; NULL if they
 * are not wanted, here and above and below.
 *
 * Fields a real front-end leaves unset are not looked at: see rule U4.
 */
int message_check(const struct message *message, const struct message_context *context,
                  struct message_fault *why);

/*
 * A reply to @request: same number, REPLY set, size and fds as the table says.
 * 0, -EPROTO, -EMSGSIZE, -EBADF, -EOPNOTSUPP (a reply to what the table has not).
 */
int message_check_reply(const struct message *reply, enum message_channel channel,
                        const struct vhu_header *request, struct message_fault *why);

/*
 * One line for people: name, flags, decoded payload, number of fds. Cut at
 * @size; always terminated. Takes any bytes, also malformed ones.
 */
void message_describe(const struct message *message, enum message_channel channel, bool is_reply,
                      char *text, size_t size);

#endif
