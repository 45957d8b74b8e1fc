/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases: the size, the fds and the reply of each message, as the message table
 * has them. A row is a message; what it is gated by is what the row needs.
 */
#include "front.h"
#include "suite_backend.h"

#define REPLY_ACK   VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)
#define BACKEND_REQ VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ)
#define CONFIG      VHU_BIT(VHU_PROTOCOL_F_CONFIG)
#define SLOTS       VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS)
#define INFLIGHT    VHU_BIT(VHU_PROTOCOL_F_INFLIGHT_SHMFD)
#define RESET       VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE)
#define RARP        VHU_BIT(VHU_PROTOCOL_F_RARP)
#define LOG         VHU_BIT(VHU_PROTOCOL_F_LOG_SHMFD)
#define STATUS      VHU_BIT(VHU_PROTOCOL_F_STATUS)
#define MQ          VHU_BIT(VHU_PROTOCOL_F_MQ)
#define BIT_30      VHU_BIT(VHU_F_PROTOCOL_FEATURES)
#define SENDS       50

static void open_for(struct front *f)
{
	const struct case_needs *needs = &f->trial->which->needs;

	front_open(f, &(struct front_setup){ .features = needs->features & FRONT_IOMMU,
	                                     .protocol = needs->protocol });
}

static void too_short(struct front *f)
{
	uint32_t request = f->trial->which->request;
	struct message message;

	open_for(f);
	message = msg_of_table(request, f->ram.regions[0].fd);
	message.header.size--;
	expect_refused_and_serves(f, &message);
}

static void too_long(struct front *f)
{
	uint32_t request = f->trial->which->request;
	struct message message;

	open_for(f);
	message = msg_of_table(request, f->ram.regions[0].fd);
	message.header.size = message_spec(MESSAGE_MAIN, request)->size_max + 8;
	expect_refused_and_serves(f, &message);
}

static void without_fd(struct front *f)
{
	uint32_t request = f->trial->which->request;
	struct message message;

	open_for(f);
	message = request == VHU_FE_ADD_MEM_REG ? front_region(f, request, 0)
	                                        : msg_of_table(request, f->ram.regions[0].fd);
	if (request == VHU_FE_ADD_MEM_REG)
		message.payload.single.region.gpa += UINT64_C(1) << 40;
	message.n_fds = 0;
	expect_refused_and_serves(f, &message);
}

/* Sent with NEED_REPLY it has the one reply all the same. */
static void own_reply(struct front *f)
{
	struct message message;

	open_for(f);
	message = msg_of_table(f->trial->which->request, -1);
	front_send(f, &message);
	expect_reply(f, message.header.request);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	front_send(f, &message);
	expect_echo(f, message.header.request);
	expect_silence(f);
	expect_alive(f);
}

/* Too many at once are cut off by the kernel or by us; either way none may stay open. */
static void fds_that_nobody_wants(struct front *f)
{
	struct message message = msg_empty(VHU_FE_GET_FEATURES), reply;
	int before, after, error = 0;

	front_open(f, &(struct front_setup){ .no_memory = true });
	for (unsigned i = 0; i < f->trial->which->request; i++)
		message.fds[message.n_fds++] = f->ram.regions[0].fd;
	before = subject_holdings(f->subject).fds;
	for (unsigned i = 0; i < SENDS && !error; i++) {
		error = link_send(&f->main, &message);
		if (!error)
			error = link_recv(&f->main, &reply, (int)f->trial->patience_ms);
	}
	/* Those of the last one may be closed after its reply, and before the next is read. */
	if (!error)
		expect_alive(f);
	after = subject_holdings_of(f->subject, before + 1, (int)f->trial->patience_ms).fds;
	NOTE(f, "it holds %d fds, %d before", after, before);
	EXPECT(f, after <= before + 1, "fds that a message may not have to be closed: %d are kept",
	       after - before);
	expect_serves_anew(f);
}

#define ROW(what, words, name, number, checks, level_, ...)                              \
	{                                                                                \
		.id = "payload." name "." what, .title = #number ": " words,             \
		.rule = "vhost-user: " #number, .level = (level_), .needs = __VA_ARGS__, \
		.request = VHU_FE_##number, .backend = (checks),                         \
	}

#define TOO_LONG(name, number, ...)                                                     \
	ROW("too-long", "a payload of 8 bytes more is refused", name, number, too_long, \
	    LEVEL_SHOULD, __VA_ARGS__)

#define SIZES(name, number, ...)                                                            \
	ROW("too-short", "a payload that lacks a byte is refused", name, number, too_short, \
	    LEVEL_SHOULD, __VA_ARGS__),                                                     \
		TOO_LONG(name, number, __VA_ARGS__)

#define NO_FD(name, number, ...)                                                                  \
	ROW("no-fd", "without the fd that belongs to it it is refused", name, number, without_fd, \
	    LEVEL_SHOULD, __VA_ARGS__)

#define OWN_REPLY(name, number, ...)                                                        \
	ROW("reply", "one reply of the right size, whether asked for or not", name, number, \
	    own_reply, LEVEL_MUST, __VA_ARGS__)

