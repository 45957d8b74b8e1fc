/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lives of a back-end, one after the other until the time is over: in each a
 * server with 0, 1 or 2 workers serves some front-ends, which do at random what
 * front-ends and drivers do, and look at every byte of what comes of it. A life
 * follows from its seed, but for what threads make of it.
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "actor.h"
#include "record.h"

/* A machine may have better things to do. */
#define PATIENCE_MS   60000
#define SESSIONS_MAX  4u
#define STEPS_MAX     700u
#define PROGRESS_STEP 50u

struct tally {
	uint64_t lives, sessions, steps, requests, refused;
};

struct soak {
	struct timespec began;
	unsigned seconds;
	struct tally tally;
};

static unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	if (!dir)
		record_fail("%s can't be read", path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static unsigned elapsed(const struct soak *soak)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned)(now.tv_sec - soak->began.tv_sec - (now.tv_nsec < soak->began.tv_nsec));
}

static void show(const struct soak *soak, char end)
{
	const struct tally *tally = &soak->tally;

	printf("%u s of %u: %" PRIu64 " lives, %" PRIu64 " sessions, %" PRIu64 " steps, %" PRIu64
	       " requests, %" PRIu64 " of them refused as they had to be%c",
	       elapsed(soak), soak->seconds, tally->lives, tally->sessions, tally->steps,
	       tally->requests, tally->refused, end);
	fflush(stdout);
}

static void count(struct soak *soak, const struct actor *actor)
{
	soak->tally.sessions++;
	for (unsigned i = 0; i < DEVICE_QUEUES; i++) {
		soak->tally.requests += actor->queues[i].completed;
		soak->tally.refused += actor->queues[i].refused;
	}
}

static void live_session(struct soak *soak, struct service *service, struct frames *frames,
                         unsigned before)
{
	unsigned n = random_below(STEPS_MAX);
	struct actor actor;

	/* Some come when the last one is hardly gone. */
	if (random_chance(50))
		service_wait_ended(service, before);
	actor_open(&actor, service, frames, before, PATIENCE_MS);
	for (unsigned i = 0; i < n; i++) {
		actor_step(&actor);
		soak->tally.steps++;
		if (i % PROGRESS_STEP == 0 && isatty(STDOUT_FILENO))
			show(soak, '\r');
	}
	if (random_chance(50))
		actor_finish(&actor);
	else
		actor_drop(&actor);
	count(soak, &actor);
}

static void live(struct soak *soak, uint64_t seed)
{
	static const uint64_t bounds[] = { 8, 40, 300, 0 };
	struct service_config config = { .n_workers = seed % 3, .patience_ms = PATIENCE_MS };
	struct service *service;
	struct frames *frames;
	unsigned n;

	record_begin(seed);
	config.iotlb_entries = bounds[random_below(4)];
	config.no_miss_hints = random_chance(30);
	n = 1 + random_below(SESSIONS_MAX);
	record_step("life: %u workers, %" PRIu64 " entries, %u sessions", config.n_workers,
	            config.iotlb_entries, n);
	frames = frames_new();
	service = service_new(&config);
	for (unsigned i = 0; i < n; i++)
		live_session(soak, service, frames, i);
	service_wait_ended(service, n);
	/* Nobody is there any more who could write. */
	frames_give_all(frames);
	service_free(service);
	frames_sweep(frames);
	frames_free(frames);
	soak->tally.lives++;
}

static void check_leaks(unsigned fds, unsigned threads)
{
	unsigned now = entries("/proc/self/fd");

	if (now != fds)
		record_fail("%u file descriptors became %u", fds, now);
	/* A thread that was joined may take a moment to go. */
	for (unsigned ms = 0; entries("/proc/self/task") > threads; ms++) {
		if (ms > PATIENCE_MS)
			record_fail("threads were left behind");
		usleep(1000);
	}
}

static void soak_run(struct soak *soak, uint64_t seed)
{
	unsigned fds = 0, threads = 0;

	while (elapsed(soak) < soak->seconds) {
		live(soak, seed++);
		/* The first life makes what lasts. */
		if (soak->tally.lives == 1) {
			fds = entries("/proc/self/fd");
			threads = entries("/proc/self/task");
		}
		check_leaks(fds, threads);
	}
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*text && !*end)
		return n;
	fprintf(stderr, "soak: %s is no number\n", text);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	struct soak soak = { .seconds = 3600 };
	uint64_t seed;
	int option;

	clock_gettime(CLOCK_REALTIME, &soak.began);
	seed = (uint64_t)soak.began.tv_sec * 1000;
	clock_gettime(CLOCK_MONOTONIC, &soak.began);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 't': soak.seconds = (unsigned)number(optarg); break;
		case 's': seed = number(optarg); break;
		default: fprintf(stderr, "usage: soak [--seconds=N] [--seed=N]\n"); return 2;
		}
	}
	printf("soak: --seed=%" PRIu64 "\n", seed);
	record_init();
	vhu_log_set(record_hook, NULL, VHU_LOG_INFO);
	soak_run(&soak, seed);
	show(&soak, '\n');
	return 0;
}
