/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory a rig shares: regions that are adjacent neither in gpa, nor in uva,
 * nor in their files, whose uvas are no addresses of this process and equal to no
 * gpa. What is handed out has a canary behind it: RAM_CANARY in every page that
 * nobody was given, between what was given out and around the regions in their
 * files. Knows no message and no iova.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_RAM_H
#define CONFORM_RAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RAM_PAGE    UINT64_C(4096)
#define RAM_REGIONS 3u
#define RAM_VIEWS   128u
#define RAM_GUARDS  4096u
#define RAM_CANARY  0xee

struct ram_region {
	int fd;
	uint64_t gpa, uva, size;
	uint64_t offset; /* of the region in its file, where there is more than it */
	char *file;      /* the whole file, mapped */
	uint64_t file_size;
	uint64_t next; /* what is handed out next */
	char *ptr;     /* the region */
	/* Where canary pages lie behind what was handed out. */
	uint32_t guards[RAM_GUARDS];
	unsigned n_guards;
};

struct ram_view {
	char *ptr;
	size_t len;
};

/* Zero-initialised before ram_make(). */
struct ram {
	unsigned n;
	struct ram_region regions[RAM_REGIONS];
	struct ram_view views[RAM_VIEWS];
	unsigned n_views;
};

/* 0 or -errno; ram_done() in any case. */
int ram_make(struct ram *ram);
void ram_done(struct ram *ram);

/*
 * @len bytes rounded up to pages, of region @region, a canary page behind them; the
 * offset in the region, or UINT64_MAX: it is full. They are zeroed.
 */
uint64_t ram_take(struct ram *ram, unsigned region, uint64_t len);

/*
 * One page each of the regions in turn as one contiguous piece of this process'
 * memory; the uvas of the pages go to @ret_uvas. NULL: there is no room.
 */
char *ram_take_scattered(struct ram *ram, unsigned n_pages, uint64_t *ret_uvas);

/* Memory of a gpa or uva as this process sees it; NULL where it is in no region. */
char *ram_at_gpa(const struct ram *ram, uint64_t gpa, uint64_t len);
char *ram_at_uva(const struct ram *ram, uint64_t uva, uint64_t len);

/* Whether every canary is as it was; else where it is not. */
bool ram_untouched(const struct ram *ram, unsigned *ret_region, int64_t *ret_offset);

#endif
