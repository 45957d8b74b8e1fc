/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults in mappings that are watched, and in others. What ends a process is
 * done by a child.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vhu/sigbus.h>

#include "memory/sigbus.h"
#include "support/check.h"

#define PAGE  ((size_t)4096)
#define PAGES ((size_t)8)
#define SIZE  (PAGES * PAGE)

struct hole {
	int fd;
	volatile char *map;
	struct sigbus_range range;
};

static struct sigaction ours;

/* The test's frame has put a handler of its own over the library's. */
static void handle_again(void)
{
	assert_int_equal(sigaction(SIGBUS, &ours, NULL), 0);
}

/* A mapping of PAGES pages of ones. */
static void hole_map(struct hole *hole)
{
	void *map;

	hole->fd = memfd_create("hole", MFD_CLOEXEC);
	assert_true(hole->fd >= 0);
	assert_int_equal(ftruncate(hole->fd, SIZE), 0);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, hole->fd, 0);
	assert_true(map != MAP_FAILED);
	memset(map, 1, SIZE);
	hole->map = map;
}

static void hole_init(struct hole *hole)
{
	hole_map(hole);
	assert_int_equal(sigbus_watch(&hole->range, (char *)hole->map, SIZE, PAGE), 0);
}

static void hole_cut(struct hole *hole, size_t pages)
{
	assert_int_equal(ftruncate(hole->fd, (off_t)(pages * PAGE)), 0);
}

static void hole_done(struct hole *hole)
{
	if (hole->range.slot)
		sigbus_unwatch(&hole->range);
	munmap((char *)hole->map, SIZE);
	close(hole->fd);
}

static void what_is_gone_reads_as_zero(void **state)
{
	unsigned before = sigbus_faults();
	struct hole hole;

	(void)state;
	handle_again();
	hole_init(&hole);
	hole_cut(&hole, 3);
	assert_false(sigbus_is_broken(&hole.range));
	errno = EXDEV;
	assert_int_equal(hole.map[5 * PAGE + 7], 0);
	assert_int_equal(errno, EXDEV);
	assert_true(sigbus_is_broken(&hole.range));
	assert_int_equal(sigbus_faults(), before + 1);
	/* From there to the end at once, and it can be written. */
	hole.map[7 * PAGE] = 9;
	assert_int_equal(hole.map[7 * PAGE], 9);
	assert_int_equal(sigbus_faults(), before + 1);
	/* What lies before is met by another fault. */
	assert_int_equal(hole.map[3 * PAGE], 0);
	assert_int_equal(sigbus_faults(), before + 2);
	/* What is not gone is what it was, and the file's still. */
	for (size_t i = 0; i < 3 * PAGE; i++)
		assert_int_equal(hole.map[i], 1);
	hole.map[0] = 2;
	assert_int_equal(pwrite(hole.fd, "\3", 1, 0), 1);
	assert_int_equal(hole.map[0], 3);
	hole_done(&hole);
}

static void a_page_is_as_large_as_the_mapping_says(void **state)
{
	struct hole hole;

	(void)state;
	handle_again();
	hole_map(&hole);
	assert_int_equal(sigbus_watch(&hole.range, (char *)hole.map, SIZE, 4 * PAGE), 0);
	hole_cut(&hole, 4);
	assert_int_equal(hole.map[6 * PAGE], 0);
	/* Zero pages from the large page's beginning on: no other fault. */
	assert_int_equal(hole.map[4 * PAGE], 0);
	assert_int_equal(hole.map[4 * PAGE - 1], 1);
	hole_done(&hole);
}

static void more_mappings_than_a_block_has_slots(void **state)
{
	enum { N = 200 };
	struct hole *holes = calloc(N, sizeof(*holes));

	(void)state;
	handle_again();
	assert_non_null(holes);
	for (unsigned i = 0; i < N; i++)
		hole_init(&holes[i]);
	/* Slots that were left are taken again. */
	for (unsigned i = 0; i < N; i += 3) {
		hole_done(&holes[i]);
		hole_init(&holes[i]);
	}
	for (unsigned i = 0; i < N; i += 2) {
		hole_cut(&holes[i], 0);
		assert_int_equal(holes[i].map[0], 0);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(sigbus_is_broken(&holes[i].range), i % 2 == 0);
		assert_int_equal(holes[i].map[SIZE - 1], i % 2);
		hole_done(&holes[i]);
	}
	free(holes);
}

