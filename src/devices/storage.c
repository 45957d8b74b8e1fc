/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "devices/probe.h"
#include "devices/window.h"

int storage_fault(struct storage_fault *why, int error, const char *format, ...)
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
	case EISDIR:
	case ENXIO: return "give a regular file or a block device";
	case ENOTDIR:
	case ENAMETOOLONG:
	case ELOOP: return "give the path of an existing file";
	case EMFILE:
	case ENFILE: return "raise the limit of open files (ulimit -n, LimitNOFILE=)";
	case ETXTBSY:
	case EBUSY: return "something else uses it; end that, or give another file";
	case EINVAL: return "leave out --direct, which this file system may not support";
	default: return "see open(2)";
	}
}

static int find_size(struct storage *storage, struct storage_fault *why)
{
	int error = probe_size(storage->fd, &storage->size);

	if (error == -EINVAL)
		return storage_fault(why, error,
		                     "neither a regular file nor a block device; give one of "
		                     "these");
	if (error)
		return storage_fault(why, error, "its size can't be read: %s", strerror(-error));
	if (storage->size == 0)
		return storage_fault(why, -EINVAL, "empty; give it a size with truncate -s SIZE");
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
		return storage_fault(why, -errno, "%s; %s", strerror(errno),
		                     remedy_of_open(errno, read_only));
	storage->name = strdup(path);
	error = storage->name ? find_size(storage, why) : storage_fault(why, -ENOMEM, "no memory");
	if (!error)
		error = probe_abilities(storage, why);
	if (error)
		storage_close(storage);
	else if (!direct)
		storage->window = window_open(storage->fd, storage->size);
	return error;
}

int storage_open_memory(struct storage *storage, uint64_t size, bool read_only,
                        struct storage_fault *why)
{
	void *bytes;

	*storage = (struct storage){ .fd = -1, .size = size, .read_only = read_only };
	storage->in_memory = true;
	storage->can_discard = true;
	storage->align = storage->memory_align = 1;
	storage->shape.physical = storage->shape.allocation = (unsigned)sysconf(_SC_PAGESIZE);
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes == MAP_FAILED)
		return storage_fault(why, -errno, "%s; ask for less", strerror(errno));
	/* Advice: fewer page faults and TLB misses; without it all works. */
	madvise(bytes, size, MADV_HUGEPAGE);
	storage->bytes = bytes;
	return 0;
}

int storage_measure(const struct storage *storage, uint64_t *ret)
{
	*ret = storage->size;
	return storage->fd < 0 ? 0 : probe_size(storage->fd, ret);
}

void storage_close(struct storage *storage)
{
	window_close(storage->window);
	storage->window = NULL;
	if (storage->bytes)
		munmap(storage->bytes, storage->size);
	storage->bytes = NULL;
	free(storage->name);
	storage->name = NULL;
	fd_close(&storage->fd);
}
