/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/region.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/range.h"
#include "memory/memtable.h"

int region_refuse(struct memory_fault *why, int err, const char *format, ...)
{
	va_list args;

	if (!why)
		return err;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return err;
}

int region_check(const struct vhu_memory_region *wire, bool gpa_addresses, struct memory_fault *why)
{
	struct range unused;

	if (wire->size == 0)
		return region_refuse(why, -EINVAL, "is empty");
	if (!range_make(wire->gpa, wire->size, &unused))
		return region_refuse(why, -EINVAL, "wraps in gpa");
	if (!range_make(wire->uva, wire->size, &unused))
		return region_refuse(why, -EINVAL, "wraps in uva (0x%" PRIx64 ")", wire->uva);
	/* The end of a file is a number of its own: the exclusive one counts. */
	if (wire->mmap_offset > UINT64_MAX - wire->size)
		return region_refuse(why, -EINVAL, "wraps in the file (offset 0x%" PRIx64 ")",
		                     wire->mmap_offset);
	if (gpa_addresses && wire->uva != wire->gpa)
		return region_refuse(why, -EINVAL, "uva 0x%" PRIx64 " is not gpa", wire->uva);
	return 0;
}

/* fstat's st_size says nothing of a device. */
static int file_check(const struct vhu_memory_region *wire, int fd, struct stat *st,
                      struct memory_fault *why)
{
	int flags;

	if (fd < 0)
		return region_refuse(why, -EINVAL, "has no fd");
	if (fstat(fd, st) < 0)
		return region_refuse(why, -errno, "fstat: %m");
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return region_refuse(why, -errno, "fcntl: %m");
	if ((flags & O_ACCMODE) != O_RDWR)
		return region_refuse(why, -EACCES, "fd is not open for reading and writing");
	if (S_ISREG(st->st_mode) && (uint64_t)st->st_size < wire->mmap_offset + wire->size)
		return region_refuse(why, -EINVAL,
		                     "file of 0x%" PRIx64 " bytes ends before offset 0x%" PRIx64
		                     " + size",
		                     (uint64_t)st->st_size, wire->mmap_offset);
	return 0;
}

/* What offset and length of a mapping must be multiples of. 0: -errno in errno. */
static uint64_t file_alignment(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return 0;
	if (fs.f_type == HUGETLBFS_MAGIC)
		return (uint64_t)fs.f_bsize;
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int file_map(struct region *region, int fd, struct memory_fault *why)
{
	uint64_t align = file_alignment(fd);
	uint64_t end = region->wire.mmap_offset + region->wire.size;
	uint64_t start, len;
	void *map;
	int err;

	if (align == 0)
		return region_refuse(why, -errno, "fstatfs: %m");
	start = region->wire.mmap_offset & ~(align - 1);
	if (end > INT64_MAX - align)
		return region_refuse(why, -EINVAL, "is too large");
	len = ((end + align - 1) & ~(align - 1)) - start;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (map == MAP_FAILED)
		return region_refuse(why, -errno, "mmap: %m");
	err = sigbus_watch(&region->mapping, map, len, align);
	if (err) {
		munmap(map, len);
		return region_refuse(why, err, "no memory");
	}
	region->ptr = (char *)map + (region->wire.mmap_offset - start);
	/* A core dump holds our memory, not the driver's. A refusal costs nothing else. */
	(void)madvise(map, len, MADV_DONTDUMP);
	return 0;
}

int region_map(const struct vhu_memory_region *wire, int fd, struct region *old,
               struct region **ret, struct memory_fault *why)
{
	struct region *region;
	struct stat st;
	int err;

	err = file_check(wire, fd, &st, why);
	if (err)
		return err;
	if (old && old->dev == st.st_dev && old->ino == st.st_ino) {
		*ret = region_get(old);
		return 0;
	}
	region = calloc(1, sizeof(*region));
	if (!region)
		return region_refuse(why, -ENOMEM, "no memory");
	atomic_init(&region->refs, 1);
	region->wire = *wire;
	region->dev = st.st_dev;
	region->ino = st.st_ino;
	err = file_map(region, fd, why);
	if (err) {
		free(region);
		return err;
	}
	*ret = region;
	return 0;
}

struct region *region_get(struct region *region)
{
	atomic_fetch_add_explicit(&region->refs, 1, memory_order_relaxed);
	return region;
}

void region_put(struct region *region)
{
	/* Release: what this thread did to the memory is done; acquire: what others did, too. */
	if (atomic_fetch_sub_explicit(&region->refs, 1, memory_order_acq_rel) != 1)
		return;
	sigbus_unwatch(&region->mapping);
	munmap(region->mapping.start, region->mapping.len);
	free(region);
}