/* The sanitizer takes an mmap(2) for a write to all of the pages. */
#ifndef THREAD_SANITIZER
static void *fault_all_over(void *opaque)
{
	struct hole *hole = opaque;

	for (size_t i = PAGES; i-- > 1;)
		__atomic_store_n(&hole->map[i * PAGE], (char)i, __ATOMIC_RELAXED);
	return NULL;
}

/* Others come and go meanwhile, so that the handler meets slots that change. */
static void threads_fault_at_the_same_time(void **state)
{
	(void)state;
	handle_again();
	for (unsigned round = 0; round < 50; round++) {
		struct hole hole, others[4];
		pthread_t threads[4];

		hole_init(&hole);
		hole_cut(&hole, 1);
		for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
			assert_int_equal(pthread_create(&threads[i], NULL, fault_all_over, &hole),
			                 0);
		for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
			hole_init(&others[i]);
		for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
			hole_done(&others[i]);
		for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(hole.map[0], 1);
		assert_true(sigbus_is_broken(&hole.range));
		hole_done(&hole);
	}
}

#endif

/* How a child that runs @body ends, as waitpid(2) says. */
static int run_child(void (*body)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		/* The sanitizers have a handler of their own. */
		signal(SIGBUS, SIG_DFL);
		alarm(20);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static struct hole stranger;

static void touch_stranger(void)
{
	vhu_sigbus_install();
	(void)stranger.map[0];
}

static void touch_what_was_watched(void)
{
	vhu_sigbus_install();
	if (sigbus_watch(&stranger.range, (char *)stranger.map, SIZE, PAGE))
		_exit(1);
	sigbus_unwatch(&stranger.range);
	(void)stranger.map[0];
}

static void kill_myself(void)
{
	vhu_sigbus_install();
	if (sigbus_watch(&stranger.range, (char *)stranger.map, SIZE, PAGE))
		_exit(1);
	raise(SIGBUS);
	_exit(2);
}

static void handle_plain(int number)
{
	_exit(number == SIGBUS ? 42 : 1);
}

static void handle_info(int number, siginfo_t *info, void *context)
{
	_exit(number == SIGBUS && info->si_addr == stranger.map && context ? 43 : 1);
}

static void touch_with_plain_handler(void)
{
	signal(SIGBUS, handle_plain);
	touch_stranger();
}

static void touch_with_info_handler(void)
{
	const struct sigaction action = { .sa_sigaction = handle_info, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &action, NULL);
	touch_stranger();
}

static void touch_ignored(void)
{
	signal(SIGBUS, SIG_IGN);
	touch_stranger();
}

static void kill_ignored(void)
{
	signal(SIGBUS, SIG_IGN);
	vhu_sigbus_install();
	raise(SIGBUS);
	_exit(44);
}

static void install_twice(void)
{
	vhu_sigbus_install();
	vhu_sigbus_install();
	(void)stranger.map[0];
}

static void what_is_not_ours_goes_where_it_went_before(void **state)
{
	static const struct {
		void (*body)(void);
		int code; /* 0: it dies of the signal */
	} cases[] = {
		{ touch_stranger, 0 },
		{ touch_what_was_watched, 0 },
		{ kill_myself, 0 },
		{ touch_with_plain_handler, 42 },
		{ touch_with_info_handler, 43 },
		{ touch_ignored, 0 },
		{ kill_ignored, 44 },
		{ install_twice, 0 },
	};

	(void)state;
	hole_map(&stranger);
	hole_cut(&stranger, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = run_child(cases[i].body);

		if (cases[i].code ? !WIFEXITED(status) || WEXITSTATUS(status) != cases[i].code
		                  : !WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS)
			fail_msg("case %u: status %#x", i, (unsigned)status);
	}
	hole_done(&stranger);
}

int main(void)
{
	/* Its children begin without the library's handler. */
	const struct CMUnitTest before[] = {
		cmocka_unit_test(what_is_not_ours_goes_where_it_went_before),
	};
	const struct CMUnitTest after[] = {
		cmocka_unit_test(what_is_gone_reads_as_zero),
		cmocka_unit_test(a_page_is_as_large_as_the_mapping_says),
		cmocka_unit_test(more_mappings_than_a_block_has_slots),
#ifndef THREAD_SANITIZER
		cmocka_unit_test(threads_fault_at_the_same_time),
#endif
	};
	int failed = cmocka_run_group_tests(before, NULL, NULL);

	if (vhu_sigbus_install() || sigaction(SIGBUS, NULL, &ours))
		return 1;
	return failed + cmocka_run_group_tests(after, NULL, NULL);
}
