/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hand-off to a lane that sleeps: what was left with it is forgotten before
 * it touches anything. A worker uses a page whenever it is kicked, at once or a
 * while later; a session takes the page away, and writes to it itself as soon as
 * it may, as the page's next owner would. The thread sanitizer judges each
 * access, and the worker whether the page was still its own.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "backend/lane.h"
#include "base/clock.h"
#include "base/fd.h"
#include "iotlb/iotlb.h"
#include "support/check.h"

#define PAGE         UINT64_C(4096)
#define IOVA         UINT64_C(0x100000)
#define PAGES        24u /* more than a lane keeps ranges of */
#define ROUNDS       20000u

#define INTRUSION_NS UINT64_C(1000000)

struct play {
	struct lane lane;
	struct loop worker, session;
	struct mailbox reports;
	_Atomic uint64_t answered;
	_Atomic bool pressure, quit;
	struct iotlb *tlb;
	pthread_t thread;
	unsigned left, asked; /* how often which way */

	_Atomic uint64_t aim; /* the address the worker is to use next; 0: any */

	/* the worker's */
	struct loop_source kick;
	unsigned *held, held_as;
	struct mail *awaiting; /* until nothing is held */
	uint64_t random;
	unsigned used, stale;

	struct mail done; /* the session's question, and its answer */
	struct range range;
	bool answer;
	unsigned given; /* what stands in a page while it may be used: never the same */
	unsigned memory[PAGES][PAGE / sizeof(unsigned)] __attribute__((aligned(4096)));
};

static unsigned draw(uint64_t *state, unsigned below)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(*state >> 33) % below;
}

static void use(struct play *play, unsigned *page, unsigned as)
{
	if (!as || *page != as)
		play->stale++;
	page[1]++;
	play->used++;
}

static void answer(struct mail *mail)
{
	container_of(mail, struct play, done)->answer = true;
}

static void settle(struct play *play)
{
	struct mail *mail = play->awaiting;

	if (play->held || !mail)
		return;
	play->awaiting = NULL;
	mail->deliver = answer;
	mailbox_post(&play->reports, mail);
}

static void finish(struct play *play)
{
	use(play, play->held, play->held_as);
	play->held = NULL;
	gauge_add(&play->lane.busy, -1);
	settle(play);
}

/* As a request: translated, and done now or at the next kick. */
static void request(struct play *play)
{
	uint64_t addr = atomic_exchange(&play->aim, 0);
	struct iov_list iov = { 0 };

	if (!addr)
		addr = IOVA + draw(&play->random, PAGES) * PAGE;
	if (translate(&play->lane.view, addr, PAGE, PERM_RW, &iov, NULL) == 0) {
		unsigned *page = iov.iov[0].iov_base;

		if (draw(&play->random, 4)) {
			use(play, page, *page);
		} else {
			play->held = page;
			play->held_as = *page;
			gauge_add(&play->lane.busy, 1);
		}
	}
	iov_list_done(&iov);
}

static void kicked(struct loop_source *source, uint32_t events)
{
	struct play *play = container_of(source, struct play, kick);

	(void)events;
	fd_drain(source->fd);
	if (play->held)
		finish(play);
	else
		request(play);
}

/* What a LANE_SHOOT does, for a lane whose requests are here and not in queues. */
static void asked(struct mail *mail)
{
	struct play *play = container_of(mail, struct play, done);

	translate_forget(&play->lane.view, play->range);
	play->awaiting = mail;
	settle(play);
}

static void *work(void *opaque)
{
	struct play *play = opaque;

	while (!atomic_load(&play->quit))
		assert_int_equal(loop_run(&play->worker, -1), 0);
	return NULL;
}

static struct play *playing;
static uint64_t dawdling;

/* The worker wakes for the very page that is left with it, and perhaps goes back to sleep. */
static void intrude(uint64_t addr)
{
	unsigned turn = loop_turn(&playing->worker);
	unsigned end = turn / LOOP_TURN_STEP + 1 + draw(&dawdling, 2);
	uint64_t until = clock_ns() + INTRUSION_NS;

	atomic_store(&playing->aim, addr);
	fd_signal(playing->kick.fd);
	while (loop_turn(&playing->worker) / LOOP_TURN_STEP < end && clock_ns() < until)
		sched_yield();
}

void __real_forget_put(struct forget *forget, struct range range);
void __wrap_forget_put(struct forget *forget, struct range range);

void __wrap_forget_put(struct forget *forget, struct range range)
{
	if (playing && draw(&dawdling, 8) == 0)
		intrude(range.start);
	__real_forget_put(forget, range);
	if (playing && draw(&dawdling, 8) == 0)
		intrude(range.start);
}

