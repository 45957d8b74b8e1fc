/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rig of cases that judge a back-end: a front-end by hand, message by
 * message, with memory, rings and translations of its own.
 *
 *	static void reads_what_it_was_given(struct front *f)
 *	{
 *		struct span data;
 *
 *		front_open(f, &(struct front_setup){ .features = FRONT_IOMMU });
 *		io_start(f);
 *		data = front_span(f, &(struct span_setup){ .len = 4096, .scattered = true });
 *		io_out(f, &data, 1);
 *		io_expect_done(f);
 *		io_expect_saw(f, &data, 1);
 *	}
 *
 * Every trial has a connection of its own, made by front_connect() or by
 * front_open(), which negotiates besides. What begins with expect_ ends the trial
 * where it does not hold; front_ functions that have to work do, too. All that
 * was opened is closed by the runner.
 *
 * front_connect.c connects and negotiates, front_message.c asks and expects on
 * the main channel, front_memory.c makes pieces of memory, front_iotlb.c answers
 * misses, front_jam.c makes the back-channel full, front_ring.c starts and stops
 * rings. While a reply is awaited nothing else is served, which is how QEMU does
 * it; a back-end that needs a miss to be answered before it can reply hangs with
 * either.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_FRONT_H
#define CONFORM_FRONT_H

#include <linux/virtio_config.h>
#include <stdbool.h>
#include <stdint.h>

#include "link.h"
#include "messages.h"
#include "ram.h"
#include "ring.h"
#include "subject.h"
#include "trial.h"

#define FRONT_IOMMU     VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define FRONT_RINGS     16u
#define FRONT_MAPS      8192u
#define FRONT_MISSES    4096u
#define FRONT_QUIET     60 /* ms without anything that show that nothing comes */

#define FRONT_EVENT_IDX VHU_BIT(29)
#define FRONT_INDIRECT  VHU_BIT(28)

enum {
	PERM_R = 1,
	PERM_W = 2,
	PERM_RW = 3,
};

/* Zero is a good default for every field. */
struct front_setup {
	uint64_t features; /* virtio features beside VERSION_1 and bit 30; must be offered */
	uint64_t protocol; /* protocol features beside the usual ones; must be offered */
	uint64_t protocol_without; /* of the usual ones */
	int back_buffer;           /* bytes of socket buffer of the back-channel; 0: default */
	bool no_memory;            /* share none */
	bool no_back;              /* send no back-channel */
	bool no_status;            /* send no SET_STATUS by itself */
};

/* What a miss is answered with where the case does nothing itself. */
struct front_map {
	uint64_t iova, size, uva;
	uint8_t perm;
};

struct front_miss {
	uint64_t iova, size;
	uint8_t perm;
	struct vhu_header header;
};

enum front_answer {
	ANSWER_BY_MAPS, /* grant what the maps have, refuse the rest */
	ANSWER_DONE,    /* the hook has done what is to be done, or nothing */
};

/*
 * Memory as the device addresses it: without an IOMMU by gpa, with one by iova.
 * @ptr is this process' view, contiguous whatever lies beneath.
 */
struct span {
	uint64_t addr;
	char *ptr;
	uint32_t len;
};

struct span_setup {
	uint32_t len;
	uint64_t iova;   /* with an IOMMU, multiple of a page; 0: one that is free */
	uint8_t perm;    /* of what is granted; 0: PERM_RW */
	bool scattered;  /* with an IOMMU: no two of its pages are adjacent in memory */
	bool unmapped;   /* the maps are not told: misses are refused */
	bool at_zero;    /* at iova 0 */
	uint32_t offset; /* where in its first page it begins */
};

struct ring_setup {
	uint16_t num;   /* 0: 64 */
	uint16_t base;  /* of both indices */
	bool event_idx; /* as negotiated */
	bool indirect;  /* with tables */
	bool disabled;  /* started, not enabled */
	bool scattered; /* its pages, with an IOMMU */
	bool at_zero;   /* with an IOMMU: at iova 0 */
	uint64_t iova;  /* with an IOMMU; 0: one that is free */
};

