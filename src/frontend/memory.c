/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared memory: slot by slot where the back-end has them, else whole tables. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/export.h"
#include "base/fd.h"
#include "base/range.h"
#include "frontend/frontend.h"

/* ADD_MEM_REG messages that are sent before a reply is awaited. */
#define SLOTS_AT_ONCE 16u

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

static void start_slot(struct vhu_frontend *fe, uint32_t name, const struct shared_region *region,
                       struct request *request)
{
	struct message message;

	message_init(&message, name);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = region->wire;
	if (name == VHU_FE_ADD_MEM_REG) {
		message.fds[0] = region->fd;
		message.n_fds = 1;
	}
	exchange_add(fe, &message, request);
}

static int send_slot(struct vhu_frontend *fe, uint32_t name, const struct shared_region *region)
{
	struct request request = { 0 };

	start_slot(fe, name, region, &request);
	return exchange_wait(fe, &request);
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

static unsigned regions_max(const struct vhu_frontend *fe)
{
	return by_slots(fe) ? (unsigned)fe->slots : VHU_MEMORY_REGIONS_MAX;
}

static int make_room(struct vhu_frontend *fe, unsigned n)
{
	const unsigned max = regions_max(fe);
	struct shared_region *regions;

	if (n > max || fe->n_regions > max - n)
		return frontend_fault(fe, -E2BIG, "memory: the back-end takes %u regions at most",
		                      max);
	regions = realloc(fe->regions, (fe->n_regions + n) * sizeof(*regions));
	if (!regions)
		return frontend_fault(fe, -ENOMEM, "memory: %s", strerror(ENOMEM));
	fe->regions = regions;
	return 0;
}

/* Regions from @first on; those that are refused leave the list. The first error. */
static int send_slots(struct vhu_frontend *fe, unsigned first, unsigned n)
{
	struct request requests[SLOTS_AT_ONCE] = { 0 };
	unsigned kept = first, i;
	int error;

	for (i = 0; i < n; i++)
		start_slot(fe, VHU_FE_ADD_MEM_REG, &fe->regions[first + i], &requests[i]);
	error = exchange_wait_all(fe, requests, n);
	for (i = 0; i < n; i++) {
		struct shared_region *region = &fe->regions[first + i];

		if (requests[i].result)
			fd_close(&region->fd);
		else
			fe->regions[kept++] = *region;
	}
	fe->n_regions = kept;
	return error;
}

static int add_slots(struct vhu_frontend *fe, const struct vhu_region *regions, unsigned n)
{
	int error = 0;

	while (n && !error) {
		const unsigned first = fe->n_regions, some = n < SLOTS_AT_ONCE ? n : SLOTS_AT_ONCE;

		for (unsigned i = 0; i < some && !error; i++)
			error = append(fe, &regions[i]);
		if (error)
			drop_from(fe, first);
		else
			error = send_slots(fe, first, some);
		regions += some;
		n -= some;
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

static bool is_region(const struct vhu_region *region, struct range *ret)
{
	struct range uva, file;

	return range_make(region->gpa, region->size, ret) &&
	       range_make(region->uva, region->size, &uva) &&
	       range_make(region->offset, region->size, &file) && file.last < INT64_MAX;
}

/* By guest physical address; a place in a file, or of this process, may be shared twice. */
static bool is_taken(const struct vhu_frontend *fe, const struct vhu_region *before, unsigned n,
                     struct range gpa)
{
	struct range other;

	for (unsigned i = 0; i < fe->n_regions; i++)
		if (range_make(fe->regions[i].wire.gpa, fe->regions[i].wire.size, &other) &&
		    range_overlaps(gpa, other))
			return true;
	for (unsigned i = 0; i < n; i++)
		if (range_make(before[i].gpa, before[i].size, &other) && range_overlaps(gpa, other))
			return true;
	return false;
}

/* The one at @i, against those that are shared and those before it. */
static int check_region(struct vhu_frontend *fe, const struct vhu_region *regions, unsigned i)
{
	const struct vhu_region *region = &regions[i];
	struct range gpa;

	if (!is_region(region, &gpa))
		return frontend_fault(fe, -EINVAL, "memory: no region of %#llx bytes at %#llx",
		                      (unsigned long long)region->size,
		                      (unsigned long long)region->gpa);
	if (is_taken(fe, regions, i, gpa))
		return frontend_fault(fe, -EEXIST, "memory: some of %#llx bytes at %#llx is shared",
		                      (unsigned long long)region->size,
		                      (unsigned long long)region->gpa);
	return 0;
}

static int add_memory(struct vhu_frontend *fe, const struct vhu_region *regions, unsigned n)
{
	int error = n ? make_room(fe, n) : 0;

	for (unsigned i = 0; i < n && !error; i++)
		error = check_region(fe, regions, i);
	if (error || !n)
		return error;
	return by_slots(fe) ? add_slots(fe, regions, n) : add_by_table(fe, regions, n);
}

int memory_begin_change(struct vhu_frontend *fe)
{
	const int64_t deadline = frontend_now_ms() + fe->config.timeout_ms;

	while (fe->sharing) {
		const int64_t left = deadline - frontend_now_ms();

		if (left < 0)
			return frontend_fault(
				fe, -ETIMEDOUT,
				"memory: another thread's change of it takes too long");
		frontend_sleep(fe, (int)left + 1);
	}
	fe->sharing = true;
	return 0;
}

void memory_end_change(struct vhu_frontend *fe)
{
	fe->sharing = false;
	if (fe->n_waiting)
		pthread_cond_broadcast(&fe->changed);
}

/* It may have to wait until all is told to another back-end. */
static int sharing_enter(struct vhu_frontend *fe)
{
	int error = pump_enter(fe);

	if (error)
		return error;
	error = memory_begin_change(fe);
	return error ? frontend_leave(fe, error) : 0;
}

static int sharing_leave(struct vhu_frontend *fe, int result)
{
	memory_end_change(fe);
	return frontend_leave(fe, result);
}

VHU_EXPORT int vhu_frontend_add_memory(struct vhu_frontend *fe, const struct vhu_region *regions,
                                       unsigned n)
{
	int error = sharing_enter(fe);

	return error ? error : sharing_leave(fe, add_memory(fe, regions, n));
}

/*
 * Whoever removes memory means to do something else with it. A back-end that can't
 * acknowledge has to reply to this, and by then is through with what came before.
 */
static int await_removal(struct vhu_frontend *fe)
{
	uint64_t features;

	if (frontend_has_protocol(fe, VHU_PROTOCOL_F_REPLY_ACK))
		return 0;
	return exchange_get_u64(fe, VHU_FE_GET_FEATURES, &features);
}

static int remove_memory(struct vhu_frontend *fe, const struct vhu_region *region)
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
	if (!error)
		error = await_removal(fe);
	/* The dead are told nothing any more; the next one is not told of it. */
	if (error && error != -ENOTCONN && error != -EPROTO)
		fe->regions[fe->n_regions++] = gone;
	else
		fd_close(&gone.fd);
	return error;
}

VHU_EXPORT int vhu_frontend_remove_memory(struct vhu_frontend *fe, const struct vhu_region *region)
{
	int error = sharing_enter(fe);

	return error ? error : sharing_leave(fe, remove_memory(fe, region));
}

int memory_share_again(struct vhu_frontend *fe)
{
	int error = 0;

	if (!fe->n_regions)
		return 0;
	if (fe->n_regions > regions_max(fe))
		return frontend_fault(fe, -EOPNOTSUPP,
		                      "memory: %u regions, the back-end takes %u at most",
		                      fe->n_regions, regions_max(fe));
	if (!by_slots(fe))
		return send_table(fe);
	for (unsigned i = 0; i < fe->n_regions && !error; i++)
		error = send_slot(fe, VHU_FE_ADD_MEM_REG, &fe->regions[i]);
	return error;
}

void memory_close(struct vhu_frontend *fe)
{
	drop_from(fe, 0);
	free(fe->regions);
}
