/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is handed to a loop, and when that has to wake it; what it looks at
 * itself. A test that would sleep for ever is ended by Meson.
 */
#include <stdio.h>

#include "loop_stage.h"

/* A post that writes its name where tasks do, too. */
struct note {
	struct loop_post post;
	char name;
};

static void write_note(struct loop_post *post)
{
	size_t n = strlen(written);

	written[n] = container_of(post, struct note, post)->name;
	written[n + 1] = 0;
}

static struct note note_of(char name)
{
	return (struct note){ .post.run = write_note, .name = name };
}

/* How often the loop's eventfd was written: it is never read. */
static unsigned rings(const struct loop *loop)
{
	char path[64], line[128];
	unsigned count = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", loop->wake.fd);
	info = fopen(path, "re");
	assert_non_null(info);
	while (fgets(line, sizeof(line), info))
		if (sscanf(line, "eventfd-count: %x", &count) == 1)
			break;
	fclose(info);
	return count;
}

static void write_b(struct bell *bell)
{
	fd_drain(bell->fd);
	strcat(written, "b");
}

static void posts_run_first_and_in_order(void **state)
{
	struct note a, c;
	struct bell bell;
	struct loop loop;
	struct job job;

	(void)state;
	begin(&loop);
	a = note_of('a');
	c = note_of('c');
	job = job_of(&loop, 'j');
	bell_init(&bell, &loop);
	bell.then = write_b;
	loop_schedule(&loop, &job.task);
	fd_signal(bell.fd);
	loop_post(&loop, &c.post);
	loop_post(&loop, &a.post);
	loop_post(&loop, &c.post);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "cabj");
	loop_post(&loop, &a.post);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "cabja");
	bell_done(&bell);
	loop_done(&loop);
}

static void what_is_left_wakes_nobody_and_comes_first(void **state)
{
	struct bell bell;
	struct loop loop;
	struct note a;

	(void)state;
	begin(&loop);
	a = note_of('a');
	bell_init(&bell, &loop);
	bell.then = write_b;
	loop_leave(&loop, &a.post);
	assert_int_equal(rings(&loop), 0);
	assert_false(is_readable(&loop));
	fd_signal(bell.fd);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "ab");
	/* Somebody who does want it to run now has it run, left or not. */
	loop_leave(&loop, &a.post);
	loop_post(&loop, &a.post);
	assert_int_equal(rings(&loop), 1);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "aba");
	bell_done(&bell);
	loop_done(&loop);
}

struct remover {
	struct loop_post post;
	struct bell *bell;
};

static void remove_bell(struct loop_post *post)
{
	struct bell *bell = container_of(post, struct remover, post)->bell;

	loop_remove(bell->loop, &bell->source);
}

static void a_post_may_remove_a_source_that_is_ready(void **state)
{
	struct remover remover = { .post.run = remove_bell };
	struct bell bell;
	struct loop loop;

	(void)state;
	begin(&loop);
	bell_init(&bell, &loop);
	remover.bell = &bell;
	fd_signal(bell.fd);
	loop_post(&loop, &remover.post);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_int_equal(bell.rung, 0);
	bell_done(&bell);
	loop_done(&loop);
}

static void several_posts_ring_once(void **state)
{
	struct loop loop;
	struct note a, b;

	(void)state;
	begin(&loop);
	a = note_of('a');
	b = note_of('b');
	for (unsigned i = 1; i <= 3; i++) {
		loop_post(&loop, &a.post);
		loop_post(&loop, &b.post);
		assert_int_equal(rings(&loop), i);
		assert_int_equal(loop_run(&loop, -1), 0);
	}
	assert_string_equal(written, "ababab");
	loop_done(&loop);
}

static struct note *posted_within;

static void post_within(struct bell *bell)
{
	fd_drain(bell->fd);
	loop_post(bell->loop, &posted_within->post);
}

static void an_awake_loop_needs_no_ringing(void **state)
{
	struct bell bell;
	struct loop loop;
	struct note a;

	(void)state;
	begin(&loop);
	a = note_of('a');
	posted_within = &a;
	bell_init(&bell, &loop);
	bell.then = post_within;
	fd_signal(bell.fd);
	assert_true(loop_turn_is_asleep(loop_turn(&loop)));
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "a");
	assert_int_equal(rings(&loop), 0);
	assert_false(is_readable(&loop));
	bell_done(&bell);
	loop_done(&loop);
}

