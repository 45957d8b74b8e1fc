/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory made to be shared: one memfd a region, side by side in one reservation. */
#include "frontend/guestmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/export.h"
#include "base/fd.h"

#define REGIONS_MAX 8u
#define PAGE        UINT64_C(4096)

struct vhu_guestmem {
	char *base;
	uint64_t size;
	struct vhu_region regions[REGIONS_MAX];
	unsigned n;
};

static int total_size(const uint64_t *sizes, unsigned n, uint64_t *ret)
{
	uint64_t total = 0;

	if (!n || n > REGIONS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		if (!sizes[i] || sizes[i] % PAGE || sizes[i] > UINT64_MAX / 2 - total)
			return -EINVAL;
		total += sizes[i];
	}
	*ret = total;
	return 0;
}

static int add_region(struct vhu_guestmem *mem, uint64_t gpa, uint64_t size, int seals)
{
	char *at = mem->base + gpa;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "vhu-memory-%u", mem->n);
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* Recorded first, so that whatever goes wrong from here on closes it. */
	mem->regions[mem->n++] = (struct vhu_region){
		.gpa = gpa, .size = size, .uva = (uintptr_t)at, .fd = fd
	};
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -errno;
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

int guestmem_new(const uint64_t *sizes, unsigned n, int seals, struct vhu_guestmem **ret)
{
	struct vhu_guestmem *mem;
	uint64_t size, gpa = 0;
	int error = total_size(sizes, n, &size);

	if (error)
		return error;
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return -ENOMEM;
	mem->size = size;
	mem->base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem->base == MAP_FAILED) {
		free(mem);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n && !error; i++) {
		error = add_region(mem, gpa, sizes[i], seals);
		gpa += sizes[i];
	}
	if (error) {
		vhu_guestmem_free(mem);
		return error;
	}
	*ret = mem;
	return 0;
}

VHU_EXPORT int vhu_guestmem_new(const uint64_t *sizes, unsigned n, struct vhu_guestmem **ret)
{
	return guestmem_new(sizes, n, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, ret);
}

VHU_EXPORT void vhu_guestmem_free(struct vhu_guestmem *mem)
{
	if (!mem)
		return;
	munmap(mem->base, mem->size);
	for (unsigned i = 0; i < mem->n; i++)
		fd_close(&mem->regions[i].fd);
	free(mem);
}

VHU_EXPORT const struct vhu_region *vhu_guestmem_regions(const struct vhu_guestmem *mem,
                                                         unsigned *ret_n)
{
	*ret_n = mem->n;
	return mem->regions;
}

VHU_EXPORT void *vhu_guestmem_ptr(const struct vhu_guestmem *mem, uint64_t gpa, uint64_t len)
{
	return len <= mem->size && gpa <= mem->size - len ? mem->base + gpa : NULL;
}