static struct play *play_new(void)
{
	struct play *play = aligned_alloc(4096, (sizeof(*play) + 4095) / 4096 * 4096);
	int fd;

	assert_non_null(play);
	memset(play, 0, sizeof(*play));
	assert_int_equal(loop_init(&play->worker), 0);
	assert_int_equal(loop_init(&play->session), 0);
	mailbox_init(&play->reports, &play->session, false);
	assert_int_equal(lane_init(&play->lane, &play->worker, false, &play->reports,
	                           &play->answered, &play->pressure),
	                 0);
	play->tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
	assert_non_null(play->tlb);
	translate_view_attach(&play->lane.view, iotlb_walk, play->tlb, true);
	assert_int_equal(fd_event(&fd), 0);
	assert_int_equal(loop_add(&play->worker, &play->kick, fd, EPOLLIN, kicked), 0);
	assert_int_equal(pthread_create(&play->thread, NULL, work, play), 0);
	return play;
}

static void play_free(struct play *play)
{
	int fd = play->kick.fd;

	atomic_store(&play->quit, true);
	loop_wake(&play->worker);
	assert_int_equal(pthread_join(play->thread, NULL), 0);
	assert_int_equal(play->stale, 0);
	assert_true(play->used > 0);
	loop_remove(&play->worker, &play->kick);
	fd_close(&fd);
	loop_unpost(&play->worker, &play->lane.forget_post);
	mailbox_done(&play->lane.commands);
	lane_done(&play->lane);
	mailbox_done(&play->reports);
	loop_done(&play->worker);
	loop_done(&play->session);
	iotlb_free(play->tlb);
	free(play);
}

static void give(struct play *play, unsigned page)
{
	struct range range = { IOVA + page * PAGE, IOVA + page * PAGE + (PAGE - 1) };

	play->memory[page][0] = ++play->given;
	/* Lost nothing: it was taken away before. */
	assert_false(iotlb_update(play->tlb, range, (char *)play->memory[page], PERM_RW));
}

/* Until nobody uses the page, and nobody will. */
static void take_away(struct play *play, unsigned page)
{
	struct range range = { IOVA + page * PAGE, IOVA + page * PAGE + (PAGE - 1) };

	assert_true(iotlb_invalidate(play->tlb, range));
	if (lane_leave(&play->lane, range, false) == LANE_LEFT) {
		play->left++;
	} else {
		play->asked++;
		play->answer = false;
		play->range = range;
		play->done.deliver = asked;
		mailbox_post(&play->lane.commands, &play->done);
		while (!play->answer) {
			/* What is held is finished by a kick. */
			fd_signal(play->kick.fd);
			assert_int_equal(loop_run(&play->session, 1), 0);
		}
	}
	play->memory[page][0] = 0;
	play->memory[page][1] = 0;
}

static void I2_what_was_left_is_forgotten_first(void **state)
{
	struct play *play = play_new();
	uint64_t random = 1;

	(void)state;
	playing = play;
	for (unsigned page = 0; page < PAGES; page++)
		give(play, page);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned page = draw(&random, PAGES), pause = draw(&random, 8);

		if (draw(&random, 2))
			fd_signal(play->kick.fd);
		take_away(play, page);
		/* Falling asleep and waking, now here and now there. */
		for (unsigned i = 0; i < pause; i++)
			sched_yield();
		give(play, page);
	}
	assert_true(play->left > 0);
	for (unsigned page = 0; page < PAGES; page++)
		take_away(play, page);
	playing = NULL;
	play_free(play);
}

static void I2_a_full_set_of_ranges_is_everything(void **state)
{
	struct forget forget = { 0 };
	struct range range;

	(void)state;
	assert_false(forget_take(&forget, &range));
	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < FORGET_MAX; i++)
			forget_put(&forget, (struct range){ i, round });
		for (uint64_t i = 0; i < FORGET_MAX; i++) {
			assert_true(forget_take(&forget, &range));
			assert_int_equal(range.start, i);
			assert_int_equal(range.last, round);
		}
		assert_false(forget_take(&forget, &range));
	}
	for (uint64_t i = 0; i <= FORGET_MAX; i++)
		forget_put(&forget, (struct range){ i, i });
	assert_true(forget_take(&forget, &range));
	assert_int_equal(range.start, 0);
	assert_int_equal(range.last, UINT64_MAX);
	assert_false(forget_take(&forget, &range));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(I2_what_was_left_is_forgotten_first),
		cmocka_unit_test(I2_a_full_set_of_ranges_is_everything),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