static const struct conform_case cases[] = {
	OWN_REPLY("get-features", GET_FEATURES, { .protocol = REPLY_ACK }),
	OWN_REPLY("get-protocol-features", GET_PROTOCOL_FEATURES, { .protocol = REPLY_ACK }),
	/* Of a ring that never was started. */
	ROW("reply", "one reply of the right size, whether asked for or not", "get-vring-base",
	    GET_VRING_BASE, own_reply, LEVEL_SHOULD, { .protocol = REPLY_ACK }),
	OWN_REPLY("get-queue-num", GET_QUEUE_NUM, { .protocol = REPLY_ACK | MQ }),
	OWN_REPLY("get-max-mem-slots", GET_MAX_MEM_SLOTS, { .protocol = REPLY_ACK | SLOTS }),
	OWN_REPLY("get-status", GET_STATUS, { .protocol = REPLY_ACK | STATUS }),

	TOO_LONG("get-features", GET_FEATURES, { .protocol = REPLY_ACK }),
	TOO_LONG("set-owner", SET_OWNER, { .protocol = REPLY_ACK }),
	TOO_LONG("get-queue-num", GET_QUEUE_NUM, { .protocol = REPLY_ACK | MQ }),
	TOO_LONG("get-max-mem-slots", GET_MAX_MEM_SLOTS, { .protocol = REPLY_ACK | SLOTS }),
	TOO_LONG("get-status", GET_STATUS, { .protocol = REPLY_ACK | STATUS }),
	TOO_LONG("reset-device", RESET_DEVICE, { .protocol = REPLY_ACK | RESET }),
	TOO_LONG("set-backend-req-fd", SET_BACKEND_REQ_FD, { .protocol = REPLY_ACK | BACKEND_REQ }),

	SIZES("set-features", SET_FEATURES, { .protocol = REPLY_ACK }),
	SIZES("set-protocol-features", SET_PROTOCOL_FEATURES, { .protocol = REPLY_ACK }),
	SIZES("set-vring-num", SET_VRING_NUM, { .protocol = REPLY_ACK }),
	SIZES("set-vring-addr", SET_VRING_ADDR, { .protocol = REPLY_ACK }),
	SIZES("set-vring-base", SET_VRING_BASE, { .protocol = REPLY_ACK }),
	SIZES("set-vring-enable", SET_VRING_ENABLE, { .protocol = REPLY_ACK, .features = BIT_30 }),
	SIZES("set-vring-call", SET_VRING_CALL, { .protocol = REPLY_ACK }),
	SIZES("set-vring-kick", SET_VRING_KICK, { .protocol = REPLY_ACK }),
	SIZES("set-vring-err", SET_VRING_ERR, { .protocol = REPLY_ACK }),
	SIZES("get-vring-base", GET_VRING_BASE, { .protocol = REPLY_ACK }),
	SIZES("set-mem-table", SET_MEM_TABLE, { .protocol = REPLY_ACK }),
	SIZES("add-mem-reg", ADD_MEM_REG, { .protocol = REPLY_ACK | SLOTS }),
	SIZES("rem-mem-reg", REM_MEM_REG, { .protocol = REPLY_ACK | SLOTS }),
	SIZES("iotlb-msg", IOTLB_MSG,
	      { .protocol = REPLY_ACK | BACKEND_REQ, .features = FRONT_IOMMU }),
	SIZES("get-config", GET_CONFIG, { .protocol = REPLY_ACK | CONFIG }),
	SIZES("set-config", SET_CONFIG, { .protocol = REPLY_ACK | CONFIG }),
	SIZES("send-rarp", SEND_RARP, { .protocol = REPLY_ACK | RARP }),
	SIZES("set-status", SET_STATUS, { .protocol = REPLY_ACK | STATUS }),

	NO_FD("set-backend-req-fd", SET_BACKEND_REQ_FD, { .protocol = REPLY_ACK | BACKEND_REQ }),
	NO_FD("add-mem-reg", ADD_MEM_REG, { .protocol = REPLY_ACK | SLOTS }),
	NO_FD("set-inflight-fd", SET_INFLIGHT_FD, { .protocol = REPLY_ACK | INFLIGHT }),
	NO_FD("set-log-base", SET_LOG_BASE, { .protocol = REPLY_ACK | LOG }),
	NO_FD("set-log-fd", SET_LOG_FD, { .protocol = REPLY_ACK | LOG }),
	NO_FD("set-vring-kick", SET_VRING_KICK, { .protocol = REPLY_ACK }),
	NO_FD("set-vring-call", SET_VRING_CALL, { .protocol = REPLY_ACK }),
	NO_FD("set-vring-err", SET_VRING_ERR, { .protocol = REPLY_ACK }),
	{
		.id = "payload.fd-that-nobody-wants",
		.title = "an fd that comes with a message that has none is closed",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs.pid = true,
		.request = 1,
		.backend = fds_that_nobody_wants,
		.explain = "Whoever may connect could use up the fds of the process otherwise.",
	},
	{
		.id = "payload.fds-that-nobody-wants",
		.title = "eight fds that come with a message that has none are closed",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs.pid = true,
		.request = MESSAGE_FDS_MAX,
		.backend = fds_that_nobody_wants,
	},
};

const struct conform_area area_payload = AREA("payload", "size, fds and reply of each message",
                                              cases);
