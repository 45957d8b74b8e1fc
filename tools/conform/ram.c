/* SPDX-License-Identifier: BSD-3-Clause */
#include "ram.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"

#define MARGIN UINT64_C(65536)

/* The second lies below the first in uva: nothing is sorted by chance. */
static const struct {
	uint64_t gpa, uva, size;
} layout[RAM_REGIONS] = {
	{ 0x0, 0x7e1200000000, 16 << 20 },
	{ 0x40000000, 0x7d3400000000, 8 << 20 },
	{ 0x140000000, 0x7e5600000000, 8 << 20 },
};

static uint64_t page_up(uint64_t len)
{
	return (len + (RAM_PAGE - 1)) & ~(RAM_PAGE - 1);
}

static int make_region(struct ram_region *region, unsigned i)
{
	char name[] = "conform-0";

	name[sizeof(name) - 2] += (char)i;
	region->gpa = layout[i].gpa;
	region->uva = layout[i].uva;
	region->size = layout[i].size;
	region->offset = MARGIN * i;
	region->file_size = region->offset + region->size + MARGIN;
	region->fd = memfd_create(name, MFD_CLOEXEC);
	if (region->fd < 0 || ftruncate(region->fd, (off_t)region->file_size) < 0)
		return -errno;
	region->file = mmap(NULL, region->file_size, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd,
	                    0);
	if (region->file == MAP_FAILED) {
		region->file = NULL;
		return -errno;
	}
	region->ptr = region->file + region->offset;
	memset(region->file, RAM_CANARY, region->offset);
	memset(region->ptr, RAM_CANARY, RAM_PAGE);
	memset(region->ptr + region->size, RAM_CANARY, MARGIN);
	region->next = RAM_PAGE;
	return 0;
}

int ram_make(struct ram *ram)
{
	int error = 0;

	*ram = (struct ram){ 0 };
	for (unsigned i = 0; i < RAM_REGIONS; i++)
		ram->regions[i].fd = -1;
	for (; ram->n < RAM_REGIONS && !error; ram->n++)
		error = make_region(&ram->regions[ram->n], ram->n);
	return error;
}

void ram_done(struct ram *ram)
{
	for (unsigned i = 0; i < ram->n_views; i++)
		munmap(ram->views[i].ptr, ram->views[i].len);
	for (unsigned i = 0; i < ram->n; i++) {
		if (ram->regions[i].file)
			munmap(ram->regions[i].file, ram->regions[i].file_size);
		fd_close(&ram->regions[i].fd);
	}
	*ram = (struct ram){ 0 };
}

uint64_t ram_take(struct ram *ram, unsigned i, uint64_t len)
{
	struct ram_region *region = &ram->regions[i];
	uint64_t at = region->next;

	len = page_up(len);
	if (len + RAM_PAGE > region->size - at)
		return UINT64_MAX;
	memset(region->ptr + at, 0, len);
	memset(region->ptr + at + len, RAM_CANARY, RAM_PAGE);
	if (region->n_guards < RAM_GUARDS)
		region->guards[region->n_guards++] = (uint32_t)(at + len);
	region->next = at + len + RAM_PAGE;
	return at;
}

/* Pages of one region follow each other with a canary between. */
char *ram_take_scattered(struct ram *ram, unsigned n_pages, uint64_t *ret_uvas)
{
	char *view;

	if (ram->n_views == RAM_VIEWS)
		return NULL;
	view = mmap(NULL, n_pages * RAM_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (view == MAP_FAILED)
		return NULL;
	ram->views[ram->n_views++] = (struct ram_view){ view, n_pages * RAM_PAGE };
	for (unsigned i = 0; i < n_pages; i++) {
		const struct ram_region *region = &ram->regions[(i + 1) % ram->n];
		uint64_t at = ram_take(ram, (i + 1) % ram->n, RAM_PAGE);

		if (at == UINT64_MAX)
			return NULL;
		ret_uvas[i] = region->uva + at;
		if (mmap(view + i * RAM_PAGE, RAM_PAGE, PROT_READ | PROT_WRITE,
		         MAP_SHARED | MAP_FIXED, region->fd,
		         (off_t)(region->offset + at)) == MAP_FAILED)
			return NULL;
	}
	return view;
}

static char *at(const struct ram_region *region, uint64_t start, uint64_t addr, uint64_t len)
{
	if (addr < start || addr - start >= region->size || len > region->size - (addr - start))
		return NULL;
	return region->ptr + (addr - start);
}

char *ram_at_gpa(const struct ram *ram, uint64_t gpa, uint64_t len)
{
	char *ptr = NULL;

	for (unsigned i = 0; i < ram->n && !ptr; i++)
		ptr = at(&ram->regions[i], ram->regions[i].gpa, gpa, len);
	return ptr;
}

char *ram_at_uva(const struct ram *ram, uint64_t uva, uint64_t len)
{
	char *ptr = NULL;

	for (unsigned i = 0; i < ram->n && !ptr; i++)
		ptr = at(&ram->regions[i], ram->regions[i].uva, uva, len);
	return ptr;
}

static const char *differs(const char *at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if ((unsigned char)at[i] != RAM_CANARY)
			return at + i;
	return NULL;
}

static const char *guard_differs(const struct ram_region *region)
{
	const char *wrong = differs(region->ptr, RAM_PAGE);

	for (unsigned i = 0; i < region->n_guards && !wrong; i++)
		wrong = differs(region->ptr + region->guards[i], RAM_PAGE);
	return wrong;
}

bool ram_untouched(const struct ram *ram, unsigned *ret_region, int64_t *ret_offset)
{
	for (unsigned i = 0; i < ram->n; i++) {
		const struct ram_region *region = &ram->regions[i];
		const char *end = region->ptr + region->size, *wrong;

		wrong = differs(region->file, region->offset);
		if (!wrong)
			wrong = guard_differs(region);
		if (!wrong)
			wrong = differs(end, MARGIN);
		if (wrong) {
			*ret_region = i;
			*ret_offset = wrong - region->ptr;
			return false;
		}
	}
	return true;
}
