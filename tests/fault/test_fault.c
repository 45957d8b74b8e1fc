/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The n-th call fails, for n = 1, 2, ... until a session passes untouched; first
 * of those the back-end makes, then of those the front-end makes. Whatever n is:
 * the failure is told or made good, data are right, invariants hold, nothing is
 * left behind, and the next session finds everything as the first would have.
 *
 *	VHU_FAULT=all      every n (bounded and sampled without)
 *	VHU_FAULT=17       this one
 *	VHU_FAULT_SHOW=1   what became of each
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vhu/log.h>

#include "inject.h"
#include "play.h"
#include "stage.h"
#include "support/census.h"
#include "support/check.h"

/* Without VHU_FAULT: the first so many, and as many again spread over the rest. */
#ifdef THREAD_SANITIZER
#define RUNS 10u
#else
#define RUNS 30u
#endif
#define PATIENCE_MS  1500
#define DISK_PATTERN "fault-disk-XXXXXX"

static struct {
	pthread_mutex_t lock;
	unsigned n; /* warnings and errors */
	char last[300];
} said = { .lock = PTHREAD_MUTEX_INITIALIZER };

static char disk[] = DISK_PATTERN;
static const char *wanted;
static bool show;
static bool gone_wrong; /* threads are left behind: nothing more can be told */

static void listen_to(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	(void)opaque;
	if (show)
		printf("#   %s: %s\n", subject, text);
	/* Each session asks for that once. */
	if (level > VHU_LOG_WARNING || strstr(text, "the front-end refused iova"))
		return;
	pthread_mutex_lock(&said.lock);
	said.n++;
	snprintf(said.last, sizeof(said.last), "%s: %s", subject, text);
	pthread_mutex_unlock(&said.lock);
}

static unsigned times_said(void)
{
	unsigned n;

	pthread_mutex_lock(&said.lock);
	n = said.n;
	pthread_mutex_unlock(&said.lock);
	return n;
}

static void forget_said(void)
{
	pthread_mutex_lock(&said.lock);
	said.n = 0;
	said.last[0] = '\0';
	pthread_mutex_unlock(&said.lock);
}

struct plan {
	struct stage_config config;
	enum inject_side side;
	bool lasting;
};

