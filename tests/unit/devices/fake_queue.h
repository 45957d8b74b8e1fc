/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue without a ring: gives a block device requests made of plain buffers
 * and takes their completions. Stands in for the back-end's half of
 * vhu/device.h.
 */
#ifndef TEST_FAKE_QUEUE_H
#define TEST_FAKE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/blk.h"

struct vhu_queue {
	unsigned index, size;
	void *priv;
	int fd; /* watched, or -1 */
	void (*ready)(void *dev, struct vhu_queue *queue);
	struct blk *blk;
	unsigned under_way;
};

struct fake_request {
	struct vhu_request req;
	uint32_t written;
	bool is_done;
	_Alignas(16) char priv[1024];
};

/* Starts queue 0 of a new device. Fails the test if it can't. */
void fake_start(struct vhu_queue *queue, const struct blk_options *options);
void fake_stop(struct vhu_queue *queue);

/* Submits; fake_wait() ends the batch and returns when no more than @most are
 * under way. */
void fake_submit(struct vhu_queue *queue, struct fake_request *request);
void fake_wait(struct vhu_queue *queue, unsigned most);

/* A request of one header, one data buffer and a status byte, waited for.
 * Returns the status. */
uint8_t fake_io(struct vhu_queue *queue, uint32_t type, uint64_t sector, void *data, size_t len);

/* A file of @size bytes of zeros, removed already: in memory, or in the current
 * folder. Its path works as long as the fd is open. */
int fake_file(bool in_memory, uint64_t size, char path[static 64]);

#endif
