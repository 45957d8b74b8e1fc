/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that is shared with back-ends: what a front-end is told of it, and a way to
 * make it.
 *
 * Context: any thread, one at a time.
 */
#ifndef VHU_GUESTMEM_H
#define VHU_GUESTMEM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhu_guestmem;

/**
 * struct vhu_region - memory to share.
 * @gpa: guest physical address in bytes
 * @size: bytes
 * @uva: address by which UPDATEs and ring addresses name it; usually where the
 *	caller has mapped it
 * @offset: where it begins in the file, in bytes
 * @fd: the file
 */
struct vhu_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t offset;
	int fd;
};

/**
 * vhu_guestmem_new - memory to share, in one memfd a region.
 * @sizes: bytes of each region, multiples of 4096
 * @n: number of regions, 1 to 8
 * @ret: the memory, zeroed; the regions follow each other without gaps, in gpa
 *	(from 0) and in uva, like the memory of a machine's nodes
 *
 * The files can't be made shorter or longer any more, by whoever has them: a
 * back-end can't take memory away from this process.
 *
 * Return: 0, -EINVAL, -ENOMEM, or the -errno of memfd_create(2).
 */
int vhu_guestmem_new(const uint64_t *sizes, unsigned n, struct vhu_guestmem **ret);

/**
 * vhu_guestmem_free - unmap and close; shares that back-ends hold live on.
 * @mem: memory or NULL
 */
void vhu_guestmem_free(struct vhu_guestmem *mem);

/**
 * vhu_guestmem_regions - the regions, as vhu_frontend_add_memory() takes them.
 * @mem: memory
 * @ret_n: their number
 *
 * Ownership: the memory's, fds included.
 */
const struct vhu_region *vhu_guestmem_regions(const struct vhu_guestmem *mem, unsigned *ret_n);

/**
 * vhu_guestmem_ptr - where this process has memory of a guest physical address.
 * @mem: memory
 * @gpa: address in bytes
 * @len: bytes from there on
 *
 * Return: the pointer, which as an integer is also the uva; NULL: not inside.
 */
void *vhu_guestmem_ptr(const struct vhu_guestmem *mem, uint64_t gpa, uint64_t len);

#ifdef __cplusplus
}
#endif
#endif
