/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "late.h"
#include "load.h"
#include "talk.h"
#include "verdict.h"

#define QUEUES    4u
#define DEPTH     8u
#define MOVING    768u /* frames that pages move among */
#define MOVING_2  128u /* the same in the second region */
#define KEEP_AWAY 192u
#define EVENT_IDX 29
#define INDIRECT  28
#define REST_NS   250000
#define NAP_NS    60000u
/* So long after a message the back-end is at it. */
#define MEET_NS     40000u
#define PATIENCE_MS 20000u
/* After the last round the load goes on for so long, with traps where they are. */
#define AFTER_MS 20u
/* So many removals are sent at once. */
#define BURST 16u
/* In every second one of so many rounds requests are given time to come back. */
#define PACE    64u
#define PACE_NS 2000000u
/* With more unacknowledged messages no flush is sent. */
#define FLUSH_WAITS (PAGES_FIFO / 4)

struct run_state {
	const struct run_config *config;
	char subject[80];
	struct disk disk;
	struct talk talk;
	struct frames frames;
	struct pages pages;
	struct load load;
	uint64_t start, flush_due, moved;
	uint64_t flushes;
	uint64_t wake_at;            /* everybody sleeps by then */
	uint64_t paced, paced_until; /* requests that had come back at the last burst */
	uint64_t random;
	uint64_t region_turn; /* the round in which the second region changes */
	uint64_t ending;      /* when the last round was acknowledged */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t choose(struct run_state *state, unsigned n)
{
	return pattern_random(&state->random) % n;
}

void run_describe(const struct run_config *config, char *text, unsigned size)
{
	snprintf(text, size, "%s%s, %u workers%s%s%s%s%s%s", config->engine->name,
	         config->direct ? ", direct" : "", config->n_workers,
	         config->rings ? ", rings" : "", config->regions ? ", regions" : "",
	         config->entries ? ", few entries" : "", config->wide ? ", wide" : "",
	         config->sleepy ? ", sleepy" : "", config->poll_us ? ", polling" : "");
}

static bool start_rings(struct run_state *state)
{
	struct load *load = &state->load;

	for (unsigned q = 0; q < load->n_queues; q++) {
		const struct load_queue *queue = &load->queues[q];
		const struct talk_ring ring = {
			.index = q,
			.num = RING_NUM,
			.desc = queue->pages[0].iova,
			.avail = queue->pages[1].iova,
			.used = queue->pages[2].iova,
			.kick = queue->kick,
			.call = queue->call,
			.err = queue->err,
		};

		if (!talk_start(&state->talk, &ring))
			return false;
	}
	return true;
}

static bool make_memory(struct run_state *state)
{
	int error = frames_init(&state->frames, state->subject, state->load.n_queues * QUEUE_PAGES,
	                        MOVING, MOVING_2);

	if (error)
		verdict_set(VERDICT_FAULT, "%s: no memory: %s", state->subject, strerror(-error));
	return !error;
}

/* Whether the session is on its way. */
static bool begin(struct run_state *state, int fds[2])
{
	const struct run_config *config = state->config;
	struct load *load = &state->load;
	uint64_t features = VHU_BIT(INDIRECT) | (load->event_idx ? VHU_BIT(EVENT_IDX) : 0);

	late_set_longest(config->late_us);
	if (!make_memory(state) || !talk_open(&state->talk, fds[0], features) ||
	    !talk_share(&state->talk, &state->frames))
		return false;
	for (unsigned i = 0; i < FRAMES_REGIONS; i++)
		if (!frames_shared(&state->frames, i))
			return false;
	pages_init(&state->pages, &state->frames, state->subject, config->seed);
	pages_connect(&state->pages, state->talk.main, state->talk.back);
	state->pages.keep_away = KEEP_AWAY;
	state->pages.rings = config->rings;
	state->pages.evicts = config->entries;
	state->pages.wide = config->wide;
	return load_init(load, &state->disk, &state->pages,
	                 load->n_queues * load->depth * IO_PAGES) &&
	       start_rings(state);
}

/* One removal, by chance: mostly of single pages. */
static void remove_something(struct run_state *state)
{
	static const enum way ways[] = {
		WAY_INVALIDATE, WAY_INVALIDATE, WAY_INVALIDATE, WAY_INVALIDATE,
		WAY_RANGE,      WAY_NOTHING,    WAY_REPLACE,    WAY_LESS,
	};
	static const enum way flushes[] = { WAY_FLUSH, WAY_FLUSH_LOW, WAY_FLUSH_HIGH };
	const struct run_config *config = state->config;
	enum frame_state mark = FRAME_TRAPPED;
	enum way way = ways[choose(state, sizeof(ways) / sizeof(ways[0]))];

	/* Several together are together where they go to, too. */
	if (config->wide && choose(state, 2))
		way = WAY_RANGE;
	if ((config->rings || config->wide) && choose(state, 256) == 0)
		way = flushes[choose(state, 3)];
	if (config->marks == RUN_CANARY || (config->marks & RUN_CANARY && choose(state, 2)))
		mark = FRAME_CANARY;
	pages_remove(&state->pages, way, mark);
}

/* The region's turn comes when nothing else is under way. */
static bool turn_region(struct run_state *state)
{
	struct pages *pages = &state->pages;

	if (!state->config->regions || pages->serial < state->region_turn)
		return false;
	if (pages_add_region(pages) ||
	    pages_remove_region(pages, choose(state, 2) ? WAY_SLOT : WAY_TABLE))
		state->region_turn = pages->serial + 16 + choose(state, 32);
	return true;
}

static bool is_enough(const struct run_state *state, uint64_t now)
{
	const struct run_config *config = state->config;

	if (config->rounds && state->pages.rounds >= config->rounds)
		return true;
	return config->longest_ms && now - state->start >= (uint64_t)config->longest_ms * 1000000;
}

/*
 * Now as fast as can be, which leaves little for requests to do; now with as
 * many requests in between, unless they take very long.
 */
static bool is_ahead(struct run_state *state, uint64_t now)
{
	if (state->pages.rounds / PACE % 2 && now < state->paced_until &&
	    state->load.completed - state->paced < BURST)
		return true;
	state->paced = state->load.completed;
	state->paced_until = now + PACE_NS;
	return false;
}

static void disturb(struct run_state *state, uint64_t now)
{
	const struct run_config *config = state->config;

	if (config->flush_us) {
		if (now < state->flush_due || state->pages.n_acks > FLUSH_WAITS)
			return;
		state->flush_due = now + (uint64_t)config->flush_us * 1000;
		pages_flush(&state->pages, state->flushes++ % 2);
		return;
	}
	if (turn_region(state))
		return;
	if (is_ahead(state, now))
		return;
	for (unsigned i = 0; i < BURST && state->pages.n_going < BURST; i++)
		remove_something(state);
}

/*
 * Workers are kicked out of their sleep at the very moment when pages are taken
 * away that they have used before, and will use again.
 */
static void wake(struct run_state *state, uint64_t now)
{
	struct pages *pages = &state->pages;
	unsigned queues = (unsigned)choose(state, 1u << state->load.n_queues);
	bool kick_first = choose(state, 2);

	if (state->load.busy || pages->n_going || pages->n_misses) {
		state->wake_at = now + choose(state, NAP_NS);
		return;
	}
	if (now < state->wake_at)
		return;
	if (kick_first)
		load_submit(&state->load, queues);
	for (unsigned n = (unsigned)choose(state, 4); n > 0 && !state->ending; n--)
		remove_something(state);
	if (kick_first)
		return;
	pages_turn(pages);
	for (uint64_t until = now_ns() + choose(state, MEET_NS); now_ns() < until;)
		;
	load_submit(&state->load, queues);
}

/* Sleeps until there is something to do, or not for long. */
static void rest(struct run_state *state)
{
	struct pollfd fds[2 + LOAD_QUEUES_MAX] = {
		{ .fd = state->talk.main, .events = POLLIN },
		{ .fd = state->talk.back, .events = POLLIN },
	};
	const struct timespec longest = { .tv_nsec = state->config->sleepy ? NAP_NS / 2 : REST_NS };
	struct load *load = &state->load;

	for (unsigned q = 0; q < load->n_queues; q++)
		fds[2 + q] = (struct pollfd){ .fd = load->queues[q].call, .events = POLLIN };
	if (!load_arm(load))
		ppoll(fds, 2 + load->n_queues, &longest, NULL);
}

/* False: nothing has moved for too long. */
static bool watch(struct run_state *state, bool moved, uint64_t now)
{
	if (moved)
		state->moved = now;
	if (now - state->moved < (uint64_t)PATIENCE_MS * 1000000)
		return true;
	verdict_set(
		VERDICT_FAULT,
		"%s: nothing moves: %u requests, %u acknowledgements, %u misses wait (round %llu)",
		state->subject, state->load.busy, state->pages.n_acks, state->pages.n_misses,
		(unsigned long long)state->pages.rounds);
	return false;
}

/* Rounds, then a while in which nothing goes any more, then to the end of what was begun. */
static void go(struct run_state *state)
{
	const struct run_config *config = state->config;

	for (;;) {
		uint64_t now = now_ns();
		bool over, moved;

		if (!state->ending && is_enough(state, now))
			state->ending = now;
		over = state->ending && now - state->ending >= AFTER_MS * 1000000u;
		if (config->sleepy && !over) {
			wake(state, now);
		} else if (!over) {
			if (!state->ending)
				disturb(state, now);
			load_submit(&state->load, LOAD_ALL_QUEUES);
		}
		moved = pages_turn(&state->pages);
		moved |= load_reap(&state->load);
		frames_tell(&state->frames);
		if (verdict_now() != VERDICT_FINE || !watch(state, moved, now))
			return;
		if (over && !state->load.busy && !state->pages.n_acks && !state->pages.n_misses)
			return;
		if (!moved)
			rest(state);
	}
}

static void stop_rings(struct run_state *state)
{
	struct load *load = &state->load;

	for (unsigned q = 0; q < load->n_queues && verdict_now() == VERDICT_FINE; q++) {
		int base = talk_stop(&state->talk, q);

		if (base != vring_driver_avail_index(load->queues[q].driver))
			verdict_set(VERDICT_FAULT, "%s: queue %u stopped at %d", state->subject, q,
			            base);
	}
}

static void note_result(const struct run_state *state, struct run_result *ret)
{
	ret->rounds = state->pages.rounds;
	ret->trapped = state->pages.trapped;
	ret->canaries = state->pages.canaries;
	ret->requests = state->load.completed;
	ret->misses = state->pages.n_answers;
	ret->pages = state->pages.n;
	ret->flushes = state->flushes;
	ret->ms = (unsigned)((now_ns() - state->start) / 1000000);
}

static struct run_state *state_new(const struct run_config *config)
{
	struct run_state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	state->config = config;
	run_describe(config, state->subject, sizeof(state->subject));
	state->random = config->seed;
	state->start = state->moved = now_ns();
	state->talk = (struct talk){ state->subject, -1, -1 };
	state->load.subject = state->subject;
	state->load.random = ~config->seed;
	state->load.n_queues = config->n_queues ? config->n_queues : QUEUES;
	state->load.depth = config->depth ? config->depth : DEPTH;
	state->load.event_idx = config->n_workers > 2;
	return state;
}

static int start_disk(struct run_state *state, int fd)
{
	const struct disk_config disk = {
		.engine = state->config->engine,
		.n_workers = state->config->n_workers,
		.queues = state->load.n_queues,
		.entries = state->config->entries,
		.poll_us = state->config->poll_us,
		.direct = state->config->direct,
	};

	return disk_start(&state->disk, &disk, fd);
}

void run(const struct run_config *config, struct run_result *ret)
{
	struct run_state *state = state_new(config);
	int fds[2] = { -1, -1 }, error;

	memset(ret, 0, sizeof(*ret));
	verdict_reset();
	if (!state || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		verdict_set(VERDICT_FAULT, "no memory, or no socket pair");
		free(state);
		return;
	}
	error = start_disk(state, fds[1]);
	ret->absent = error == -EOPNOTSUPP;
	if (!error && begin(state, fds)) {
		go(state);
		frames_lift(&state->frames, 0);
		if (config->seen && verdict_now() != VERDICT_FINE)
			config->seen();
		stop_rings(state);
		frames_tell(&state->frames);
		if (verdict_now() == VERDICT_FINE)
			load_verify_disk(&state->load);
	}
	note_result(state, ret);
	if (state->talk.main != fds[0])
		fd_close(&fds[0]);
	talk_close(&state->talk);
	disk_stop(&state->disk);
	if (error)
		fd_close(&fds[1]);
	load_done(&state->load);
	if (state->frames.mem)
		frames_done(&state->frames);
	free(state);
}
