/* SPDX-License-Identifier: BSD-3-Clause */
/* Connecting and negotiating, and the memory table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "front.h"

#define USUAL                                                                           \
	(VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) |               \
	 VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |         \
	 VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PROTOCOL_F_STATUS) | \
	 VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE))

#define STATUS_KNOWN (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define FIRST_IOVA   UINT64_C(0x100000000)

int front_init(struct front *f, struct trial *trial, struct subject *subject)
{
	*f = (struct front){
		.trial = trial, .subject = subject, .next_iova = FIRST_IOVA, .back_filler = -1
	};
	f->main = (struct link){ trial, MESSAGE_MAIN, true, -1 };
	f->back = (struct link){ trial, MESSAGE_BACK, false, -1 };
	for (unsigned i = 0; i < FRONT_RINGS; i++)
		f->rings[i] = (struct ring){ .index = i, .kick = -1, .call = -1, .err = -1 };
	f->maps = calloc(FRONT_MAPS, sizeof(*f->maps));
	f->misses = calloc(FRONT_MISSES, sizeof(*f->misses));
	return f->maps && f->misses ? 0 : -ENOMEM;
}

static void close_all(struct front *f)
{
	link_close(&f->main);
	link_close(&f->back);
	fd_close(&f->back_filler);
	f->n_fillers = 0;
	f->jammed = false;
	for (unsigned i = 0; i < FRONT_RINGS; i++) {
		fd_close(&f->rings[i].kick);
		fd_close(&f->rings[i].call);
		fd_close(&f->rings[i].err);
	}
}

void front_done(struct front *f)
{
	close_all(f);
	ram_done(&f->ram);
	free(f->maps);
	free(f->misses);
}

void front_connect(struct front *f)
{
	int fd;

	close_all(f);
	f->features = f->protocol = 0;
	f->status = 0;
	f->io = (struct io_state){ 0 };
	fd = subject_connect(f->subject, trial_left(f->trial, (int)f->trial->patience_ms));
	if (fd < 0)
		trial_fail(f->trial, "no connection: %s", strerror(-fd));
	f->main.fd = fd;
	NOTE(f, "connects");
}

void front_negotiate_protocol(struct front *f, const struct front_setup *setup)
{
	uint64_t offered;

	f->offered = front_get_u64(f, VHU_FE_GET_FEATURES);
	if (!(f->offered & VHU_BIT(VHU_F_PROTOCOL_FEATURES)))
		return;
	offered = front_get_u64(f, VHU_FE_GET_PROTOCOL_FEATURES);
	if (setup->protocol & ~offered)
		trial_skip(f->trial, "the back-end does not offer a protocol feature");
	f->protocol = (offered & USUAL & ~setup->protocol_without) | setup->protocol;
	front_send_u64(f, VHU_FE_SET_PROTOCOL_FEATURES, f->protocol);
}

void front_open_back(struct front *f, int buffer)
{
	struct message message;
	int pair[2];

	link_close(&f->back);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		trial_error(f->trial, "no socket pair: %s", strerror(errno));
	f->back.fd = pair[0];
	if (buffer) {
		setsockopt(pair[0], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	}
	/* The same fd in the message and, if the trial ends here, nowhere else. */
	message = msg_fd(VHU_FE_SET_BACKEND_REQ_FD, pair[1]);
	if (f->protocol & VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK))
		message.header.flags |= VHU_FLAG_NEED_REPLY;
	link_send(&f->main, &message);
	message_close_fds(&message);
	if (message.header.flags & VHU_FLAG_NEED_REPLY)
		EXPECT_EQUAL(f, expect_reply_u64(f, VHU_FE_SET_BACKEND_REQ_FD), 0,
		             "acknowledgement of SET_BACKEND_REQ_FD");
}

void front_set_features(struct front *f, uint64_t features)
{
	struct message message;

	features |= VHU_BIT(VIRTIO_F_VERSION_1) | (f->offered & VHU_BIT(VHU_F_PROTOCOL_FEATURES));
	message = msg_u64(VHU_FE_SET_FEATURES, features);
	expect_ack(f, &message);
	f->features = features;
}

struct message front_table(const struct front *f, unsigned n)
{
	struct message message = msg_empty(VHU_FE_SET_MEM_TABLE);

	message.header.size = (uint32_t)(offsetof(struct vhu_memory, regions) +
	                                 n * sizeof(struct vhu_memory_region));
	message.payload.memory.n = n;
	for (unsigned i = 0; i < n; i++) {
		const struct ram_region *region = &f->ram.regions[i];

		message.payload.memory.regions[i] = (struct vhu_memory_region){
			region->gpa, region->size, region->uva, region->offset
		};
		message.fds[message.n_fds++] = region->fd;
	}
	return message;
}

struct message front_region(const struct front *f, uint32_t request, unsigned i)
{
	const struct ram_region *region = &f->ram.regions[i];
	struct message message = msg_empty(request);

	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = (struct vhu_memory_region){ region->gpa, region->size,
		                                                    region->uva, region->offset };
	if (request == VHU_FE_ADD_MEM_REG)
		message.fds[message.n_fds++] = region->fd;
	return message;
}

void front_share(struct front *f)
{
	struct message message = front_table(f, f->ram.n);

	expect_ack(f, &message);
}

void front_add_status(struct front *f, uint8_t bits)
{
	struct message message;

	if (f->no_status || !(f->protocol & VHU_BIT(VHU_PROTOCOL_F_STATUS)) ||
	    (f->status & bits) == bits)
		return;
	f->status |= bits;
	message = msg_u64(VHU_FE_SET_STATUS, f->status);
	expect_ack(f, &message);
}

static void check_offer(struct front *f, uint64_t features)
{
	uint64_t lacking = features & ~f->offered;

	if (lacking)
		trial_skip(f->trial, "the back-end does not offer feature bit %u",
		           (unsigned)__builtin_ctzll(lacking));
}

void front_open(struct front *f, const struct front_setup *setup)
{
	struct message owner = msg_empty(VHU_FE_SET_OWNER);
	int error = f->ram.n ? 0 : ram_make(&f->ram);

	if (error)
		trial_error(f->trial, "no memory to share: %s", strerror(-error));
	front_connect(f);
	f->no_status = setup->no_status;
	front_negotiate_protocol(f, setup);
	check_offer(f, setup->features);
	front_send(f, &owner);
	if (f->protocol & VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) && !setup->no_back)
		front_open_back(f, setup->back_buffer);
	front_add_status(f, STATUS_KNOWN);
	front_set_features(f, setup->features);
	front_add_status(f, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!setup->no_memory)
		front_share(f);
}
