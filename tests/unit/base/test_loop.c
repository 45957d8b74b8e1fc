/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The epoll loop: what is called back and what not any more, the order of tasks,
 * who gets a turn when one of them goes on for ever, and what other threads may
 * do. A test that would sleep for ever is ended by Meson.
 */
#include <errno.h>
#include <unistd.h>

#include "loop_stage.h"

#define BELLS_MAX (2 * LOOP_BATCH + 6)

static void a_source_is_called_while_it_is_ready(void **state)
{
	struct loop loop;
	struct bell bell;

	(void)state;
	begin(&loop);
	bell_init(&bell, &loop);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(bell.rung, 0);
	fd_signal(bell.fd);
	assert_true(is_readable(&loop));
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(bell.rung, 1);
	assert_false(is_readable(&loop));
	bell_done(&bell);
	loop_done(&loop);
}

static void leave_unread(struct bell *bell)
{
	if (bell->rung == 3)
		fd_drain(bell->fd);
}

static void what_was_not_read_comes_again(void **state)
{
	struct loop loop;
	struct bell bell;

	(void)state;
	begin(&loop);
	bell_init(&bell, &loop);
	bell.then = leave_unread;
	fd_signal(bell.fd);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(bell.rung, 3);
	bell_done(&bell);
	loop_done(&loop);
}

static void events_are_those_asked_for_last(void **state)
{
	struct loop loop;
	struct bell bell;

	(void)state;
	begin(&loop);
	bell_init(&bell, &loop);
	fd_signal(bell.fd);
	assert_int_equal(loop_change(&loop, &bell.source, 0), 0);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(bell.rung, 0);
	assert_int_equal(loop_change(&loop, &bell.source, EPOLLIN), 0);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(bell.rung, 1);
	bell_done(&bell);
	loop_done(&loop);
}

static void remove_both(struct bell *bell)
{
	loop_remove(bell->loop, &bell->source);
	loop_remove(bell->loop, &bell->other->source);
}

static void remove_other(struct bell *bell)
{
	loop_remove(bell->loop, &bell->other->source);
	fd_drain(bell->fd);
}

/* The other source goes on with another fd, at which nothing has happened. */
static void move_other(struct bell *bell)
{
	struct bell *other = bell->other;

	fd_drain(bell->fd);
	if (other->rung)
		return;
	loop_remove(bell->loop, &other->source);
	fd_close(&other->fd);
	assert_int_equal(fd_event(&other->fd), 0);
	assert_int_equal(loop_add(bell->loop, &other->source, other->fd, EPOLLIN, ring), 0);
}

/* Both are ready in the same batch, whichever comes first. */
static void a_source_that_was_removed_is_called_no_more(void **state)
{
	static void (*const thens[])(struct bell * bell) = { remove_both, remove_other,
		                                             move_other };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(thens); i++) {
		struct bell a, b;
		struct loop loop;

		begin(&loop);
		bell_init(&a, &loop);
		bell_init(&b, &loop);
		a.then = b.then = thens[i];
		a.other = &b;
		b.other = &a;
		fd_signal(a.fd);
		fd_signal(b.fd);
		for (unsigned round = 0; round < 3; round++)
			assert_int_equal(loop_run(&loop, 0), 0);
		assert_int_equal(a.rung + b.rung, 1);
		bell_done(&a);
		bell_done(&b);
		loop_done(&loop);
	}
}

static void removing_what_is_in_no_loop_is_harmless(void **state)
{
	struct loop_source source = { .fd = -1 };
	struct loop loop;
	struct bell bell;

	(void)state;
	begin(&loop);
	loop_remove(&loop, &source);
	loop_remove_unused(&loop, &source);
	bell_init(&bell, &loop);
	loop_remove_unused(&loop, &bell.source);
	assert_int_equal(bell.source.fd, -1);
	fd_signal(bell.fd);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(bell.rung, 0);
	bell_done(&bell);
	loop_done(&loop);
}

