/* SPDX-License-Identifier: BSD-3-Clause */
/* The front-end's memory in this process. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "back.h"

static void unmap_one(struct back_region *region)
{
	if (region->file)
		munmap(region->file, region->file_size);
	*region = (struct back_region){ 0 };
}

void back_unmap(struct back *b)
{
	for (unsigned i = 0; i < TOLD_REGIONS; i++)
		unmap_one(&b->regions[i]);
}

/* A file that ends before its region does is left alone: touching it would be our end. */
static void map_one(struct back_region *region, const struct vhu_memory_region *told, int fd)
{
	uint64_t size = told->mmap_offset + told->size;
	struct stat status;
	char *file;

	*region = (struct back_region){ 0 };
	if (fstat(fd, &status) < 0 || size < told->size || (uint64_t)status.st_size < size)
		return;
	file = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (file == MAP_FAILED)
		return;
	*region = (struct back_region){ file, file + told->mmap_offset, size };
}

/* The places are those of told_take(), which comes after this. */
static void remove_one(struct back *b, const struct vhu_memory_region *gone)
{
	for (unsigned i = 0; i < b->told.n_regions; i++) {
		const struct vhu_memory_region *own = &b->told.regions[i];

		if (own->gpa != gone->gpa || own->size != gone->size || own->uva != gone->uva)
			continue;
		unmap_one(&b->regions[i]);
		b->regions[i] = b->regions[b->told.n_regions - 1];
		if (i != b->told.n_regions - 1)
			b->regions[b->told.n_regions - 1] = (struct back_region){ 0 };
		return;
	}
}

void back_map(struct back *b, struct message *message)
{
	const struct vhu_memory *table = &message->payload.memory;
	unsigned n = b->told.n_regions;

	switch (message->header.request) {
	case VHU_FE_SET_MEM_TABLE:
		back_unmap(b);
		for (unsigned i = 0; i < table->n && i < message->n_fds; i++)
			map_one(&b->regions[i], &table->regions[i], message->fds[i]);
		break;
	case VHU_FE_ADD_MEM_REG:
		if (n < TOLD_REGIONS && message->n_fds)
			map_one(&b->regions[n], &message->payload.single.region, message->fds[0]);
		break;
	case VHU_FE_REM_MEM_REG: remove_one(b, &message->payload.single.region); break;
	default: return;
	}
	if (message->header.request == VHU_FE_ADD_MEM_REG)
		return;
	b->stops++;
	held_clear(&b->held);
}

/* A piece of the region that @addr lies in; 0: it lies in none. */
static uint64_t piece(const struct back *b, bool by_gpa, uint64_t addr, uint64_t len,
                      struct iovec *ret)
{
	for (unsigned i = 0; i < b->told.n_regions; i++) {
		const struct vhu_memory_region *region = &b->told.regions[i];
		uint64_t start = by_gpa ? region->gpa : region->uva, left;

		if (addr < start || addr - start >= region->size || !b->regions[i].ptr)
			continue;
		left = region->size - (addr - start);
		ret->iov_base = b->regions[i].ptr + (addr - start);
		ret->iov_len = len < left ? len : left;
		return ret->iov_len;
	}
	return 0;
}

static int reach(const struct back *b, bool by_gpa, uint64_t addr, uint64_t len, struct iovec *iovs,
                 unsigned max)
{
	unsigned n = 0;

	while (len) {
		uint64_t step;

		if (n == max)
			return -ENOSPC;
		step = piece(b, by_gpa, addr, len, &iovs[n]);
		if (!step)
			return -EFAULT;
		n++;
		addr += step;
		len -= step;
	}
	return (int)n;
}

int back_reach_uva(const struct back *b, uint64_t uva, uint64_t len, struct iovec *iovs,
                   unsigned max)
{
	return reach(b, false, uva, len, iovs, max);
}

int back_reach(const struct back *b, uint64_t addr, uint64_t len, uint8_t perm, struct iovec *iovs,
               unsigned max)
{
	unsigned n = 0;

	if (!told_iommu(&b->told))
		return reach(b, true, addr, len, iovs, max);
	while (len) {
		const struct held_range *range = held_find(&b->held, addr);
		uint64_t step;
		int more;

		if (!range || (range->perm & perm) != perm)
			return -EFAULT;
		step = range->last - addr + 1;
		if (step > len || !step)
			step = len;
		more = back_reach_uva(b, held_uva(range, addr), step, iovs + n, max - n);
		if (more < 0)
			return more;
		n += (unsigned)more;
		addr += step;
		len -= step;
	}
	return (int)n;
}