static void a_post_that_was_taken_back_does_not_run(void **state)
{
	struct note a, b, c;
	struct loop loop;

	(void)state;
	begin(&loop);
	a = note_of('a');
	b = note_of('b');
	c = note_of('c');
	loop_unpost(&loop, &b.post);
	loop_post(&loop, &a.post);
	loop_post(&loop, &b.post);
	loop_post(&loop, &c.post);
	loop_unpost(&loop, &b.post);
	loop_unpost(&loop, &b.post);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "ac");
	loop_post(&loop, &b.post);
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_string_equal(written, "acb");
	loop_done(&loop);
}

/* A poller that finds something now and then. */
struct scout {
	struct loop_poller poller;
	struct loop *loop;
	unsigned peeks, looks, rests;
	unsigned finds;     /* looks that find something, from the first on */
	unsigned refuses;   /* so often it will not rest */
	struct bell *rings; /* by its first look */
};

static bool scout_peek(const struct loop_poller *poller)
{
	struct scout *scout = container_of(poller, struct scout, poller);

	assert_int_equal(loop_turn(scout->loop) % LOOP_TURN_STEP, LOOP_LOOKING);
	scout->peeks++;
	return scout->looks < scout->finds;
}

static unsigned scout_look(struct loop_poller *poller)
{
	struct scout *scout = container_of(poller, struct scout, poller);

	assert_false(loop_turn_is_at_rest(loop_turn(scout->loop)));
	if (!scout->looks++ && scout->rings)
		fd_signal(scout->rings->fd);
	return scout->looks <= scout->finds;
}

static bool scout_rest(struct loop_poller *poller)
{
	struct scout *scout = container_of(poller, struct scout, poller);

	assert_false(loop_turn_is_at_rest(loop_turn(scout->loop)));
	scout->rests++;
	if (scout->rests > scout->refuses)
		return true;
	scout->finds = scout->looks + 1;
	return false;
}

static struct scout scout_of(struct loop *loop)
{
	return (struct scout){
		.poller = { .peek = scout_peek, .look = scout_look, .rest = scout_rest },
		.loop = loop,
	};
}

static void pollers_are_looked_at_before_the_sleep(void **state)
{
	struct scout scout;
	struct loop loop;
	struct note a = note_of('a');
	int64_t start;

	(void)state;
	begin(&loop);
	scout = scout_of(&loop);
	loop_add_poller(&loop, &scout.poller, 2000000);
	/* Who does not want to wait polls elsewhere: nothing is looked at, all is asked for. */
	loop_post(&loop, &a.post);
	assert_int_equal(loop_run(&loop, 0), 0);
	assert_int_equal(scout.peeks, 0);
	assert_true(scout.rests > 0);
	scout.rests = 0;
	start = now_ms();
	assert_int_equal(loop_run(&loop, 30), 0);
	assert_true(now_ms() - start >= 29);
	assert_true(scout.peeks > 1);
	assert_int_equal(scout.looks, 0);
	assert_true(scout.rests > 0);
	/* Work puts the sleep off, and so does who finds some on the way there. */
	loop_remove_poller(&loop, &scout.poller);
	scout = scout_of(&loop);
	scout.refuses = 1;
	loop_add_poller(&loop, &scout.poller, 1000000);
	assert_int_equal(loop_run(&loop, 1), 0);
	assert_true(scout.rests > 1);
	assert_true(scout.looks > 0);
	loop_remove_poller(&loop, &scout.poller);
	scout.peeks = scout.looks = 0;
	assert_int_equal(loop_run(&loop, 1), 0);
	assert_int_equal(scout.peeks + scout.looks, 0);
	loop_done(&loop);
}

