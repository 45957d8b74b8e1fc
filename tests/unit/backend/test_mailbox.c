/* SPDX-License-Identifier: BSD-3-Clause */
/* Mails from many threads to one, and from a thread to itself. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "support/check.h"

#include "backend/mailbox.h"

#define POSTERS    4u
#define LETTERS    64u    /* a poster's, used again and again */
#define PER_POSTER 20000u /* posted by each */
#define PATIENCE_S 20

struct poster;

struct letter {
	struct mail mail;
	struct poster *poster;
	unsigned number;
	_Atomic bool under_way;
};

struct poster {
	struct mailbox *box;
	unsigned next; /* number of the next letter to arrive; the reader's */
	unsigned n;    /* to post in all */
	struct letter letters[LETTERS];
	pthread_t thread;
};

/* On the reader's thread: what went in first comes out first, per poster. */
static void arrive(struct mail *mail)
{
	struct letter *letter = container_of(mail, struct letter, mail);

	assert_int_equal(letter->number, letter->poster->next);
	letter->poster->next++;
	atomic_store_explicit(&letter->under_way, false, memory_order_release);
}

static void poster_init(struct poster *poster, struct mailbox *box, unsigned n)
{
	*poster = (struct poster){ .box = box, .n = n };
	for (unsigned i = 0; i < LETTERS; i++) {
		poster->letters[i].mail.deliver = arrive;
		poster->letters[i].poster = poster;
	}
}

static void *post_all(void *opaque)
{
	struct poster *poster = opaque;

	for (unsigned i = 0; i < poster->n; i++) {
		struct letter *letter = &poster->letters[i % LETTERS];

		while (atomic_load_explicit(&letter->under_way, memory_order_acquire))
			sched_yield();
		atomic_store_explicit(&letter->under_way, true, memory_order_relaxed);
		letter->number = i;
		mailbox_post(poster->box, &letter->mail);
	}
	return NULL;
}

static bool all_arrived(const struct poster *posters)
{
	for (unsigned i = 0; i < POSTERS; i++)
		if (posters[i].next < posters[i].n)
			return false;
	return true;
}

static void mails_of_each_thread_arrive_in_its_order(void **state)
{
	static struct poster posters[POSTERS];
	time_t until = time(NULL) + PATIENCE_S;
	struct loop loop;
	struct mailbox box;

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	mailbox_init(&box, &loop, false);
	for (unsigned i = 0; i < POSTERS; i++) {
		poster_init(&posters[i], &box, PER_POSTER);
		assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]),
		                 0);
	}
	/* A wake-up that is lost makes this wait in vain. */
	while (!all_arrived(posters)) {
		assert_true(time(NULL) < until);
		assert_int_equal(loop_run(&loop, 1000), 0);
	}
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	assert_false(mailbox_drain(&box));
	mailbox_done(&box);
	loop_done(&loop);
}

/* The loop sleeps in the kernel: one mail, and no other event, must wake it. */
static void one_mail_wakes_a_sleeping_reader(void **state)
{
	static struct poster poster;
	struct timespec before, after;
	struct loop loop;
	struct mailbox box;

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	mailbox_init(&box, &loop, false);
	for (unsigned i = 0; i < 20; i++) {
		poster_init(&poster, &box, 1);
		assert_int_equal(pthread_create(&poster.thread, NULL, post_all, &poster), 0);
		clock_gettime(CLOCK_MONOTONIC, &before);
		while (!poster.next) {
			assert_int_equal(loop_run(&loop, 5000), 0);
			clock_gettime(CLOCK_MONOTONIC, &after);
			assert_true(after.tv_sec - before.tv_sec < 5);
		}
		pthread_join(poster.thread, NULL);
	}
	mailbox_done(&box);
	loop_done(&loop);
}

static void a_shared_thread_needs_no_event(void **state)
{
	static struct poster poster;
	struct loop loop;
	struct mailbox box;

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	mailbox_init(&box, &loop, true);
	poster_init(&poster, &box, LETTERS);
	post_all(&poster);
	assert_int_equal(poster.next, 0); /* not before its turn */
	assert_int_equal(loop_run(&loop, 5000), 0);
	assert_int_equal(poster.next, LETTERS);
	/* Or at once, by who can't wait. */
	poster_init(&poster, &box, 3);
	post_all(&poster);
	assert_true(mailbox_drain(&box));
	assert_int_equal(poster.next, 3);
	assert_false(mailbox_drain(&box));
	mailbox_done(&box);
	loop_done(&loop);
}

/* A delivery may post the same mail again, and to the same box. */
struct bouncer {
	struct mail mail;
	struct mailbox *box;
	unsigned left, bounced;
};

static void bounce(struct mail *mail)
{
	struct bouncer *bouncer = container_of(mail, struct bouncer, mail);

	bouncer->bounced++;
	if (--bouncer->left > 0)
		mailbox_post(bouncer->box, &bouncer->mail);
}

static void a_delivery_may_post_its_mail_again(void **state)
{
	static const bool shared[] = { false, true };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(shared); i++) {
		struct loop loop;
		struct mailbox box;
		struct bouncer a = { { .deliver = bounce }, &box, 10, 0 };
		struct bouncer b = { { .deliver = bounce }, &box, 10, 0 };

		assert_int_equal(loop_init(&loop), 0);
		mailbox_init(&box, &loop, shared[i]);
		mailbox_post(&box, &a.mail);
		mailbox_post(&box, &b.mail);
		for (unsigned round = 0; round < 10 && (a.left || b.left); round++)
			assert_int_equal(loop_run(&loop, 1000), 0);
		assert_int_equal(a.bounced, 10);
		assert_int_equal(b.bounced, 10);
		mailbox_done(&box);
		loop_done(&loop);
	}
}

static void what_is_in_a_box_at_its_end_is_dropped(void **state)
{
	static const bool shared[] = { false, true };
	static struct poster poster;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(shared); i++) {
		struct loop loop;
		struct mailbox box;

		assert_int_equal(loop_init(&loop), 0);
		mailbox_init(&box, &loop, shared[i]);
		poster_init(&poster, &box, 3);
		post_all(&poster);
		mailbox_done(&box);
		assert_int_equal(loop_run(&loop, 0), 0);
		assert_int_equal(poster.next, 0);
		loop_done(&loop);
	}
}

/* A reader that is awake may find the last mail before its poster wakes it. */
static void a_box_may_go_as_soon_as_its_last_mail_is_there(void **state)
{
	static struct poster poster;
	struct loop loop;

	(void)state;
	assert_int_equal(loop_init(&loop), 0);
	for (unsigned i = 0; i < 500; i++) {
		struct mailbox *box = malloc(sizeof(*box));

		assert_non_null(box);
		mailbox_init(box, &loop, false);
		poster_init(&poster, box, 1);
		assert_int_equal(pthread_create(&poster.thread, NULL, post_all, &poster), 0);
		while (!mailbox_drain(box))
			sched_yield();
		mailbox_done(box);
		free(box);
		pthread_join(poster.thread, NULL);
	}
	loop_done(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mails_of_each_thread_arrive_in_its_order),
		cmocka_unit_test(one_mail_wakes_a_sleeping_reader),
		cmocka_unit_test(a_shared_thread_needs_no_event),
		cmocka_unit_test(a_delivery_may_post_its_mail_again),
		cmocka_unit_test(what_is_in_a_box_at_its_end_is_dropped),
		cmocka_unit_test(a_box_may_go_as_soon_as_its_last_mail_is_there),
	};

	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
