/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue of the driver's: its ring lies in frames that may be exchanged, seen
 * by the driver through a window of its own, and by the device at addresses that
 * may change. Requests are placed, taken back and judged; when a ring stops, what
 * has come back and what has not been begun must be told apart by the index that
 * the back-end answers.
 *
 * Thread: the driver's.
 */
#ifndef SOAK_VQ_H
#define SOAK_VQ_H

#include "io.h"
#include "scene.h"
#include "vring/driver.h"

#define VQ_IOS    32u
#define VQ_FRAMES 48u

/* The part of it that lies somewhere: what may move, and the indirect tables. */
struct vq_area {
	unsigned first, n; /* of the queue's frames */
	uint64_t addr;     /* for the device */
};

struct vq {
	struct scene *scene;
	unsigned index;
	uint16_t num;
	uint16_t table_entries;
	bool running, enabled;
	bool may_fail; /* its error eventfd may be signalled, until the next start */

	struct vring_driver *driver; /* NULL: there is no ring */
	char *window;
	uint32_t frames[VQ_FRAMES];
	unsigned n_frames;
	struct vq_area ring, tables;
	unsigned moves; /* so that addresses change */
	uint16_t base;  /* of a ring that is stopped: where to go on */
	int kick_fd, call_fd, err_fd;

	struct io ios[VQ_IOS];
	unsigned in_flight;
	uint64_t completed, refused;
};

void vq_init(struct vq *queue, struct scene *scene, unsigned index);
void vq_done(struct vq *queue);

/* A ring of new memory, empty; false: there are too few frames. */
bool vq_start(struct vq *queue);
/* Goes on where it was stopped, perhaps at other addresses. */
void vq_resume(struct vq *queue);
/* Whoever is not back has not been begun. */
void vq_stop(struct vq *queue);
/* The back-end has stopped it by itself; what is not back has not been begun. */
void vq_was_reset(struct vq *queue);
/* Requests that are not back are given up, and the ring's memory with them. */
void vq_abandon(struct vq *queue);
/* The session is over, whatever was going on. */
void vq_forget(struct vq *queue);

/* Places a request if there is room; it is shown by the next kick. */
bool vq_add(struct vq *queue);
void vq_kick(struct vq *queue);
/* Takes and judges what has come back; some of it stays mapped for a while. */
unsigned vq_reap(struct vq *queue);
/* Takes that back, too. */
void vq_flush(struct vq *queue);
/* A request that is not back, or NULL. */
struct io *vq_any_io(struct vq *queue);
/* For a failure: prints what the ring says. */
void vq_tell(const struct vq *queue);
/* Whether a call is sure to come for the next completion; false: there is one already. */
bool vq_arm(struct vq *queue);

/* Whoever runs goes on as if nothing had happened. */
void vq_exchange_frames(struct vq *queue);
void vq_replace_kick(struct vq *queue);
void vq_replace_call(struct vq *queue);
void vq_set_enabled(struct vq *queue, bool enabled);
/* The same, with nothing in flight: to another address. */
void vq_move_idle(struct vq *queue);
/* Takes away what a request needs to end: the ring may break and is to be stopped. */
void vq_doom(struct vq *queue, struct io *io);

#endif