static void looking_that_does_not_pay_is_cut_down(void **state)
{
	const uint64_t most = 4000000;
	struct scout scout, other;
	struct loop loop;

	(void)state;
	begin(&loop);
	scout = scout_of(&loop);
	other = scout_of(&loop);
	scout.poller.adapts = true;
	loop_add_poller(&loop, &scout.poller, most);
	/* Each sleep is longer than what is looked. */
	for (uint64_t want = most; want; want /= 2) {
		assert_int_equal(loop.poll_ns, want);
		assert_int_equal(loop_run(&loop, 10), 0);
	}
	assert_int_equal(loop.poll_ns, 0);
	/* One that is shorter makes up for all; the machine may be busy. */
	for (unsigned i = 0; i < 50 && loop.poll_ns != most; i++) {
		loop_wake(&loop);
		assert_int_equal(loop_run(&loop, 10), 0);
	}
	assert_int_equal(loop.poll_ns, most);
	/* A poller that wants to be looked at in any case has its way. */
	loop_add_poller(&loop, &other.poller, most);
	assert_int_equal(loop_run(&loop, 10), 0);
	assert_int_equal(loop.poll_ns, most);
	loop_remove_poller(&loop, &other.poller);
	loop_remove_poller(&loop, &scout.poller);
	assert_int_equal(loop.poll_ns, 0);
	loop_add_poller(&loop, &scout.poller, most / 2);
	assert_int_equal(loop.poll_ns, most / 2);
	loop_remove_poller(&loop, &scout.poller);
	loop_done(&loop);
}

static void fds_have_their_turn_among_pollers_with_work(void **state)
{
	struct scout scout;
	struct bell bell;
	struct loop loop;

	(void)state;
	begin(&loop);
	scout = scout_of(&loop);
	scout.finds = UINT32_MAX;
	scout.rings = &bell;
	bell_init(&bell, &loop);
	loop_add_poller(&loop, &scout.poller, 1000000);
	/* Without end, but the caller has its turn, too, and is told that there is more. */
	assert_int_equal(loop_run(&loop, -1), 0);
	assert_int_equal(bell.rung, 1);
	assert_true(scout.looks > 1000);
	assert_int_equal(scout.rests, 1);
	loop_remove_poller(&loop, &scout.poller);
	bell_done(&bell);
	loop_done(&loop);
}

static void a_wake_ends_looking_without_end(void **state)
{
	struct loop loop;
	struct scout scout;
	int64_t start;

	(void)state;
	begin(&loop);
	scout = scout_of(&loop);
	scout.finds = UINT32_MAX;
	loop_add_poller(&loop, &scout.poller, 1000000);
	start = now_ms();
	for (unsigned i = 0; i < 1000; i++) {
		loop_wake(&loop);
		assert_int_equal(loop_run(&loop, -1), 0);
	}
	assert_true(now_ms() - start < (int64_t)(1000 * LOOP_STINT_NS / 2000000));
	assert_int_equal(scout.rests, 1000);
	loop_remove_poller(&loop, &scout.poller);
	loop_done(&loop);
}

/*
 * What who leaves a post may conclude from the turn: nothing runs in the loop
 * before the post has. The sleeper touches what it has not been told to forget;
 * the teller changes it as soon as it may. The thread sanitizer judges.
 */
struct secret {
	struct sleeper *sleeper;
	struct loop_source kick;
	struct loop_post forget;
	struct loop_poller poller; /* or it is shown */
	_Atomic unsigned shown;
	unsigned looked;
	int kick_fd;
	bool known; /* the sleeper's */
	unsigned value;
	atomic_uint seen;
};

static void secret_forget(struct loop_post *post)
{
	container_of(post, struct secret, forget)->known = false;
}

static void touch(struct secret *secret)
{
	if (secret->known)
		secret->value++;
	secret->known = true;
	atomic_fetch_add(&secret->seen, 1);
}

static void secret_kicked(struct loop_source *source, uint32_t events)
{
	struct secret *secret = container_of(source, struct secret, kick);

	(void)events;
	fd_drain(source->fd);
	touch(secret);
}

static bool secret_peek(const struct loop_poller *poller)
{
	const struct secret *secret = container_of(poller, struct secret, poller);

	return atomic_load_explicit(&secret->shown, memory_order_relaxed) != secret->looked;
}

static unsigned secret_look(struct loop_poller *poller)
{
	struct secret *secret = container_of(poller, struct secret, poller);

	if (!secret_peek(poller))
		return 0;
	/* Pairs with disturb(): what was done before it may have to be known anew. */
	secret->looked = atomic_load_explicit(&secret->shown, memory_order_acquire);
	touch(secret);
	return 1;
}

