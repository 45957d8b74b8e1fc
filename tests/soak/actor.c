/* SPDX-License-Identifier: BSD-3-Clause */
#include "actor.h"

#include <inttypes.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "frontend/frontend.h"
#include "record.h"
#include "tricks.h"

/* Of the ring; the kernel's own header of them clashes with the library's. */
#define F_INDIRECT_DESC 28
#define F_EVENT_IDX     29

#define BIT(n)          (UINT64_C(1) << (n))

static void expect(struct actor *actor, int error, const char *what)
{
	record_expect(error, what, vhu_frontend_error(actor->scene.frontend));
}

static void config_changed(void *opaque)
{
	((struct actor *)opaque)->config_changes++;
}

/* S1, S10: nothing is asked for that nobody wants any more. */
static void fault(const struct vhu_iommu_fault *fault, void *opaque)
{
	struct actor *actor = opaque;

	if (range_has(actor->scene.exchanged, fault->iova))
		return;
	for (unsigned q = 0; q < DEVICE_QUEUES; q++)
		for (unsigned i = 0; i < VQ_IOS; i++)
			if (io_wants(&actor->queues[q].ios[i], fault->iova))
				return;
	record_fail("a miss of %#" PRIx64 " for %u, which nobody wants", fault->iova, fault->perm);
}

static uint64_t choose_features(void)
{
	uint64_t features = BIT(VIRTIO_F_VERSION_1);

	if (random_chance(85))
		features |= BIT(VIRTIO_F_ACCESS_PLATFORM);
	if (random_chance(50))
		features |= BIT(F_EVENT_IDX);
	if (random_chance(50))
		features |= BIT(F_INDIRECT_DESC);
	return features;
}

static void connect_to(struct actor *actor)
{
	const struct vhu_iommu_config iommu = { .fault = fault, .opaque = actor };
	struct vhu_frontend_config config = {
		.name = "driver",
		.timeout_ms = actor->scene.patience_ms,
		.config_changed = config_changed,
		.opaque = actor,
	};
	struct scene *scene = &actor->scene;

	if (actor->features & BIT(VIRTIO_F_ACCESS_PLATFORM))
		record_expect(vhu_iommu_new(&iommu, &scene->iommu), "vhu_iommu_new", "");
	config.iommu = scene->iommu;
	record_expect(vhu_frontend_new(&config, service_connect(actor->service), &scene->frontend),
	              "vhu_frontend_new", "");
	expect(actor, vhu_frontend_negotiate(scene->frontend), "vhu_frontend_negotiate");
	expect(actor, vhu_frontend_set_features(scene->frontend, actor->features),
	       "vhu_frontend_set_features");
}

static void share(struct actor *actor, unsigned region)
{
	struct frames *frames = actor->scene.frames;

	expect(actor,
	       vhu_frontend_add_memory(actor->scene.frontend, &frames_regions(frames)[region], 1),
	       "vhu_frontend_add_memory");
	frames_set_shared(frames, region, true);
}

void actor_open(struct actor *actor, struct service *service, struct frames *frames, unsigned ended,
                int patience_ms)
{
	*actor = (struct actor){
		.service = service,
		.scene = { .frames = frames, .patience_ms = patience_ms, .exchanged = { 1, 0 } },
		.features = choose_features(),
	};
	actor->scene.event_idx = actor->features & BIT(F_EVENT_IDX);
	actor->scene.indirect = actor->features & BIT(F_INDIRECT_DESC);
	connect_to(actor);
	service_wait_ended(service, ended);
	frames_give_all(frames);
	for (unsigned i = 0; i < FRAMES_REGIONS; i++)
		frames_set_shared(frames, i, false);
	if (random_chance(30))
		trick_forget_slots(actor->scene.frontend);
	for (unsigned i = 0; i < FRAMES_REGIONS; i++)
		if (i == FRAMES_FIRM || random_chance(70))
			share(actor, i);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		vq_init(&actor->queues[i], &actor->scene, i);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (i == 0 || random_chance(60))
			vq_start(&actor->queues[i]);
}

static struct vq *any_queue(struct actor *actor)
{
	return &actor->queues[random_below(DEVICE_QUEUES)];
}