/* io_*.c: the request under way; see io.h. */
struct io_state {
	struct span header, status, config, arrived;
	uint64_t sector; /* of the last write of a disk */
	uint32_t bytes;  /* that the device was to read last */
	uint16_t head;
	unsigned turn;
	bool ready;
};

struct front {
	struct trial *trial;
	struct subject *subject;
	struct link main, back;
	uint64_t offered, features; /* virtio features offered, negotiated */
	uint64_t protocol;          /* protocol features negotiated */
	uint8_t status;
	bool no_status;
	struct ram ram;
	struct ring rings[FRONT_RINGS];
	struct io_state io;

	/* Translations. */
	struct front_map *maps;
	unsigned n_maps;
	uint64_t next_iova;
	bool jammed;     /* the back-channel is not read by whatever waits */
	int back_filler; /* front_jam.c: the back-end's end of it; -1: none */
	unsigned n_fillers;
	bool grant_whole; /* all of a map entry and not only the page of the miss */
	enum front_answer (*on_miss)(struct front *f, const struct front_miss *miss);
	void *opaque;              /* the hook's */
	struct front_miss *misses; /* all that came, up to FRONT_MISSES of them */
	unsigned n_misses;
};

/* Of the runner. 0 or -ENOMEM. */
int front_init(struct front *f, struct trial *trial, struct subject *subject);
void front_done(struct front *f);

/* front_connect.c */

/* A connection of which nothing is negotiated; the one there was is closed. */
void front_connect(struct front *f);
/* front_connect() and all of those below that @setup does not leave out. */
void front_open(struct front *f, const struct front_setup *setup);
void front_negotiate_protocol(struct front *f, const struct front_setup *setup);
void front_open_back(struct front *f, int buffer);
void front_set_features(struct front *f, uint64_t features);
/* SET_MEM_TABLE of all regions. */
void front_share(struct front *f);
/* The message itself, of the first @n regions. */
struct message front_table(const struct front *f, unsigned n);
/* ADD_MEM_REG, REM_MEM_REG of a region. */
struct message front_region(const struct front *f, uint32_t request, unsigned region);
/* SET_STATUS with the bit set beside those that were set; where that was negotiated. */
void front_add_status(struct front *f, uint8_t bits);

/* front_message.c */

/* Sends as it is. The connection must be there. */
void front_send(struct front *f, const struct message *message);
void front_send_u64(struct front *f, uint32_t request, uint64_t value);
/* The reply to @request: header and size as the message table has them. */
struct message expect_reply(struct front *f, uint32_t request);
/* The same, also if its flags still say NEED_REPLY, as those of the request did. */
struct message expect_echo(struct front *f, uint32_t request);
uint64_t expect_reply_u64(struct front *f, uint32_t request);
/* Sends a request without payload and returns the u64 of its reply. */
uint64_t front_get_u64(struct front *f, uint32_t request);
/*
 * Sends with NEED_REPLY and returns what was acknowledged; without REPLY_ACK sends
 * without, makes sure that the connection goes on, and returns 0.
 */
uint64_t front_call(struct front *f, const struct message *message);
/* The same, and it must be 0. */
void expect_ack(struct front *f, const struct message *message);
/*
 * The same, and it must be refused: by a non-zero acknowledgement, by the connection's
 * end, or by both. True: the connection goes on.
 */
bool expect_refused(struct front *f, const struct message *message);
/* The same, and whoever connects next is served. */
void expect_refused_and_serves(struct front *f, const struct message *message);
/* The same, and whatever comes of it is fine. True: it was accepted. */
bool front_try(struct front *f, const struct message *message);
/* Nothing on the main channel for FRONT_QUIET ms. */
void expect_silence(struct front *f);
void expect_closed(struct front *f);
/* This connection still answers GET_FEATURES. */
void expect_alive(struct front *f);
/* After whatever happened to this connection, a new one is served. */
void expect_serves_anew(struct front *f);
/* The process holds as many mappings and fds as before, or a few more. Needs --pid. */
void expect_holds_no_more(struct front *f, const struct holdings *before, int few);
/* What is sent next is answered, or the connection is closed; the back-end must survive. */
void expect_survives(struct front *f, const struct message *message);

