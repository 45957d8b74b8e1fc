/* SPDX-License-Identifier: BSD-3-Clause */
/* The work of "vhu bench blk": keeps every queue as deep as it was asked to be. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench_blk.h"
#include "progress.h"
#include "say.h"

#define SECTOR     512u
#define NS         INT64_C(1000000000)
#define MIB        1048576.0
#define REAP_BATCH 64u
/* Looks at empty rings between two looks at the back-channel, where misses are rare. */
#define IDLE_LOOKS 64u
/* And between two looks at the clock and the user's wishes. */
#define PASSES 1024u
/* A sleep is cut short to notice a ring that was declared broken. */
#define SLEEP_MS 200

/* Totals that the live line has told. */
struct shown {
	uint64_t requests, bytes, misses;
};

/* One pass over the area. */
struct phase {
	struct bench *bench;
	const char *what;
	bool random;
	unsigned reads;      /* per cent */
	uint64_t to_start;   /* requests, still */
	int64_t deadline_ns; /* 0: none */
	bool judge;          /* compare what is read */

	uint64_t cursor; /* the next block, where it is in order */
	struct bench_work *work;
	struct progress progress;
	struct shown shown;
	int64_t last_ns; /* something was completed */
};

static int explain(const struct bench *bench, const char *what, int error)
{
	return say_failure(BENCH_NAME, bench->frontend, what, error, NULL);
}

/* xorshift64* */
static uint64_t chance(struct bench *bench, uint64_t below)
{
	uint64_t x = bench->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	bench->random = x;
	return (uint64_t)((unsigned __int128)(x * UINT64_C(0x2545f4914f6cdd1d)) * below >> 64);
}

static uint64_t choose_block(struct phase *phase)
{
	struct bench *bench = phase->bench;
	uint64_t block;

	if (phase->random) {
		block = chance(bench, bench->blocks);
	} else {
		block = phase->cursor++;
		if (phase->cursor == bench->blocks)
			phase->cursor = 0;
	}
	return bench->check ? bench_check_claim(bench->check, block) : block;
}

static bool choose_to_read(struct phase *phase)
{
	if (phase->reads == 0 || phase->reads == 100)
		return phase->reads;
	return chance(phase->bench, 100) < phase->reads;
}

/* Adds requests while there are free ones. How many, or -errno. */
static int refill(struct phase *phase, struct blk_load *load, int64_t now)
{
	struct bench *bench = phase->bench;
	unsigned sectors = bench->options.bytes / SECTOR;
	struct blk_slot *slot;
	int n = 0;

	while (phase->to_start && (slot = blk_load_take(load))) {
		int error;

		phase->to_start--;
		slot->writes = !choose_to_read(phase);
		slot->block = choose_block(phase);
		slot->start_ns = now;
		if (slot->writes && bench->check)
			bench_check_fill(bench->check, slot);
		error = blk_load_submit(load, slot,
		                        slot->writes ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		                        slot->block * sectors);
		if (error)
			return explain(bench, "submitting a request", error);
		n++;
	}
	return n;
}

static const char *status_name(uint8_t status)
{
	switch (status) {
	case VIRTIO_BLK_S_IOERR: return "I/O error";
	case VIRTIO_BLK_S_UNSUPP: return "not supported";
	default: return "no status there is";
	}
}

static void fail(struct phase *phase, const struct blk_slot *slot)
{
	if (!phase->work->failed++)
		say(BENCH_NAME, "a %s at sector %llu failed: status %u (%s)",
		    slot->writes ? "write" : "read",
		    (unsigned long long)(slot->block * (phase->bench->options.bytes / SECTOR)),
		    blk_slot_status(slot), status_name(blk_slot_status(slot)));
}

static void judge(struct phase *phase, const struct blk_slot *slot, uint64_t differing)
{
	struct bench *bench = phase->bench;

	if (differing && !bench->differing)
		say(BENCH_NAME, "the data at sector %llu differs",
		    (unsigned long long)(slot->block * (bench->options.bytes / SECTOR)));
	bench->verified += bench->options.bytes;
	bench->differing += differing;
}

static void finish(struct phase *phase, struct blk_load *load, struct blk_slot *slot, int64_t now)
{
	struct bench_work *work = phase->work;
	struct bench_check *check = phase->bench->check;
	uint64_t differing = check ? bench_check_done(check, slot) : 0;

	work->requests++;
	latency_add(&work->latency, (uint64_t)(now - slot->start_ns), 1);
	*(slot->writes ? &work->bytes_written : &work->bytes_read) += phase->bench->options.bytes;
	if (blk_slot_status(slot) != VIRTIO_BLK_S_OK)
		fail(phase, slot);
	else if (phase->judge && !slot->writes)
		judge(phase, slot, differing);
	blk_load_give_back(load, slot);
}

