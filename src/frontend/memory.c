/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared memory: slot by slot where the back-end has them, else whole tables. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/export.h"
#include "base/fd.h"
#include "frontend/frontend.h"

static bool by_slots(const struct vhu_frontend *fe)
{
	return frontend_has_protocol(fe, VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
}

static int send_table(struct vhu_frontend *fe)
{
	struct message message;

	/* It was slots that they were shared by, before the back-end offered otherwise. */
	if (fe->n_regions > VHU_MEMORY_REGIONS_MAX)
		return frontend_fault(fe, -E2BIG, "memory: %u regions, a table has %u at most",
		                      fe->n_regions, VHU_MEMORY_REGIONS_MAX);
	message_init(&message, VHU_FE_SET_MEM_TABLE);
	message.payload.memory.n = fe->n_regions;
	for (unsigned i = 0; i < fe->n_regions; i++) {
		message.payload.memory.regions[i] = fe->regions[i].wire;
		message.fds[i] = fe->regions[i].fd;
	}
	message.n_fds = fe->n_regions;
	message.header.size = (uint32_t)(offsetof(struct vhu_memory, regions) +
	                                 fe->n_regions * sizeof(struct vhu_memory_region));
	return exchange(fe, &message, NULL);
}

static int send_slot(struct vhu_frontend *fe, uint32_t request, const struct shared_region *region)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = region->wire;
	if (request == VHU_FE_ADD_MEM_REG) {
		message.fds[0] = region->fd;
		message.n_fds = 1;
	}
	return exchange(fe, &message, NULL);
}

/* Takes the regions from @first on back out of the list. */
static void drop_from(struct vhu_frontend *fe, unsigned first)
{
	while (fe->n_regions > first)
		fd_close(&fe->regions[--fe->n_regions].fd);
}

static int append(struct vhu_frontend *fe, const struct vhu_region *region)
{
	int fd = fcntl(region->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return frontend_fault(fe, -errno, "memory: %s", strerror(errno));
	fe->regions[fe->n_regions++] = (struct shared_region){
		.wire = { .gpa = region->gpa,
		          .size = region->size,
		          .uva = region->uva,
		          .mmap_offset = region->offset },
		.fd = fd,
	};
	return 0;
}

static int make_room(struct vhu_frontend *fe, unsigned n)
{
	unsigned max = by_slots(fe) ? (unsigned)fe->slots : VHU_MEMORY_REGIONS_MAX;
	struct shared_region *regions;

	if (n > max || fe->n_regions > max - n)
		return frontend_fault(fe, -E2BIG, "memory: the back-end takes %u regions at most",
		                      max);
	regions = realloc(fe->regions, (fe->n_regions + n) * sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	fe->regions = regions;
	return 0;
}

static int add_slots(struct vhu_frontend *fe, const struct vhu_region *regions, unsigned n)
{
	int error = 0;

	for (unsigned i = 0; i < n && !error; i++) {
		error = append(fe, &regions[i]);
		if (error)
			break;
		error = send_slot(fe, VHU_FE_ADD_MEM_REG, &fe->regions[fe->n_regions - 1]);
		if (error)
			drop_from(fe, fe->n_regions - 1);
	}
	return error;
}

static int add_by_table(struct vhu_frontend *fe, const struct vhu_region *regions, unsigned n)
{
	const unsigned before = fe->n_regions;
	int error = 0;

	for (unsigned i = 0; i < n && !error; i++)
		error = append(fe, &regions[i]);
	if (!error)
		error = send_table(fe);
	if (error)
		drop_from(fe, before);
	return error;
}

VHU_EXPORT int vhu_frontend_add_memory(struct vhu_frontend *fe, const struct vhu_region *regions,
                                       unsigned n)
{
	int error = n ? make_room(fe, n) : 0;

	if (error || !n)
		return error;
	return by_slots(fe) ? add_slots(fe, regions, n) : add_by_table(fe, regions, n);
}

VHU_EXPORT int vhu_frontend_remove_memory(struct vhu_frontend *fe, const struct vhu_region *region)
{
	struct shared_region gone;
	unsigned i = 0;
	int error;

	while (i < fe->n_regions &&
	       (fe->regions[i].wire.gpa != region->gpa || fe->regions[i].wire.uva != region->uva ||
	        fe->regions[i].wire.size != region->size))
		i++;
	if (i == fe->n_regions)
		return frontend_fault(fe, -ENOENT, "memory: no such region is shared");
	gone = fe->regions[i];
	fe->regions[i] = fe->regions[--fe->n_regions];
	error = by_slots(fe) ? send_slot(fe, VHU_FE_REM_MEM_REG, &gone) : send_table(fe);
	if (error)
		fe->regions[fe->n_regions++] = gone;
	else
		fd_close(&gone.fd);
	return error;
}
