/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a disk's bytes are: a file, a block device, or memory. Opens it and
 * finds out what it can do; moves no data (engine.h does).
 *
 * Opened and closed by one thread; in between nothing changes, not even size,
 * and every thread may read it.
 */
#ifndef DEVICES_STORAGE_H
#define DEVICES_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How it is best cut, in bytes; 0: not known. Advice for drivers. */
struct storage_shape {
	unsigned physical;   /* what is written as a whole */
	unsigned io_min;     /* the least that is fast */
	unsigned io_opt;     /* what is fastest */
	unsigned allocation; /* what is allocated and freed as a whole */
};

struct window;

struct storage {
	int fd;      /* -1: memory */
	void *bytes; /* memory; NULL: a file */
	char *name;  /* for messages; NULL: memory */
	uint64_t size;
	bool read_only;
	bool direct;    /* opened past the page cache */
	bool in_memory; /* no access ever sleeps on a disk */
	bool nowait;    /* reads can be tried without sleeping */
	/* Of its page cache; NULL: none. Opened where window_install() was called before. */
	struct window *window;
	bool can_discard;
	/* What lengths and offsets, and what addresses must be multiples of; 1: of nothing. */
	unsigned align, memory_align;
	struct storage_shape shape;
};

struct storage_fault {
	char text[240];
};

/*
 * Opens a regular file or a block device. 0, or -errno with *why saying what is
 * wrong and what to do, without the file's name. -EINVAL: neither of the two, empty, or
 * @direct where the file system can't.
 */
int storage_open(struct storage *storage, const char *path, bool read_only, bool direct,
                 struct storage_fault *why);

/* A disk of zeros that lasts as long as the storage. 0, or -errno with *why. */
int storage_open_memory(struct storage *storage, uint64_t size, bool read_only,
                        struct storage_fault *why);

/* The size it has now: a file or device may have grown. 0 or -errno. */
int storage_measure(const struct storage *storage, uint64_t *ret);

void storage_close(struct storage *storage);

#endif
