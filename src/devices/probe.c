/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define ALIGN_MOST  4096
#define BLOCK_LEAST 512

int probe_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret = (uint64_t)st.st_size;
	return 0;
}

static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* Whether a read that would sleep is refused instead of being unknown. */
static bool can_nowait(int fd)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

/* The smallest power of two that the kernel takes a direct read of. 0: none. */
static unsigned try_alignment(int fd)
{
	unsigned align;
	char *buf;

	if (posix_memalign((void **)&buf, 2 * ALIGN_MOST, 2 * ALIGN_MOST))
		return ALIGN_MOST;
	for (align = BLOCK_LEAST; align <= ALIGN_MOST; align *= 2)
		if (pread(fd, buf + align, align, 0) > 0)
			break;
	free(buf);
	return align <= ALIGN_MOST ? align : 0;
}

/* What a kernel before 6.1, or a file system that tells nothing, takes. */
static unsigned guess_alignment(int fd)
{
	int block;

	if (ioctl(fd, BLKSSZGET, &block) == 0 && block >= BLOCK_LEAST)
		return (unsigned)block;
	return try_alignment(fd);
}

static bool is_sane(uint32_t align)
{
	return align && align <= ALIGN_MOST && (align & (align - 1)) == 0;
}

static int find_alignment(struct storage *storage, struct storage_fault *why)
{
	struct statx stx;

#ifdef STATX_DIOALIGN
	if (statx(storage->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN)) {
		if (!is_sane(stx.stx_dio_mem_align) || !is_sane(stx.stx_dio_offset_align))
			return storage_fault(why, -EINVAL,
			                     "this file can't be read past the page cache; leave "
			                     "out --direct");
		storage->align = stx.stx_dio_offset_align;
		storage->memory_align = stx.stx_dio_mem_align;
		return 0;
	}
#endif
	storage->align = storage->memory_align = guess_alignment(storage->fd);
	if (!storage->align)
		return storage_fault(why, -EINVAL, "direct reads fail (%s); leave out --direct",
		                     strerror(errno));
	return 0;
}

/* A number of the queue a block device (or a partition's whole) has. False: not known. */
static bool read_queue(dev_t dev, const char *name, unsigned long *ret)
{
	static const char *const places[] = { "queue", "../queue" };
	bool found = false;
	char path[120];
	FILE *file;

	for (unsigned i = 0; i < 2 && !found; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(dev), minor(dev),
		         places[i], name);
		file = fopen(path, "re");
		if (!file)
			continue;
		found = fscanf(file, "%lu", ret) == 1;
		fclose(file);
	}
	return found;
}

static void find_device_shape(struct storage *storage, dev_t dev)
{
	struct storage_shape *shape = &storage->shape;
	unsigned long value;

	ioctl(storage->fd, BLKPBSZGET, &shape->physical);
	ioctl(storage->fd, BLKIOMIN, &shape->io_min);
	ioctl(storage->fd, BLKIOOPT, &shape->io_opt);
	shape->allocation = shape->physical;
	if (read_queue(dev, "discard_granularity", &value) && value && value <= UINT32_MAX)
		shape->allocation = (uint32_t)value;
	storage->can_discard = !read_queue(dev, "discard_max_bytes", &value) || value;
}

static void find_shape(struct storage *storage, const struct stat *st)
{
	unsigned block = (unsigned)st->st_blksize;

	storage->can_discard = true;
	storage->shape = (struct storage_shape){
		.physical = block < ALIGN_MOST ? block : ALIGN_MOST,
		.io_min = block,
		.allocation = block,
	};
	if (S_ISBLK(st->st_mode))
		find_device_shape(storage, st->st_rdev);
}

int probe_abilities(struct storage *storage, struct storage_fault *why)
{
	struct stat st;

	if (fstat(storage->fd, &st) < 0)
		return storage_fault(why, -errno, "can't be examined: %s", strerror(errno));
	find_shape(storage, &st);
	storage->in_memory = S_ISREG(st.st_mode) && is_in_memory(storage->fd);
	storage->align = storage->memory_align = 1;
	if (storage->direct)
		return find_alignment(storage, why);
	storage->nowait = can_nowait(storage->fd);
	return 0;
}