static void serve(struct actor *actor)
{
	expect(actor, vhu_frontend_run(actor->scene.frontend, 0), "vhu_frontend_run");
}

static unsigned reap_all(struct actor *actor)
{
	unsigned n = 0;

	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (actor->queues[i].driver)
			n += vq_reap(&actor->queues[i]);
	return n;
}

static bool is_working(const struct vq *queue)
{
	return queue->running && queue->enabled && queue->in_flight;
}

static void tell(const struct actor *actor)
{
	const struct vhu_frontend *fe = actor->scene.frontend;

	fprintf(stderr, "front-end: %u replies awaited, %u misses unanswered%s\n", fe->n_awaited,
	        fe->n_back, fe->back_stalled ? ", stalled" : "");
	for (unsigned i = 0; i < DEVICE_QUEUES; i++) {
		const struct vq *queue = &actor->queues[i];

		if (queue->driver)
			vq_tell(queue);
	}
}

/* Sleeps until somebody says something, be it a call or a miss. */
static void sleep_on_all(struct actor *actor)
{
	struct pollfd fds[DEVICE_QUEUES + 1];
	unsigned n = 0;

	fds[n++] = (struct pollfd){ vhu_frontend_fd(actor->scene.frontend), POLLIN, 0 };
	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (actor->queues[i].running)
			fds[n++] = (struct pollfd){ actor->queues[i].call_fd, POLLIN, 0 };
	if (poll(fds, n, actor->scene.patience_ms) == 0) {
		service_tell(actor->service);
		tell(actor);
		record_fail("requests are under way, but nobody says anything");
	}
	for (unsigned i = 1; i < n; i++)
		if (fds[i].revents)
			fd_drain(fds[i].fd);
	serve(actor);
}

/* At least one request comes back if one can; a call that is lost is found here. */
static void await(struct actor *actor)
{
	for (;;) {
		bool working = false, asleep = true;

		for (unsigned i = 0; i < DEVICE_QUEUES; i++) {
			struct vq *queue = &actor->queues[i];

			if (!is_working(queue))
				continue;
			vq_kick(queue);
			working = true;
			asleep &= vq_arm(queue);
		}
		if (asleep && working)
			sleep_on_all(actor);
		if (reap_all(actor) || !working)
			return;
	}
}

static void add(struct actor *actor)
{
	struct vq *queue = any_queue(actor);
	unsigned n = 1 + random_below(random_chance(20) ? 12 : 3);

	if (!queue->driver)
		return;
	while (n-- && vq_add(queue))
		;
	if (random_chance(80))
		vq_kick(queue);
}

static void look(struct actor *actor)
{
	serve(actor);
	reap_all(actor);
}

static void rest(struct actor *actor)
{
	usleep(random_below(1500));
	serve(actor);
}

static void flush(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (queue->driver)
		vq_flush(queue);
}

static void take_back(struct actor *actor)
{
	struct vq *queue = any_queue(actor);
	struct io *io = vq_any_io(queue);

	if (actor->scene.iommu && io)
		io_revoke(&actor->scene, io);
}

static struct range page_of(uint64_t addr)
{
	return (struct range){ addr & ~(uint64_t)(FRAME - 1), addr | (FRAME - 1) };
}

static void invalidate(struct actor *actor)
{
	struct vq *queue = any_queue(actor);
	struct io *io = vq_any_io(queue);
	struct range range = RANGE_ALL;

	if (!actor->scene.iommu)
		return;
	switch (random_below(5)) {
	case 0: break;
	case 1:
		range_make((queue->index + 1) * (UINT64_C(1) << 32), UINT64_C(1) << 32, &range);
		break;
	case 2: range = page_of(queue->ring.addr + random_below(queue->ring.n + 1) * FRAME); break;
	case 3:
		if (io)
			range_make(io->window, IO_WINDOW, &range);
		break;
	default:
		if (io)
			range = page_of(io->pieces[random_below(io->n_pieces)].addr);
	}
	trick_invalidate(actor->scene.frontend, range);
	serve(actor);
}

