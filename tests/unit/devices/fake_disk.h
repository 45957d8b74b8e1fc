/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk with one queue, on every kind of storage by every engine that can serve it. */
#ifndef TEST_FAKE_DISK_H
#define TEST_FAKE_DISK_H

#include "fake_queue.h"

enum fake_place {
	PLACE_MEMORY,
	PLACE_TMPFS,
	PLACE_FILE_CACHED,
	PLACE_FILE_DIRECT,
	PLACE_FILE_ALIGNED, /* asks for aligned buffers, where direct files may not be had */
};

struct fake_way {
	const struct engine_ops *engine;
	enum fake_place place;
	bool quick;
};

#define N_FAKE_WAYS 14
extern const struct fake_way fake_ways[N_FAKE_WAYS];

struct fake_disk {
	int file; /* -1: memory */
	struct storage storage;
	struct vhu_queue queue;
};

/* All features are negotiated. False: this machine has no such thing. */
bool fake_disk_open(struct fake_disk *disk, const struct fake_way *way, uint64_t size);
void fake_disk_close(struct fake_disk *disk);

/* For messages of failures. */
const char *fake_way_name(const struct fake_way *way);

#endif
