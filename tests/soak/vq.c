/* SPDX-License-Identifier: BSD-3-Clause */
#include "vq.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/fd.h"
#include "record.h"
#include "tricks.h"
#include "vring/layout.h"

/* Addresses of a queue's: windows of requests, then areas that move about. */
#define VQ_SPACE (UINT64_C(1) << 32)
#define AREAS    (UINT64_C(1) << 30)
#define AREA     (UINT64_C(1) << 20)

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *why(const struct vq *queue)
{
	return vhu_frontend_error(queue->scene->frontend);
}

static unsigned frames_for(size_t bytes)
{
	return (unsigned)((bytes + FRAME - 1) / FRAME);
}

static size_t avail_offset(const struct vq *queue)
{
	return desc_table_size(queue->num);
}

/* What the device writes has frames of its own. */
static size_t used_offset(const struct vq *queue)
{
	return FRAME * (size_t)frames_for(avail_offset(queue) + avail_ring_size(queue->num, true));
}

static uint64_t next_area(struct vq *queue)
{
	return (queue->index + 1) * VQ_SPACE + AREAS + queue->moves++ % 256 * AREA;
}

static char *area_ptr(const struct vq *queue, const struct vq_area *area)
{
	return queue->window + (size_t)area->first * FRAME;
}

/* Descriptors and available ring are read only, and may be mapped so. */
static void map_area(struct vq *queue, const struct vq_area *area)
{
	const unsigned read_only = area == &queue->ring ? frames_for(used_offset(queue)) : area->n;
	uint8_t perm = random_chance(50) ? VHU_PERM_READ : VHU_PERM_RW;

	for (unsigned i = 0; i < area->n && queue->scene->iommu; i++)
		record_expect(vhu_iommu_map(queue->scene->iommu, area->addr + i * (uint64_t)FRAME,
		                            FRAME,
		                            frames_uva(queue->scene->frames,
		                                       queue->frames[area->first + i]),
		                            i < read_only ? perm : VHU_PERM_RW),
		              "mapping a ring", "");
}

static void unmap_area(struct vq *queue, const struct vq_area *area)
{
	if (queue->scene->iommu && area->n)
		record_expect(
			vhu_iommu_unmap(queue->scene->iommu, area->addr, area->n * (uint64_t)FRAME),
			"unmapping a ring", why(queue));
}

void vq_init(struct vq *queue, struct scene *scene, unsigned index)
{
	*queue = (struct vq){
		.scene = scene, .index = index, .kick_fd = -1, .call_fd = -1, .err_fd = -1
	};
}

void vq_done(struct vq *queue)
{
	fd_close(&queue->kick_fd);
	fd_close(&queue->call_fd);
	fd_close(&queue->err_fd);
}

/* Without an IOMMU, the ring has to be in one piece. */
static bool take_frames(struct vq *queue, unsigned n)
{
	struct frames *frames = queue->scene->frames;
	uint32_t run = queue->scene->iommu ? 0 : frames_take_run(frames, n);

	queue->n_frames = 0;
	for (unsigned i = 0; i < n && run != FRAMES_NONE; i++) {
		uint32_t frame = queue->scene->iommu ? frames_take(frames, true) : run + i;

		if (frame == FRAMES_NONE)
			break;
		queue->frames[queue->n_frames++] = frame;
	}
	if (queue->n_frames == n)
		return true;
	while (queue->n_frames)
		frames_give(frames, queue->frames[--queue->n_frames]);
	return false;
}

