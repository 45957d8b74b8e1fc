/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a split virtqueue (virtio 1.2, 2.7), for the front-end,
 * tests and benchmarks. The ring's parts lie in memory of the caller's; buffers
 * are given by whatever address the device understands.
 *
 * Thread: one at a time.
 */
#ifndef VRING_DRIVER_H
#define VRING_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vring_driver;

struct vring_buffer {
	uint64_t addr;
	uint32_t len;
	bool writable; /* by the device; readable ones come first */
};

struct vring_driver_config {
	uint16_t num; /* a power of two, at most 32768 */
	bool event_idx;
	void *desc;  /* 16 * num bytes, aligned to 16 */
	void *avail; /* 6 + 2 * num bytes, aligned to 2 */
	void *used;  /* 6 + 8 * num bytes, aligned to 4 */
	/* NULL: no indirect descriptors; else num tables of @table_entries each, */
	void *tables;
	uint64_t tables_addr; /* at this address for the device */
	uint16_t table_entries;
};

/* Zeroes the parts. 0, -EINVAL, -ENOMEM. */
int vring_driver_new(const struct vring_driver_config *config, struct vring_driver **ret);
void vring_driver_free(struct vring_driver *driver);

/*
 * Makes a chain available. @token comes back from vring_driver_get(). Uses an
 * indirect table where there are tables and @n is above 1 and fits one. 0;
 * -ENOSPC: too few descriptors free; -EINVAL: n 0 or a readable buffer after a
 * writable one.
 */
int vring_driver_add(struct vring_driver *driver, const struct vring_buffer *buffers, unsigned n,
                     void *token);

/* Shows added chains to the device; true if it wants a kick (full fence). */
bool vring_driver_kick_needed(struct vring_driver *driver);

/*
 * Takes a used element. False: there is none; *ret_error is -EPROTO if what the
 * device wrote can't be true. *ret_written is what it says, but no more than the
 * chain had room for.
 */
bool vring_driver_get(struct vring_driver *driver, void **ret_token, uint32_t *ret_written,
                      int *ret_error);

/* Ask for a call: true if something is there already, which no call will come for. */
bool vring_driver_arm(struct vring_driver *driver);
/* Ask for no calls. */
void vring_driver_quiet(struct vring_driver *driver);

/*
 * For another device than the one that had the ring: what that one has used can be
 * taken as before, and whatever else was added is made available and shown once more,
 * in the order in which it was added, from *ret_base on. 0; -EPROTO: the device wrote
 * what can't be true; -ENOMEM.
 */
int vring_driver_requeue(struct vring_driver *driver, uint16_t *ret_base);

unsigned vring_driver_free_count(const struct vring_driver *driver);
uint16_t vring_driver_avail_index(const struct vring_driver *driver);

#endif