/* One look at a queue: takes what is done and adds as many. 1: there was something. */
static int turn(struct phase *phase, struct blk_load *load)
{
	struct blk_slot *slots[REAP_BATCH];
	int n = blk_load_reap(load, slots, REAP_BATCH), error;
	int64_t now;

	if (n < 0)
		return explain(phase->bench, "completing a request", n);
	if (!n)
		return 0;
	now = progress_now_ns();
	for (int i = 0; i < n; i++)
		finish(phase, load, slots[i], now);
	phase->last_ns = now;
	if (phase->deadline_ns && now >= phase->deadline_ns)
		phase->to_start = 0;
	n = refill(phase, load, now);
	if (n > 0) {
		error = blk_load_kick(load);
		if (error)
			return explain(phase->bench, "kicking", error);
	}
	return n < 0 ? n : 1;
}

/* Of the time since it was shown last, but for the seconds. */
static void show(struct phase *phase, int64_t now)
{
	const struct bench_work *work = phase->work;
	const uint64_t bytes = work->bytes_read + work->bytes_written;
	double step = (double)(now - phase->progress.shown_ns) / 1e9;
	struct vhu_frontend_stats stats;

	vhu_frontend_stats(phase->bench->frontend, &stats);
	progress_show(&phase->progress, now, "%-9s %5.1f s %11.0f IOPS %9.1f MiB/s %9.0f misses/s",
	              phase->what, (double)(now - phase->progress.start_ns) / 1e9,
	              (double)(work->requests - phase->shown.requests) / step,
	              (double)(bytes - phase->shown.bytes) / MIB / step,
	              (double)(stats.misses - phase->shown.misses) / step);
	phase->shown = (struct shown){ work->requests, bytes, stats.misses };
}

/* A ring that the device has declared broken completes nothing any more. */
static int find_broken(struct bench *bench)
{
	for (unsigned i = 0; i < bench->n_loads; i++) {
		int error = vhu_vq_wait(blk_load_vq(bench->loads[i]), 1);

		if (error < 0)
			return explain(bench, "waiting for a request", error);
	}
	return 0;
}

/* Whether to go on, and the live line. 0 or -errno, which was said. */
static int look_around(struct phase *phase)
{
	struct bench *bench = phase->bench;
	int64_t now = progress_now_ns();

	if (*bench->stop)
		return -EINTR;
	if (progress_due(&phase->progress, now))
		show(phase, now);
	if (now - phase->last_ns < NS)
		return 0;
	if (now - phase->last_ns < bench->options.timeout_ms * (NS / 1000))
		return find_broken(bench);
	say(BENCH_NAME,
	    "no request was completed for %g s: the back-end hangs, or give a longer --timeout",
	    bench->options.timeout_ms / 1e3);
	return -ETIMEDOUT;
}

static bool is_busy(const struct bench *bench)
{
	for (unsigned i = 0; i < bench->n_loads; i++)
		if (blk_load_in_flight(bench->loads[i]))
			return true;
	return false;
}

/* Sleeps until something happens to any queue or to the front-end. 0 or -errno. */
static int sleep_on_all(struct bench *bench)
{
	struct pollfd fds[BENCH_QUEUES_MAX + 1];
	unsigned n = bench->n_loads;

	for (unsigned i = 0; i < n; i++) {
		struct vhu_vq *vq = blk_load_vq(bench->loads[i]);

		if (vhu_vq_arm(vq))
			return 0;
		fds[i] = (struct pollfd){ .fd = vhu_vq_call_fd(vq), .events = POLLIN };
	}
	fds[n] = (struct pollfd){ .fd = vhu_frontend_fd(bench->frontend), .events = POLLIN };
	if (poll(fds, n + 1, SLEEP_MS) < 0)
		return errno == EINTR ? 0 : -errno;
	for (unsigned i = 0; i < n; i++) {
		uint64_t calls;

		if (fds[i].revents && read(fds[i].fd, &calls, sizeof(calls)) < 0 && errno != EAGAIN)
			return -errno;
	}
	return fds[n].revents ? vhu_frontend_run(bench->frontend, 0) : 0;
}