static void an_fd_that_can_not_be_polled_is_refused(void **state)
{
	struct loop_source source = { .fd = -1 };
	struct loop loop;
	struct bell bell;

	(void)state;
	begin(&loop);
	assert_int_equal(loop_add(&loop, &source, -1, EPOLLIN, ring), -EBADF);
	assert_int_equal(source.fd, -1);
	bell_init(&bell, &loop);
	assert_int_equal(loop_add(&loop, &source, bell.fd, EPOLLIN, ring), -EEXIST);
	assert_int_equal(source.fd, -1);
	assert_int_equal(loop_change(&loop, &source, EPOLLIN), -EBADF);
	bell_done(&bell);
	loop_done(&loop);
}

static void more_than_a_batch_holds_are_all_called(void **state)
{
	static struct bell bells[BELLS_MAX];
	struct loop loop;

	(void)state;
	begin(&loop);
	for (unsigned i = 0; i < BELLS_MAX; i++) {
		bell_init(&bells[i], &loop);
		fd_signal(bells[i].fd);
	}
	for (unsigned round = 0; round < 1 + BELLS_MAX / LOOP_BATCH; round++)
		assert_int_equal(loop_run(&loop, 0), 0);
	for (unsigned i = 0; i < BELLS_MAX; i++) {
		assert_int_equal(bells[i].rung, 1);
		bell_done(&bells[i]);
	}
	loop_done(&loop);
}

static void tasks_run_once_and_in_order(void **state)
{
	struct loop loop;
	struct job a, b, c;

	(void)state;
	begin(&loop);
	a = job_of(&loop, 'a');
	b = job_of(&loop, 'b');
	c = job_of(&loop, 'c');
	loop_schedule(&loop, &b.task);
	loop_schedule(&loop, &a.task);
	loop_schedule(&loop, &b.task);
	loop_schedule(&loop, &c.task);
	loop_cancel(&c.task);
	loop_cancel(&c.task);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_string_equal(written, "ba");
	loop_schedule(&loop, &c.task);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "bac");
	loop_done(&loop);
}

static void what_a_task_schedules_runs_behind_those_that_wait(void **state)
{
	struct loop loop;
	struct job a, b, c;

	(void)state;
	begin(&loop);
	a = job_of(&loop, 'a');
	b = job_of(&loop, 'b');
	c = job_of(&loop, 'c');
	a.next = &c;
	a.again = 2;
	loop_schedule(&loop, &a.task);
	loop_schedule(&loop, &b.task);
	assert_int_equal(loop_run(&loop, -1), 0);
	/* When a runs again c waits still, and is not scheduled twice. */
	assert_string_equal(written, "abacac");
	assert_false(is_readable(&loop));
	loop_done(&loop);
}

static void a_task_may_cancel_one_of_its_own_pass(void **state)
{
	struct loop loop;
	struct job a, b, c;

	(void)state;
	begin(&loop);
	a = job_of(&loop, 'a');
	b = job_of(&loop, 'b');
	c = job_of(&loop, 'c');
	a.cancels = &b;
	loop_schedule(&loop, &a.task);
	loop_schedule(&loop, &b.task);
	loop_schedule(&loop, &c.task);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "ac");
	/* It may be scheduled again. */
	a.cancels = NULL;
	loop_schedule(&loop, &b.task);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "acb");
	loop_done(&loop);
}

/* Tells how often the task had run when the bell rang. */
static struct job *witness;
static unsigned runs_then;

static void note_runs(struct bell *bell)
{
	fd_drain(bell->fd);
	runs_then = witness->runs;
}

static void an_fd_has_its_turn_while_a_task_goes_on(void **state)
{
	struct bell bell;
	struct loop loop;
	struct job job;

	(void)state;
	begin(&loop);
	bell_init(&bell, &loop);
	bell.then = note_runs;
	job = job_of(&loop, 'x');
	job.again = 60;
	job.rings = &bell;
	witness = &job;
	loop_schedule(&loop, &job.task);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(bell.rung, 1);
	assert_in_range(runs_then, 1, 10);
	assert_int_equal(job.runs, 61);
	bell_done(&bell);
	loop_done(&loop);
}