static void push(struct actor *actor)
{
	struct io *io = vq_any_io(any_queue(actor));

	if (!actor->scene.iommu || !io)
		return;
	for (unsigned i = 0; i < io->n_pieces; i++)
		if (io->pieces[i].mapped && random_chance(50))
			trick_push(actor->scene.frontend, io->pieces[i].addr,
			           io->pieces[i].role == IO_IN ? VHU_PERM_WRITE : VHU_PERM_READ);
}

static void stop(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (queue->running)
		vq_stop(queue);
}

static void start(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (queue->running)
		return;
	if (queue->driver && random_chance(60)) {
		vq_resume(queue);
		return;
	}
	if (queue->driver)
		vq_abandon(queue);
	vq_start(queue);
}

static void bounce(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (!queue->running)
		return;
	add(actor);
	vq_kick(queue);
	vq_stop(queue);
	vq_resume(queue);
}

/* S6: nothing new is asked while nothing runs. */
static void stop_all(struct actor *actor)
{
	struct vhu_frontend_stats before, after;
	struct vhu_frontend *frontend = actor->scene.frontend;

	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (actor->queues[i].running)
			vq_stop(&actor->queues[i]);
	serve(actor);
	vhu_frontend_stats(frontend, &before);
	usleep(random_below(2000));
	serve(actor);
	vhu_frontend_stats(frontend, &after);
	if (after.misses != before.misses)
		record_fail("%u misses came while no ring ran",
		            (unsigned)(after.misses - before.misses));
	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (actor->queues[i].driver && random_chance(70))
			vq_resume(&actor->queues[i]);
}

static void exchange_frames(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (actor->scene.iommu && queue->running)
		vq_exchange_frames(queue);
}

static void move_idle(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (actor->scene.iommu && queue->running && !queue->in_flight)
		vq_move_idle(queue);
}

static void replace_fds(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (!queue->running)
		return;
	if (random_chance(50))
		vq_replace_kick(queue);
	else
		vq_replace_call(queue);
}

static void disable(struct actor *actor)
{
	struct vq *queue = any_queue(actor);

	if (queue->running)
		vq_set_enabled(queue, false);
}

static void enable(struct actor *actor)
{
	for (unsigned i = 0; i < DEVICE_QUEUES; i++)
		if (actor->queues[i].running && !actor->queues[i].enabled)
			vq_set_enabled(&actor->queues[i], true);
}

static void doom(struct actor *actor)
{
	struct vq *queue = any_queue(actor);
	struct io *io = vq_any_io(queue);

	if (!actor->scene.iommu || !queue->running || !io)
		return;
	vq_doom(queue, io);
	if (random_chance(50))
		rest(actor);
	vq_stop(queue);
	vq_abandon(queue);
}

static void change_memory(struct actor *actor)
{
	struct scene *scene = &actor->scene;
	unsigned region = 1 + random_below(FRAMES_REGIONS - 1);

	if (!frames_is_shared(scene->frames, region)) {
		share(actor, region);
		return;
	}
	expect(actor,
	       vhu_frontend_remove_memory(scene->frontend, &frames_regions(scene->frames)[region]),
	       "vhu_frontend_remove_memory");
	frames_set_shared(scene->frames, region, false);
	serve(actor);
	for (unsigned q = 0; q < DEVICE_QUEUES; q++)
		for (unsigned i = 0; i < VQ_IOS; i++) {
			struct io *io = &actor->queues[q].ios[i];

			if (io->busy && !io->done)
				io_revoke_region(scene, io, region);
		}
}

static void replace_back_channel(struct actor *actor)
{
	trick_replace_back_channel(actor->scene.frontend);
}

static void reset(struct actor *actor)
{
	uint8_t status = 0xff;

	expect(actor, vhu_frontend_reset_device(actor->scene.frontend),
	       "vhu_frontend_reset_device");
	expect(actor, vhu_frontend_get_status(actor->scene.frontend, &status), "the status");
	if (status)
		record_fail("the status after a reset is %#x", status);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++) {
		struct vq *queue = &actor->queues[i];

		if (!queue->driver)
			continue;
		vq_was_reset(queue);
		vq_abandon(queue);
		if (random_chance(80))
			vq_start(queue);
	}
}

