/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"

#define ALIGN_MOST 4096

__attribute__((format(printf, 3, 4))) static int fault(struct storage_fault *why, int error,
                                                       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return error;
}

static const char *remedy_of_open(int error, bool read_only)
{
	switch (error) {
	case ENOENT: return "give the path of an existing file, or make one with truncate -s SIZE";
	case EACCES:
	case EPERM:
	case EROFS:
		return read_only ? "give this user the right to read it"
		                 : "give this user the right to write it, or add --read-only";
	case EISDIR: return "give a regular file or a block device";
	case EINVAL: return "leave out --direct, which this file system may not support";
	default: return "see open(2)";
	}
}

static int find_size(struct storage *storage, struct storage_fault *why)
{
	struct stat st;

	if (fstat(storage->fd, &st) < 0)
		return fault(why, -errno, "can't be examined: %s", strerror(errno));
	if (S_ISREG(st.st_mode))
		storage->size = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		return fault(why, -EINVAL,
		             "neither a regular file nor a block device; give one of these");
	else if (ioctl(storage->fd, BLKGETSIZE64, &storage->size) < 0)
		return fault(why, -errno, "its size can't be read: %s", strerror(errno));
	if (storage->size == 0)
		return fault(why, -EINVAL, "empty; give it a size with truncate -s SIZE");
	return 0;
}

static bool is_in_memory(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fstatfs(fd, &fs) < 0)
		return false;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
}

/* Whether a read that would sleep is refused instead of being unknown. */
static bool can_nowait(int fd)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

/* The smallest power of two that the kernel takes a direct read of; tried, as
 * not every file system tells. 0: none. */
static unsigned find_alignment(const struct storage *storage)
{
	unsigned align;
	char *buf;

	if (posix_memalign((void **)&buf, 2 * ALIGN_MOST, 2 * ALIGN_MOST))
		return ALIGN_MOST;
	for (align = 512; align <= ALIGN_MOST; align *= 2)
		if (pread(storage->fd, buf + align, align, 0) > 0)
			break;
	free(buf);
	return align <= ALIGN_MOST ? align : 0;
}

static int find_abilities(struct storage *storage, struct storage_fault *why)
{
	storage->in_memory = is_in_memory(storage->fd);
	storage->align = 1;
	if (storage->direct) {
		storage->align = find_alignment(storage);
		if (!storage->align)
			return fault(why, -EINVAL, "direct reads fail (%s); leave out --direct",
			             strerror(errno));
	} else {
		storage->nowait = can_nowait(storage->fd);
	}
	return 0;
}

int storage_open(struct storage *storage, const char *path, bool read_only, bool direct,
                 struct storage_fault *why)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0);
	int error;

	*storage = (struct storage){ .read_only = read_only, .direct = direct };
	/* A named pipe in its place must not make the open wait. */
	storage->fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (storage->fd < 0)
		return fault(why, -errno, "%s; %s", strerror(errno),
		             remedy_of_open(errno, read_only));
	error = find_size(storage, why);
	if (!error)
		error = find_abilities(storage, why);
	if (error)
		fd_close(&storage->fd);
	return error;
}

int storage_open_memory(struct storage *storage, uint64_t size, bool read_only,
                        struct storage_fault *why)
{
	void *bytes;

	*storage = (struct storage){ .fd = -1, .size = size, .read_only = read_only };
	storage->in_memory = true;
	storage->align = 1;
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes == MAP_FAILED)
		return fault(why, -errno, "%s; ask for less", strerror(errno));
	/* Advice: fewer page faults and TLB misses; without it all works. */
	madvise(bytes, size, MADV_HUGEPAGE);
	storage->bytes = bytes;
	return 0;
}

void storage_close(struct storage *storage)
{
	if (storage->bytes)
		munmap(storage->bytes, storage->size);
	storage->bytes = NULL;
	fd_close(&storage->fd);
}