static bool secret_rest(struct loop_poller *poller)
{
	secret_look(poller);
	return true;
}

/* Kicks the sleeper, or shows it what it finds itself. */
static void disturb(struct secret *secret, bool looks)
{
	if (looks)
		atomic_fetch_add_explicit(&secret->shown, 1, memory_order_release);
	else
		fd_signal(secret->kick_fd);
}

static void tell_what_to_forget(bool looks)
{
	static struct sleeper sleeper;
	static struct secret secret;
	unsigned left = 0, kicks = 0;
	int64_t end = now_ms() + 10000;

	memset(&secret, 0, sizeof(secret));
	secret.forget.run = secret_forget;
	secret.poller = (struct loop_poller){ .peek = secret_peek,
		                              .look = secret_look,
		                              .rest = secret_rest };
	sleeper_init(&sleeper);
	if (looks)
		loop_add_poller(&sleeper.loop, &secret.poller, 1000000000);
	sleeper_begin(&sleeper);
	assert_int_equal(fd_event(&secret.kick_fd), 0);
	assert_int_equal(
		loop_add(&sleeper.loop, &secret.kick, secret.kick_fd, EPOLLIN, secret_kicked), 0);
	/* At least so often, and until both have met. */
	for (unsigned i = 0;
	     i < 20000 || ((!left || atomic_load(&secret.seen) < 100) && now_ms() < end); i++) {
		unsigned turn = loop_turn(&sleeper.loop);

		if (loop_turn_is_at_rest(turn)) {
			loop_leave(&sleeper.loop, &secret.forget);
			if (loop_turn(&sleeper.loop) == turn) {
				secret.value = 0;
				left++;
			}
		}
		if (i % 3 == 0) {
			disturb(&secret, looks);
			kicks++;
		}
		if (i % 64 == 0)
			sched_yield();
	}
	assert_true(left > 0 && kicks > 0);
	assert_true(atomic_load(&secret.seen) >= 100);
	sleeper_stop(&sleeper);
	fd_close(&secret.kick_fd);
}

static void nothing_runs_before_what_was_left(void **state)
{
	(void)state;
	tell_what_to_forget(false);
	tell_what_to_forget(true);
}

/* What is posted to who looks is seen, and costs no system call. */
static void who_looks_needs_no_ringing(void **state)
{
	static struct sleeper sleeper;
	static struct secret secret;
	struct note a = note_of('a');

	(void)state;
	memset(&secret, 0, sizeof(secret));
	secret.poller = (struct loop_poller){ .peek = secret_peek,
		                              .look = secret_look,
		                              .rest = secret_rest };
	sleeper_init(&sleeper);
	loop_add_poller(&sleeper.loop, &secret.poller, 60 * UINT64_C(1000000000));
	sleeper_begin(&sleeper);
	for (unsigned i = 0; i < 200; i++) {
		int64_t start = now_ms();

		loop_post(&sleeper.loop, &a.post);
		while (atomic_load(&a.post.posted))
			assert_true(now_ms() - start < 10000);
	}
	/* It is asleep for a moment every ten milliseconds. */
	assert_true(rings(&sleeper.loop) < 100);
	sleeper_stop(&sleeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(posts_run_first_and_in_order),
		cmocka_unit_test(what_is_left_wakes_nobody_and_comes_first),
		cmocka_unit_test(a_post_may_remove_a_source_that_is_ready),
		cmocka_unit_test(several_posts_ring_once),
		cmocka_unit_test(an_awake_loop_needs_no_ringing),
		cmocka_unit_test(a_post_that_was_taken_back_does_not_run),
		cmocka_unit_test(pollers_are_looked_at_before_the_sleep),
		cmocka_unit_test(looking_that_does_not_pay_is_cut_down),
		cmocka_unit_test(fds_have_their_turn_among_pollers_with_work),
		cmocka_unit_test(a_wake_ends_looking_without_end),
		cmocka_unit_test(nothing_runs_before_what_was_left),
		cmocka_unit_test(who_looks_needs_no_ringing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