static void repeat_features(struct actor *actor)
{
	expect(actor, vhu_frontend_set_features(actor->scene.frontend, actor->features),
	       "the same features");
}

static void use_config(struct actor *actor)
{
	struct vhu_frontend *frontend = actor->scene.frontend;
	uint64_t written = random_next(), read = 0;
	uint32_t offset = random_below(248);
	uint8_t status;

	expect(actor, vhu_frontend_set_config(frontend, offset, &written, 8, false), "SET_CONFIG");
	expect(actor, vhu_frontend_get_config(frontend, offset, &read, 8), "GET_CONFIG");
	if (read != written)
		record_fail("what was written to the configuration is not what is read");
	expect(actor, vhu_frontend_set_status(frontend, (uint8_t)written), "SET_STATUS");
	expect(actor, vhu_frontend_get_status(frontend, &status), "GET_STATUS");
	if (status != (uint8_t)written)
		record_fail("the status is another than was set");
	service_change_config(actor->service);
}

/* B2: whoever comes second is told so at once. */
static void come_second(struct actor *actor)
{
	int fd = service_connect(actor->service);
	struct pollfd poller = { fd, POLLIN, 0 };
	char byte;

	if (poll(&poller, 1, actor->scene.patience_ms) != 1 || read(fd, &byte, 1) != 0)
		record_fail("a second front-end was not refused");
	close(fd);
}

static void sweep(struct actor *actor)
{
	frames_sweep(actor->scene.frames);
}

static void check(struct actor *actor)
{
	service_check(actor->service);
}

static const struct step {
	const char *name;
	unsigned weight;
	void (*take)(struct actor *actor);
} steps[] = {
	{ "add", 300, add },
	{ "look", 150, look },
	{ "await", 150, await },
	{ "rest", 30, rest },
	{ "flush", 20, flush },
	{ "take back", 60, take_back },
	{ "invalidate", 60, invalidate },
	{ "push", 20, push },
	{ "stop", 8, stop },
	{ "start", 24, start },
	{ "bounce", 8, bounce },
	{ "stop all", 3, stop_all },
	{ "exchange frames", 10, exchange_frames },
	{ "move", 10, move_idle },
	{ "replace fds", 6, replace_fds },
	{ "disable", 5, disable },
	{ "enable", 15, enable },
	{ "doom", 4, doom },
	{ "change memory", 10, change_memory },
	{ "replace back-channel", 6, replace_back_channel },
	{ "reset", 2, reset },
	{ "features", 4, repeat_features },
	{ "configuration", 4, use_config },
	{ "second", 2, come_second },
	{ "sweep", 6, sweep },
	{ "check", 8, check },
};

void actor_step(struct actor *actor)
{
	unsigned sum = 0, at = 0, choice;

	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		sum += steps[i].weight;
	choice = random_below(sum);
	while (choice >= steps[at].weight)
		choice -= steps[at++].weight;
	record_step("%s", steps[at].name);
	steps[at].take(actor);
}

static void close_all(struct actor *actor)
{
	vhu_frontend_free(actor->scene.frontend);
	vhu_iommu_free(actor->scene.iommu);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++) {
		vq_forget(&actor->queues[i]);
		vq_done(&actor->queues[i]);
	}
}

void actor_finish(struct actor *actor)
{
	bool working;

	record_step("finish");
	enable(actor);
	do {
		await(actor);
		working = false;
		for (unsigned i = 0; i < DEVICE_QUEUES; i++)
			working |= is_working(&actor->queues[i]);
	} while (working);
	for (unsigned i = 0; i < DEVICE_QUEUES; i++) {
		struct vq *queue = &actor->queues[i];

		if (queue->running)
			vq_stop(queue);
		if (queue->driver)
			vq_abandon(queue);
	}
	if (actor->scene.iommu && vhu_iommu_exposed(actor->scene.iommu))
		record_fail("something is exposed at the end");
	close_all(actor);
}

void actor_drop(struct actor *actor)
{
	record_step("drop");
	close_all(actor);
}