struct tally {
	unsigned runs, told, tolerated;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void complain(const struct plan *plan, unsigned n, const char *what)
{
	const char *name = inject_failed();

	gone_wrong = true;
	fail_msg("%s, call %u (%s): %s; said last: %s", plan->config.name, n, name ? name : "none",
	         what, said.last);
}

/* Nobody is ever accepted: there is nobody to tell it but the log. */
static bool is_deaf(const struct plan *plan)
{
	const char *name = inject_failed();

	return plan->lasting && name && !strcmp(name, "accept4");
}

/* Others say by themselves what was wanting. */
static bool needs_words(int error)
{
	return error == -ENOTCONN || error == -ETIMEDOUT || error == -EREMOTEIO ||
	       error == -EPROTO || error == -EIO;
}

/* The failure may have spared it; if not, it was told: by an error with a reason, or a line. */
static void judge(const struct plan *plan, unsigned n, const struct play *play, int64_t ms,
                  struct tally *tally)
{
	if (play->mismatch)
		complain(plan, n, play->mismatch);
	if (ms > PATIENCE_MS && !is_deaf(plan))
		complain(plan, n, "it took too long");
	if (needs_words(play->error) && !play->text[0] && !times_said())
		complain(plan, n, "an error without a reason");
	if (!inject_failed() && (play->error || play->io_errors || times_said()))
		complain(plan, n, play->error ? play->step : "something was said without a cause");
	if (play->error || play->io_errors || times_said())
		tally->told++;
	else if (inject_failed())
		tally->tolerated++;
	if (show)
		printf("# %s %u: %s: %s%s%s%s; said %u: %s\n", plan->config.name, n,
		       inject_failed() ? inject_failed() : "untouched",
		       play->error ? strerror(-play->error) : "went on", play->step ? " at " : "",
		       play->step ? play->step : "", play->text, times_said(), said.last);
}

/* Nothing fails: all must be well. */
static void play_untouched(const struct plan *plan, unsigned n, const struct stage *stage)
{
	struct play after;

	forget_said();
	play(stage_connect(stage), &after);
	if (after.error || after.mismatch || after.io_errors)
		complain(plan, n, after.error ? after.step : "the next session had errors");
}

/* A whole life of a back-end. Returns whether a call has failed. */
static bool run_one(const struct plan *plan, unsigned n, struct tally *tally, unsigned *ret_calls)
{
	struct inject_held held = inject_held();
	struct census before = census_take();
	struct play first = { 0 };
	int64_t start = now_ms();
	struct stage stage;

	forget_said();
	if (plan->side == INJECT_BACK)
		inject_arm(INJECT_BACK, n, plan->lasting);
	first.error = stage_start(&stage, &plan->config);
	if (plan->side == INJECT_FRONT)
		inject_arm(INJECT_FRONT, n, plan->lasting);
	if (first.error)
		snprintf(first.text, sizeof(first.text), "set-up: %s", strerror(-first.error));
	else
		play(stage_connect(&stage), &first);
	*ret_calls = inject_disarm();
	judge(plan, n, &first, now_ms() - start, tally);
	if (stage.error) {
		stage_stop(&stage);
		assert_int_equal(stage_start(&stage, &plan->config), 0);
	}
	play_untouched(plan, n, &stage);
	stage_stop(&stage);
	if (stage_fault(&stage))
		complain(plan, n, stage_fault(&stage));
	census_check(before);
	if (inject_held().blocks != held.blocks || inject_held().mapped != held.mapped)
		complain(plan, n, "memory is left behind");
	tally->runs++;
	return inject_failed() != NULL;
}

static void run_all(const struct plan *plan)
{
	struct tally tally = { 0 };
	unsigned calls, n, step, unused;

	run_one(plan, 0, &tally, &calls);
	if (wanted && strcmp(wanted, "all")) {
		run_one(plan, (unsigned)atoi(wanted), &tally, &unused);
		return;
	}
	step = wanted || calls <= 2 * RUNS ? 1 : (calls - RUNS) / RUNS + 1;
	for (n = 1; run_one(plan, n, &tally, &unused); n += n < RUNS ? 1 : step)
		;
	/* Threads do not make quite the same calls each time; but nearly. */
	assert_true(n + step > calls / 2);
	printf("# %s, %s, %s: %u calls, %u runs, %u told, %u made good\n", plan->config.name,
	       plan->side == INJECT_BACK ? "back-end" : "front-end",
	       plan->lasting ? "from the n-th on" : "the n-th", calls, tally.runs, tally.told,
	       tally.tolerated);
}

static void run_config(struct stage_config config)
{
	if (gone_wrong)
		skip();
	for (int side = INJECT_BACK; side <= INJECT_FRONT; side++)
		for (int lasting = 0; lasting < 2; lasting++)
			run_all(&(struct plan){ config, (enum inject_side)side, lasting });
}

static void a_call_fails_in_memory(void **state)
{
	(void)state;
	run_config((struct stage_config){ .name = "memory", .engine = &engine_memory });
}

static void a_call_fails_inline(void **state)
{
	(void)state;
	run_config(
		(struct stage_config){ .name = "inline", .engine = &engine_inline, .path = disk });
}

static void a_call_fails_in_threads(void **state)
{
	(void)state;
	run_config((struct stage_config){
		.name = "threads", .engine = &engine_threads, .path = disk, .n_workers = 1 });
}

static void a_call_fails_with_io_uring(void **state)
{
	(void)state;
	if (engine_uring_probe()) {
		print_message("the kernel gives no io_uring\n");
		skip();
	}
	run_config(
		(struct stage_config){ .name = "io_uring", .engine = &engine_uring, .path = disk });
}

static void a_call_fails_with_a_tiny_iotlb(void **state)
{
	(void)state;
	run_config((struct stage_config){
		.name = "tiny IOTLB", .engine = &engine_memory, .iotlb_entries = 2 });
}

static void *do_nothing(void *opaque)
{
	return opaque;
}

/* The first thread brings others with it under a sanitizer: they are not counted. */
static void start_first_thread(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, do_nothing, NULL))
		pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_fails_in_memory),
		cmocka_unit_test(a_call_fails_inline),
		cmocka_unit_test(a_call_fails_in_threads),
		cmocka_unit_test(a_call_fails_with_io_uring),
		cmocka_unit_test(a_call_fails_with_a_tiny_iotlb),
	};
	int fd = mkstemp(disk), failed;

	if (fd < 0 || posix_fallocate(fd, 0, (off_t)STAGE_DISK)) {
		perror("a disk in the current folder");
		return 1;
	}
	close(fd);
	wanted = getenv("VHU_FAULT");
	show = getenv("VHU_FAULT_SHOW");
	inject_set_side(INJECT_FRONT);
	vhu_log_set(listen_to, NULL, show ? VHU_LOG_INFO : VHU_LOG_WARNING);
	start_first_thread();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(disk);
	return failed;
}