/* There was nothing in any ring. 0 or -errno, which was said. */
static int rest(struct phase *phase, unsigned idle)
{
	struct bench *bench = phase->bench;
	int error = 0;

	if (bench->options.poll)
		error = idle % IDLE_LOOKS ? 0 : vhu_frontend_run(bench->frontend, 0);
	else if (bench->n_loads == 1)
		error = vhu_vq_wait(blk_load_vq(bench->loads[0]), SLEEP_MS);
	else
		error = sleep_on_all(bench);
	return error < 0 ? explain(bench, "waiting for a request", error) : 0;
}

static int turn_all(struct phase *phase)
{
	struct bench *bench = phase->bench;
	int any = 0;

	for (unsigned i = 0; i < bench->n_loads; i++) {
		int r = turn(phase, bench->loads[i]);

		if (r < 0)
			return r;
		any |= r;
	}
	return any;
}

static int work(struct phase *phase)
{
	struct bench *bench = phase->bench;
	bool each = bench->options.iommu >= BENCH_IOMMU_STRICT;
	unsigned passes = 0, idle = 0;
	int r = 0;

	while (r >= 0 && is_busy(bench)) {
		r = turn_all(phase);
		idle = r ? 0 : idle + 1;
		/* Each request has its misses; who sleeps sees them then. */
		if (r > 0 && each && bench->options.poll)
			r = vhu_frontend_run(bench->frontend, 0);
		else if (r == 0)
			r = rest(phase, each ? 0 : idle);
		if (r >= 0 && (++passes % PASSES == 0 || !bench->options.poll))
			r = look_around(phase);
	}
	return r < 0 ? r : 0;
}

static int start(struct phase *phase)
{
	struct bench *bench = phase->bench;
	int64_t now = progress_now_ns();

	for (unsigned i = 0; i < bench->n_loads; i++) {
		int n = refill(phase, bench->loads[i], now);
		int error = n < 0 ? n : blk_load_kick(bench->loads[i]);

		if (error)
			return n < 0 ? n : explain(bench, "kicking", error);
	}
	return 0;
}

static void count(const struct bench *bench, struct bench_work *work, int sign)
{
	struct vhu_frontend_stats stats;

	vhu_frontend_stats(bench->frontend, &stats);
	work->misses += (uint64_t)sign * stats.misses;
	work->updates += (uint64_t)sign * stats.updates;
	work->invalidations += (uint64_t)sign * stats.invalidations;
	work->own_cpu_ns += (uint64_t)sign * own_cpu_ns();
	work->peer_cpu_ns += (uint64_t)sign * peer_cpu_ns(&bench->peer);
}

static int run(struct phase *phase)
{
	struct vhu_frontend_stats stats;
	int error;

	vhu_frontend_stats(phase->bench->frontend, &stats);
	phase->shown.misses = stats.misses;
	count(phase->bench, phase->work, -1);
	progress_start(&phase->progress);
	phase->progress.live &= !phase->bench->options.silent;
	phase->last_ns = phase->progress.start_ns;
	if (phase->deadline_ns)
		phase->deadline_ns += phase->last_ns;
	error = start(phase);
	if (!error)
		error = work(phase);
	progress_make_way();
	phase->work->seconds += (double)(progress_now_ns() - phase->progress.start_ns) / 1e9;
	count(phase->bench, phase->work, 1);
	return error;
}

/* All of the area once, in order. */
static int sweep(struct bench *bench, const char *what, bool reads)
{
	static struct bench_work unseen;
	struct phase phase = {
		.bench = bench,
		.what = what,
		.reads = reads ? 100 : 0,
		.to_start = bench->blocks,
		.judge = reads,
		.work = &unseen,
	};
	int error;

	memset(&unseen, 0, sizeof(unseen));
	error = run(&phase);
	return error ? error : unseen.failed ? -EIO : 0;
}

int bench_blk_run(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	struct phase phase = {
		.bench = bench,
		.what = options->rw,
		.random = options->random,
		.reads = options->reads,
		.to_start = options->size ? (options->size - 1) / options->bytes + 1 : UINT64_MAX,
		.deadline_ns = (int64_t)(options->seconds * 1e9),
		.judge = options->verify,
		.work = &bench->work,
	};
	int error = options->verify ? sweep(bench, "filling", false) : 0;

	if (!error)
		error = run(&phase);
	if (!error && options->verify && options->reads < 100)
		error = sweep(bench, "verifying", true);
	return error;
}