static void open_window(struct vq *queue)
{
	queue->window = mmap(NULL, queue->n_frames * (size_t)FRAME, PROT_NONE,
	                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (queue->window == MAP_FAILED)
		record_fail("no window for a ring");
	for (unsigned i = 0; i < queue->n_frames; i++)
		frames_map_at(queue->scene->frames, queue->frames[i],
		              queue->window + i * (size_t)FRAME);
}

static void renew_fds(struct vq *queue)
{
	vq_done(queue);
	if (fd_event(&queue->kick_fd) || fd_event(&queue->call_fd) || fd_event(&queue->err_fd))
		record_fail("no eventfds for a ring");
}

static void place(struct vq *queue)
{
	const struct scene *scene = queue->scene;

	queue->ring.addr = next_area(queue);
	queue->tables.addr = next_area(queue);
	if (scene->iommu)
		return;
	queue->ring.addr = frames_uva(scene->frames, queue->frames[0]);
	if (queue->tables.n)
		queue->tables.addr = frames_gpa(queue->frames[queue->tables.first]);
}

static void make_driver(struct vq *queue)
{
	char *ring = area_ptr(queue, &queue->ring);
	const struct vring_driver_config config = {
		.num = queue->num,
		.event_idx = queue->scene->event_idx,
		.desc = ring,
		.avail = ring + avail_offset(queue),
		.used = ring + used_offset(queue),
		.tables = queue->tables.n ? area_ptr(queue, &queue->tables) : NULL,
		.tables_addr = queue->tables.addr,
		.table_entries = queue->table_entries,
	};

	record_expect(vring_driver_new(&config, &queue->driver), "vring_driver_new", "");
}

static struct vhu_vring_setup setup_of(const struct vq *queue, uint16_t base)
{
	return (struct vhu_vring_setup){
		.num = queue->num,
		.base = base,
		.desc = queue->ring.addr,
		.avail = queue->ring.addr + avail_offset(queue),
		.used = queue->ring.addr + used_offset(queue),
		.kick_fd = queue->kick_fd,
		.call_fd = queue->call_fd,
		.err_fd = queue->err_fd,
	};
}

static void hand_over(struct vq *queue, uint16_t base)
{
	const struct vhu_vring_setup setup = setup_of(queue, base);
	struct vhu_frontend *frontend = queue->scene->frontend;

	record_expect(vhu_frontend_vring_start(frontend, queue->index, &setup),
	              "vhu_frontend_vring_start", why(queue));
	record_expect(vhu_frontend_vring_enable(frontend, queue->index, true),
	              "vhu_frontend_vring_enable", why(queue));
	queue->running = queue->enabled = true;
}

bool vq_start(struct vq *queue)
{
	unsigned ring, tables;

	queue->num = (uint16_t)(16u << random_below(4));
	queue->table_entries = queue->scene->indirect ? (uint16_t)(6 + random_below(8)) : 0;
	ring = frames_for(used_offset(queue) + used_ring_size(queue->num, true));
	tables = frames_for((size_t)queue->num * queue->table_entries * sizeof(struct ring_desc));
	if (!take_frames(queue, ring + tables))
		return false;
	queue->ring = (struct vq_area){ 0, ring, 0 };
	queue->tables = (struct vq_area){ ring, tables, 0 };
	open_window(queue);
	place(queue);
	map_area(queue, &queue->ring);
	map_area(queue, &queue->tables);
	make_driver(queue);
	renew_fds(queue);
	queue->may_fail = false;
	hand_over(queue, 0);
	return true;
}

void vq_resume(struct vq *queue)
{
	if (queue->scene->iommu && random_chance(50)) {
		unmap_area(queue, &queue->ring);
		queue->ring.addr = next_area(queue);
		map_area(queue, &queue->ring);
	}
	renew_fds(queue);
	queue->may_fail = false;
	hand_over(queue, queue->base);
	/* What was made available before the stop is still to be shown or done. */
	vq_kick(queue);
}

static struct io *unused_io(struct vq *queue)
{
	for (unsigned i = 0; i < VQ_IOS; i++)
		if (!queue->ios[i].busy)
			return &queue->ios[i];
	return NULL;
}

static uint64_t window_of(const struct vq *queue, const struct io *io)
{
	return (queue->index + 1) * VQ_SPACE + (uint64_t)(io - queue->ios) * IO_WINDOW;
}

bool vq_add(struct vq *queue)
{
	struct vhu_buffer buffers[IO_PIECES];
	struct io *io = unused_io(queue);

	if (!io || !io_prepare(queue->scene, io, window_of(queue, io)))
		return false;
	io->position = vring_driver_avail_index(queue->driver);
	io->since_ms = now_ms();
	if (vring_driver_add(queue->driver, (const struct vring_buffer *)buffers,
	                     io_buffers(io, buffers), io)) {
		io_release(queue->scene, io);
		return false;
	}
	queue->in_flight++;
	return true;
}

void vq_kick(struct vq *queue)
{
	if (queue->running && vring_driver_kick_needed(queue->driver))
		fd_signal(queue->kick_fd);
}

static void check_errors(struct vq *queue)
{
	if (fd_drain(queue->err_fd) && !queue->may_fail)
		record_fail("queue %u: its error eventfd was signalled", queue->index);
}

static void check_lateness(const struct vq *queue)
{
	int64_t oldest = now_ms() - queue->scene->patience_ms;

	if (!queue->running || !queue->enabled)
		return;
	for (unsigned i = 0; i < VQ_IOS; i++) {
		const struct io *io = &queue->ios[i];

		if (io->busy && !io->done && io->since_ms < oldest)
			record_fail("queue %u: the request at index %u does not come back",
			            queue->index, io->position);
	}
}

unsigned vq_reap(struct vq *queue)
{
	uint32_t written;
	unsigned n = 0;
	void *token;
	int error;

	while (vring_driver_get(queue->driver, &token, &written, &error)) {
		struct io *io = token;

		io_judge(queue->scene, io, written);
		queue->refused += io->must_refuse;
		queue->completed++;
		queue->in_flight--;
		io->done = true;
		if (random_chance(80))
			io_release(queue->scene, io);
		n++;
	}
	record_expect(error, "vring_driver_get", "");
	check_errors(queue);
	check_lateness(queue);
	return n;
}

void vq_flush(struct vq *queue)
{
	const struct scene *scene = queue->scene;

	if (scene->iommu && !queue->in_flight)
		record_expect(vhu_iommu_unmap(scene->iommu, window_of(queue, queue->ios),
		                              VQ_IOS * IO_WINDOW),
		              "unmapping all of a queue's", why(queue));
	for (unsigned i = 0; i < VQ_IOS; i++)
		if (queue->ios[i].busy && queue->ios[i].done)
			io_release(queue->scene, &queue->ios[i]);
}

struct io *vq_any_io(struct vq *queue)
{
	unsigned at = random_below(VQ_IOS);

	for (unsigned i = 0; i < VQ_IOS; i++) {
		struct io *io = &queue->ios[(at + i) % VQ_IOS];

		if (io->busy && !io->done)
			return io;
	}
	return NULL;
}

bool vq_arm(struct vq *queue)
{
	return !vring_driver_arm(queue->driver);
}

/*
 * What was asked before the back-end answered is there to be read now; memory may
 * go only when it was.
 */
static void hear(struct vq *queue)
{
	record_expect(vhu_frontend_run(queue->scene->frontend, 0), "vhu_frontend_run", why(queue));
}

/* What has not come back has not been begun. */
static void judge_rest(struct vq *queue)
{
	for (unsigned i = 0; i < VQ_IOS; i++) {
		struct io *io = &queue->ios[i];

		if (io->busy && !io->done && !io->status_gone)
			io_judge_unbegun(queue->scene, io);
	}
}

static void check_base(const struct vq *queue)
{
	uint16_t base = queue->base, end = vring_driver_avail_index(queue->driver);

	for (unsigned i = 0; i < VQ_IOS; i++) {
		const struct io *io = &queue->ios[i];

		if (io->busy && !io->done &&
		    (uint16_t)(io->position - base) >= (uint16_t)(end - base))
			record_fail("queue %u stopped at %u, and the request at %u is not back",
			            queue->index, base, io->position);
	}
	if ((uint16_t)(end - base) != queue->in_flight)
		record_fail("queue %u stopped at %u of %u, but %u requests are not back",
		            queue->index, base, end, queue->in_flight);
}

void vq_stop(struct vq *queue)
{
	record_expect(vhu_frontend_vring_stop(queue->scene->frontend, queue->index, &queue->base),
	              "vhu_frontend_vring_stop", why(queue));
	queue->running = false;
	hear(queue);
	vq_reap(queue);
	check_base(queue);
	judge_rest(queue);
}

void vq_was_reset(struct vq *queue)
{
	queue->running = false;
	hear(queue);
	vq_reap(queue);
	judge_rest(queue);
}

static void close_ring(struct vq *queue)
{
	munmap(queue->window, queue->n_frames * (size_t)FRAME);
	vring_driver_free(queue->driver);
	queue->driver = NULL;
	queue->running = false;
	queue->in_flight = 0;
}

void vq_abandon(struct vq *queue)
{
	for (unsigned i = 0; i < VQ_IOS; i++)
		if (queue->ios[i].busy)
			io_release(queue->scene, &queue->ios[i]);
	unmap_area(queue, &queue->ring);
	unmap_area(queue, &queue->tables);
	close_ring(queue);
	while (queue->n_frames)
		frames_give(queue->scene->frames, queue->frames[--queue->n_frames]);
}

void vq_forget(struct vq *queue)
{
	for (unsigned i = 0; i < VQ_IOS; i++)
		io_forget(&queue->ios[i]);
	if (queue->driver)
		close_ring(queue);
}

static unsigned field(const char *part, size_t offset)
{
	return *(const uint16_t *)(const void *)(part + offset);
}

void vq_tell(const struct vq *queue)
{
	const char *avail = area_ptr(queue, &queue->ring) + avail_offset(queue);
	const char *used = area_ptr(queue, &queue->ring) + used_offset(queue);

	fprintf(stderr,
	        "driver's queue %u: %u descriptors, %u in flight%s%s; added up to %u, shown %u, "
	        "call wanted at %u (flags %u); used %u, kick wanted at %u (flags %u)\n",
	        queue->index, queue->num, queue->in_flight, queue->running ? "" : ", stopped",
	        queue->enabled ? "" : ", disabled", vring_driver_avail_index(queue->driver),
	        field(avail, RING_INDEX_OFFSET), field(avail, used_event_offset(queue->num)),
	        field(avail, RING_FLAGS_OFFSET), field(used, RING_INDEX_OFFSET),
	        field(used, avail_event_offset(queue->num)), field(used, RING_FLAGS_OFFSET));
}

/*
 * Puts other memory in the place of a part of the ring; what was in it is kept.
 * Whoever asks for the address while it has none is told so.
 */
void vq_exchange_frames(struct vq *queue)
{
	struct frames *frames = queue->scene->frames;
	bool idle = !queue->in_flight && queue->tables.n;
	const struct vq_area *area = idle && random_chance(50) ? &queue->tables : &queue->ring;
	unsigned at = area->first + random_below(area->n);
	uint32_t old = queue->frames[at], new = frames_take(frames, true);
	char *window = queue->window + at * (size_t)FRAME;

	if (new == FRAMES_NONE)
		return;
	queue->may_fail = true;
	range_make(area->addr, area->n * (uint64_t)FRAME, &queue->scene->exchanged);
	unmap_area(queue, area);
	memcpy(frames_ptr(frames, new), window, FRAME);
	queue->frames[at] = new;
	frames_map_at(frames, new, window);
	frames_give(frames, old);
	map_area(queue, area);
	hear(queue);
	queue->scene->exchanged = (struct range){ 1, 0 };
	/* An update ends the halt that a refusal has caused (S4b). */
	for (unsigned i = 0; i < area->n; i++)
		trick_push(queue->scene->frontend, area->addr + i * (uint64_t)FRAME, VHU_PERM_READ);
}

void vq_move_idle(struct vq *queue)
{
	struct vq_area old = queue->ring;
	struct vhu_vring_setup setup;

	queue->ring.addr = next_area(queue);
	map_area(queue, &queue->ring);
	setup = setup_of(queue, 0);
	trick_move_ring(queue->scene->frontend, queue->index, &setup);
	hear(queue);
	unmap_area(queue, &old);
}

void vq_replace_kick(struct vq *queue)
{
	fd_close(&queue->kick_fd);
	record_expect(fd_event(&queue->kick_fd), "eventfd", "");
	trick_set_kick(queue->scene->frontend, queue->index, queue->kick_fd);
}

void vq_replace_call(struct vq *queue)
{
	fd_close(&queue->call_fd);
	record_expect(fd_event(&queue->call_fd), "eventfd", "");
	trick_set_call(queue->scene->frontend, queue->index, queue->call_fd);
}

void vq_set_enabled(struct vq *queue, bool enabled)
{
	record_expect(vhu_frontend_vring_enable(queue->scene->frontend, queue->index, enabled),
	              "vhu_frontend_vring_enable", why(queue));
	queue->enabled = enabled;
}

void vq_doom(struct vq *queue, struct io *io)
{
	queue->may_fail = true;
	io_revoke_all(queue->scene, io);
}
