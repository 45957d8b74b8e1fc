/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request, and all that may be seen of it: its pieces of memory, where they are
 * mapped, what every byte of their frames has to be before and after.
 *
 * The oracle: memory that was taken back belongs to others at once. So when an
 * unmap has returned, a request that used it has either been carried out in
 * full, or must never be. What is seen of it at that moment is what counts.
 *
 * Thread: the driver's.
 */
#ifndef SOAK_IO_H
#define SOAK_IO_H

#include "device.h"
#include "scene.h"

#define IO_PIECES 12u
/* Bytes of addresses of one request. */
#define IO_WINDOW (UINT64_C(64) * FRAME)

enum io_role {
	IO_HEADER,
	IO_OUT,
	IO_IN,
	IO_STATUS,
};

/* A part of a request within one frame. */
struct io_piece {
	enum io_role role;
	uint32_t frame;
	uint32_t offset, len; /* in the frame */
	uint64_t at;          /* in the stream of bytes of its role */
	uint64_t addr;        /* for the device */
	bool gone;            /* the frame was given back */
	bool mapped;
};

struct io {
	bool busy;
	bool done; /* it is back and was judged */
	uint64_t window;
	struct device_header header;
	struct io_piece pieces[IO_PIECES];
	unsigned n_pieces;
	bool whole; /* mapped by pages, for reading and writing */

	uint16_t position; /* in the ring's order */
	int64_t since_ms;

	bool settled;     /* it was seen carried out when memory was taken back */
	bool must_refuse; /* it was not, so it never may be */
	bool may_refuse;
	bool status_gone;
	uint8_t last_status; /* when its status was taken back */
};

/* Takes frames, fills and maps them; false: there are too few. @window: its addresses. */
bool io_prepare(struct scene *scene, struct io *io, uint64_t window);
/* What vhu_vq_add() takes; their number, at most IO_PIECES. */
unsigned io_buffers(const struct io *io, struct vhu_buffer *buffers);

/* It has come back; looks at every byte. Its memory stays as it is. */
void io_judge(struct scene *scene, struct io *io, uint32_t written);
/* It has not been begun, and never will be: looks at every byte. */
void io_judge_unbegun(struct scene *scene, struct io *io);

/* Takes a part of a request's memory back while the device may have it. */
void io_revoke(struct scene *scene, struct io *io);
/* All of it: unless it was carried out, the ring can't survive that. */
void io_revoke_all(struct scene *scene, struct io *io);
/* A region is shared no longer. */
void io_revoke_region(struct scene *scene, struct io *io, unsigned region);

/* Whether the device may ask for an address on its behalf. */
bool io_wants(const struct io *io, uint64_t addr);

/* Unmaps what is still mapped and gives all frames back. */
void io_release(struct scene *scene, struct io *io);
/* The session is over: what is left of it is nobody's. */
void io_forget(struct io *io);

#endif