/* front_memory.c */

struct span front_span(struct front *f, const struct span_setup *setup);
/* The same of one page, or of more, mapped for reading and writing. */
struct span front_alloc(struct front *f, uint32_t len);
/* The uva of what a span's byte @offset lies in; where the maps have it. */
uint64_t front_uva(const struct front *f, const struct span *span, uint32_t offset);
void front_fill(struct front *f, const struct span *span, unsigned char byte);
/* A pattern that differs with @seed and with the place of each byte. */
void front_pattern(const struct span *span, uint64_t seed);
/* Each byte of the span is @byte. */
void expect_bytes(struct front *f, const struct span *span, unsigned char byte, const char *what);
/* Nothing was written into memory that was given to nobody. */
void expect_canaries(struct front *f);

/* front_iotlb.c */

/* What misses are answered with from now on. Tell nobody. */
void front_map(struct front *f, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm);
void front_unmap(struct front *f, uint64_t iova, uint64_t size);
/* Sends UPDATE, INVALIDATE; what was acknowledged. */
uint64_t front_update(struct front *f, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm);
uint64_t front_invalidate(struct front *f, uint64_t iova, uint64_t size);
void expect_update(struct front *f, uint64_t iova, uint64_t size, uint64_t uva, uint8_t perm);
void expect_invalidate(struct front *f, uint64_t iova, uint64_t size);
/* All of a span at once, page by page, as the maps have it. */
void front_push(struct front *f, const struct span *span);
/* The next miss; false: none within @ms, or the back-channel is closed. It is not answered. */
bool front_next_miss(struct front *f, struct front_miss *ret, int ms);
struct front_miss expect_miss(struct front *f);
void expect_no_miss(struct front *f);
/* In the order of the misses. A grant is an UPDATE and a reply of 0; false: not in the maps. */
bool front_grant(struct front *f, const struct front_miss *miss);
void front_refuse(struct front *f, const struct front_miss *miss);
void front_answer(struct front *f, const struct front_miss *miss, uint64_t value);
/* By hook and maps, until none has come for @quiet_ms. */
void front_serve(struct front *f, int quiet_ms);
/* Misses so far that meet the range. */
unsigned front_misses_of(const struct front *f, uint64_t iova, uint64_t size);

/* front_ring.c */

void front_ring_start(struct front *f, unsigned index, const struct ring_setup *setup);
/* Its messages: NUM, BASE, ADDR, CALL, ERR, KICK, ENABLE of a ring that is laid out. */
void front_ring_layout(struct front *f, unsigned index, const struct ring_setup *setup);
void front_ring_announce(struct front *f, unsigned index, uint16_t base);
/* The same with another ADDR, and what is refused is not insisted on. False: something was. */
bool front_ring_try(struct front *f, unsigned index, const struct message *addr);
struct message front_ring_addr(const struct front *f, unsigned index);
void front_ring_enable(struct front *f, unsigned index, bool enable);
/* GET_VRING_BASE: the base. The ring's memory and eventfds stay. */
uint16_t front_ring_stop(struct front *f, unsigned index);
void front_kick(struct front *f, unsigned index);
/* Shows one chain and kicks. Returns its head. */
uint16_t front_submit(struct front *f, unsigned index, const struct seg *segs, unsigned n);
/* Until @n elements wait to be taken, serving misses; false: not within @ms. */
bool front_wait_used(struct front *f, unsigned index, unsigned n, int ms);
/* The next used element, which must come, or must not. */
struct ring_used_elem expect_used(struct front *f, unsigned index);
void expect_unused(struct front *f, unsigned index);
/* The error eventfd is signalled, or a call; false: not within @ms. */
bool front_event(struct front *f, int fd, int ms);

#endif