static void a_task_without_end_lets_the_caller_go_and_come_back(void **state)
{
	struct loop loop;
	struct job job;
	unsigned before;

	(void)state;
	begin(&loop);
	job = job_of(&loop, 'x');
	job.again = UINT32_MAX;
	loop_schedule(&loop, &job.task);
	assert_int_equal(loop_run(&loop, -1), 0);
	before = job.runs;
	assert_true(before > 1);
	/* Who polls must not sleep, and who runs does not. */
	assert_true(is_readable(&loop));
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_true(job.runs > before);
	job.again = 0;
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_false(is_readable(&loop));
	loop_done(&loop);
}

static void what_is_scheduled_between_runs_makes_the_fd_readable(void **state)
{
	struct loop loop;
	struct job job;

	(void)state;
	begin(&loop);
	job = job_of(&loop, 'x');
	assert_false(is_readable(&loop));
	loop_schedule(&loop, &job.task);
	assert_true(is_readable(&loop));
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "x");
	assert_false(is_readable(&loop));
	loop_done(&loop);
}

static void a_run_waits_as_long_as_it_is_told_to(void **state)
{
	struct loop loop;
	int64_t start = now_ms();

	(void)state;
	begin(&loop);
	assert_int_equal(loop_run(&loop, 30), 0);
	assert_true(now_ms() - start >= 29);
	loop_done(&loop);
}

static void another_thread_wakes_a_loop_that_sleeps(void **state)
{
	struct sleeper sleeper;

	(void)state;
	sleeper_start(&sleeper);
	for (unsigned i = 1; i <= 200; i++) {
		unsigned before = atomic_load(&sleeper.rounds);

		loop_wake(&sleeper.loop);
		while (atomic_load(&sleeper.rounds) == before)
			sched_yield();
	}
	sleeper_stop(&sleeper);
}

static void a_wake_before_the_sleep_is_not_lost(void **state)
{
	struct loop loop;

	(void)state;
	begin(&loop);
	loop_wake(&loop);
	loop_wake(&loop);
	assert_true(is_readable(&loop));
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_false(is_readable(&loop));
	loop_done(&loop);
}

static atomic_uint heard;

static void hear(struct loop_source *source, uint32_t events)
{
	(void)events;
	fd_drain(source->fd);
	atomic_fetch_add(&heard, 1);
}

/* As a session hands a ring's kick to the loop of a worker that sleeps. */
static void another_thread_adds_to_a_loop_that_sleeps(void **state)
{
	struct loop_source sources[50];
	int fds[ARRAY_SIZE(sources)];
	struct sleeper sleeper;

	(void)state;
	atomic_store(&heard, 0);
	sleeper_start(&sleeper);
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
		assert_int_equal(fd_event(&fds[i]), 0);
		/* Every other one has been signalled before. */
		if (i % 2)
			fd_signal(fds[i]);
		assert_int_equal(loop_add(&sleeper.loop, &sources[i], fds[i], EPOLLIN, hear), 0);
		if (i % 2 == 0)
			fd_signal(fds[i]);
		while (atomic_load(&heard) != i + 1)
			sched_yield();
	}
	sleeper_stop(&sleeper);
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++)
		fd_close(&fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_is_called_while_it_is_ready),
		cmocka_unit_test(what_was_not_read_comes_again),
		cmocka_unit_test(events_are_those_asked_for_last),
		cmocka_unit_test(a_source_that_was_removed_is_called_no_more),
		cmocka_unit_test(removing_what_is_in_no_loop_is_harmless),
		cmocka_unit_test(an_fd_that_can_not_be_polled_is_refused),
		cmocka_unit_test(more_than_a_batch_holds_are_all_called),
		cmocka_unit_test(tasks_run_once_and_in_order),
		cmocka_unit_test(what_a_task_schedules_runs_behind_those_that_wait),
		cmocka_unit_test(a_task_may_cancel_one_of_its_own_pass),
		cmocka_unit_test(an_fd_has_its_turn_while_a_task_goes_on),
		cmocka_unit_test(a_task_without_end_lets_the_caller_go_and_come_back),
		cmocka_unit_test(what_is_scheduled_between_runs_makes_the_fd_readable),
		cmocka_unit_test(a_run_waits_as_long_as_it_is_told_to),
		cmocka_unit_test(another_thread_wakes_a_loop_that_sleeps),
		cmocka_unit_test(a_wake_before_the_sleep_is_not_lost),
		cmocka_unit_test(another_thread_adds_to_a_loop_that_sleeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
