/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A server with a trivial device and the front-end that plays against it, all in
 * one thread: what the parts of the target share.
 *
 *   backend.c          a run: the steps, what is checked after each, the end
 *   backend_peer.c     what the front-end says and hears, and where memory is
 *   backend_message.c  any message of the table from the input
 *   backend_ring.c     what the driver does to its rings
 *   backend_device.c   the device
 */
#ifndef FUZZ_BACKEND_H
#define FUZZ_BACKEND_H

#include <vhu/backend.h>

#include "backend/session.h"
#include "base/list.h"
#include "end.h"
#include "input.h"
#include "support/check.h"
#include "told.h"
#include "wire/message.h"

#define QUEUES      2u
#define WORKERS_MAX 2u

/* Memory: two files, adjacent in gpa from 0 and in uva. */
#define PAGE      4096u
#define FILES     2u
#define FILE_SIZE (4u * PAGE)
#define MEMORY    (FILES * FILE_SIZE)
#define UVA       UINT64_C(0x7f0000000000)

/* The parts of a ring, from where it begins: play->ring_gpa, in iova the same. */
#define RING_NUM   8u
#define RING_AVAIL 0x200u
#define RING_USED  0x400u

/* A request of the front-end's, until something is heard that was said later. */
struct said {
	uint32_t request;
	bool asks;
	uint64_t seq;
};

struct miss {
	struct vhu_header header;
	struct vhu_iotlb iotlb;
	bool excused; /* it may be nobody's any more, so that it may be asked again (S1) */
};

#define SAID_MAX   256u
#define MISSES_MAX 1024u

struct play {
	struct input *input;
	struct vhu_server *server;
	struct vhu_worker *workers[WORKERS_MAX];
	unsigned n_workers;
	bool runs_itself;   /* everything runs after each step */
	bool small_buffers; /* of sockets */

	bool listens;     /* the server serves one connection after the other */
	bool reconnected; /* so that nobody knows what the one before still does */
	struct end main, back;
	int second; /* a connection that was made beside the first */
	uint64_t ring_gpa[QUEUES];
	bool garbled; /* bytes were sent that need not be messages */
	bool deaf;    /* does not listen on the main channel */
	struct said said[SAID_MAX];
	unsigned n_said, n_heard;
	struct miss misses[MISSES_MAX];
	unsigned n_misses;
	unsigned protocol_sets; /* SET_PROTOCOL_FEATURES sent */
	struct told told;

	struct list held;
	unsigned n_held, n_device;
	bool holds;
	bool fails;
	uint8_t status_len;
};

/* backend_peer.c */

/* Once. */
void peer_init(void);
/* All files as they were; every eventfd is drained. */
void peer_reset(void);
/* Where the front-end has a byte; and a change of some, as far as there is memory. */
char *peer_memory(uint64_t gpa);
void peer_write(uint64_t gpa, const void *bytes, size_t size);
/* Makes a file shorter, and as long as it was again: what was cut off is zero. */
void peer_cut(unsigned file, uint64_t size);
void peer_restore(unsigned file);
/* Fails if what was not allowed to change has changed. */
void peer_check_memory(const struct play *play);

/* An fd for a message: of kind 0 the right one. Not to be closed, but for the back-channel's. */
int peer_fd(struct play *play, uint32_t request, unsigned which, unsigned kind);
#define PEER_FD_KINDS 12u
/* Which file an fd is; FILES: none. */
unsigned peer_file(int fd);

/* Sends and remembers. Takes the fds. */
void peer_say(struct play *play, struct message *message);
void peer_say_u64(struct play *play, uint32_t request, uint64_t value);
void peer_say_state(struct play *play, uint32_t request, uint32_t index, uint32_t num);
void peer_say_fd(struct play *play, uint32_t request, unsigned index);
void peer_say_iotlb(struct play *play, uint8_t type, uint64_t iova, uint64_t size, uint64_t uva,
                    uint8_t perm);
/* Takes what was answered and asked. */
void peer_hear(struct play *play);
void peer_answer(struct play *play, uint64_t value);
/* Gives what the oldest miss asks for, where there is memory for it, and answers. */
void peer_grant(struct play *play);
/* The other end for a new back-channel. */
int peer_open_back(struct play *play);
/* A socket to listen on, and a connection to it. */
int peer_listen(void);
int peer_connect(void);
void peer_kick(unsigned queue);

/* backend_message.c */
void message_step(struct play *play);

/* backend_ring.c */
void ring_write_desc(struct play *play);
void ring_show(struct play *play);
void ring_jump(struct play *play);
void ring_poke(struct play *play);
void ring_request(struct play *play);

/* backend_device.c */
extern struct vhu_device_ops device_ops;
void device_init(void);
/* Completes @n requests that are held, oldest or newest first. */
void device_release(struct play *play, unsigned n, bool newest);
/* The same, when the queues' workers come to it. */
void device_release_later(struct play *play);

#endif
