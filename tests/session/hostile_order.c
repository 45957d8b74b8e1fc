/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that cross: an update on the heels of a refusal, invalidations under
 * every answer, a stop while holes are on their way. The server's thread, or the
 * worker's, is halted where it matters, so that what crosses does so each time.
 */
#include <semaphore.h>
#include <signal.h>

#include "stage.h"

/* A thread sits in a signal handler until it is let go. */
static sem_t thread_sits, thread_goes;

static void sit(int number)
{
	(void)number;
	sem_post(&thread_sits);
	while (sem_wait(&thread_goes))
		;
}

static void halt(pthread_t thread)
{
	const struct sigaction action = { .sa_handler = sit };
	struct timespec until;

	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(sem_init(&thread_sits, 0, 0), 0);
	assert_int_equal(sem_init(&thread_goes, 0, 0), 0);
	assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PEER_PATIENCE / 1000;
	assert_int_equal(sem_timedwait(&thread_sits, &until), 0);
}

static void go(void)
{
	sem_post(&thread_goes);
}

static pthread_t worker(const struct rig *rig)
{
	return rig->config.n_workers ? rig->worker_threads[0] : rig->server_thread;
}

/* A ring that asks for its pages; the second of them is left to the caller. */
static struct rig_miss start_asking(struct rig *rig, const struct rig_ring_config *config)
{
	struct rig_miss first;

	rig_map(rig, config->iova, rig_ring_bytes(config), config->gpa, PERM_RW);
	rig_ring_start(rig, 0, config);
	first = stage_expect_miss(rig, config->iova, PERM_READ);
	assert_true(rig_grant(rig, &first));
	return stage_expect_miss(rig, config->iova + PAGE, PERM_RW);
}

/* The refusal is read, and the update behind it, before the ring learns of the former. */
static void S4b_an_update_on_the_heels_of_a_refusal_is_not_missed(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss miss = start_asking(rig, &config);

	stage_give(rig, 0, 1, PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	/* The kick is taken, and there will be no other. */
	rig_expect_no_miss(rig);
	halt(worker(rig));
	rig_refuse(rig, &miss);
	/* Where the worker is another thread, the session reads this meanwhile. */
	if (rig->config.n_workers)
		while (rig_stats(rig).refused == 0)
			poll(NULL, 0, 1);
	rig_send_update(rig, config.iova + PAGE, PAGE, config.gpa + PAGE, PERM_RW);
	if (rig->config.n_workers)
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	go();
	if (!rig->config.n_workers)
		assert_int_equal(rig_expect_u64(rig, VHU_FE_IOTLB_MSG), 0);
	stage_expect_used_quietly(rig, 0, 1, PAGE);
	rig_free(rig);
}

/* Each answer of zero comes with an invalidation, which excuses it. */
static void disturb(struct rig *rig, const struct rig_miss *misses, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(rig_invalidate(rig, misses[i].iova & ~(PAGE - 1), PAGE), 0);
	for (unsigned i = 0; i < n; i++)
		rig_answer(rig, &misses[i], 0);
}

/* What was asked for too often fails; its status byte has its own tries. */
static void S4_the_tries_of_a_status_byte_are_its_own(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	const struct vring_buffer buffers[] = { { DATA_IOVA(0), PAGE, true },
		                                { DATA_IOVA(9), 1, true } };
	struct rig_miss misses[2];

	rig_add(rig, 0, buffers, 2, TOKEN(1));
	rig_kick(rig, 0);
	for (unsigned i = 0; i < 4; i++) {
		misses[0] = stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
		misses[1] = stage_expect_miss(rig, DATA_IOVA(9), PERM_WRITE);
		disturb(rig, misses, 2);
	}
	for (unsigned i = 0; i < 2; i++) {
		misses[0] = stage_expect_miss(rig, DATA_IOVA(9), PERM_WRITE);
		disturb(rig, misses, 1);
	}
	misses[0] = stage_expect_miss(rig, DATA_IOVA(9), PERM_WRITE);
	stage_give(rig, 9, 1, PERM_RW);
	rig_answer(rig, &misses[0], 0);
	stage_expect_used_quietly(rig, 0, 1, 1);
	assert_int_equal(rig_refused(rig), 1);
	assert_int_equal(rig_stats(rig).ring_errors, 0);
	rig_free(rig);
}

/* A ring that was given up after its tries has as many at the next kick. */
static void S4_a_kick_gives_a_ring_its_tries_again(void **state)
{
	struct rig *rig = stage_new(state, (struct rig_config){ 0 });
	struct rig_ring_config config = stage_ring_config(0);
	struct rig_miss misses[2];

	rig_map(rig, config.iova, rig_ring_bytes(&config), config.gpa, PERM_RW);
	rig_ring_start(rig, 0, &config);
	for (unsigned kicks = 0; kicks < 2; kicks++) {
		for (unsigned i = 0; i < 4; i++) {
			misses[0] = stage_expect_miss(rig, config.iova, PERM_READ);
			misses[1] = stage_expect_miss(rig, config.iova + PAGE, PERM_RW);
			disturb(rig, misses, 2);
		}
		rig_expect_no_miss(rig);
		rig_kick(rig, 0);
	}
	rig_serve_misses(rig, PEER_QUIET);
	stage_give(rig, 0, 1, PERM_RW);
	stage_ask(rig, 0, DATA_IOVA(0), 64, 1);
	stage_expect_used_quietly(rig, 0, 1, 64);
	rig_free(rig);
}

/* With another ring running, nothing is said on behalf of one that is being stopped. */
static void S6_holes_of_a_ring_that_stops_are_not_asked_for(void **state)
{
	struct rig *rig = stage_open(state, (struct rig_config){ 0 });
	uint64_t misses;
	struct message message;

	stage_ring(rig, 1);
	stage_give(rig, 0, 1, PERM_RW);
	rig_hold(rig);
	stage_ask(rig, 0, DATA_IOVA(0), PAGE, 1);
	rig_wait_submitted(rig, 1);
	misses = rig_stats(rig).misses;
	/* The stop is there first; the holes come while it waits for what was issued. */
	halt(rig->server_thread);
	message_init(&message, VHU_FE_GET_VRING_BASE);
	message.header.size = sizeof(message.payload.state);
	rig_send(rig, &message);
	stage_ask(rig, 0, DATA_IOVA(5), PAGE, 2);
	poll(NULL, 0, PEER_QUIET);
	go();
	rig_expect_silence(rig);
	assert_int_equal(rig_stats(rig).misses, misses);
	rig_release(rig);
	rig_recv(rig, &message);
	assert_int_equal(message.payload.state.num, 1);
	rig_free(rig);
}

/* Without NEED_REPLY, to who would not reply. */
static void give_mutely(struct rig *rig, uint64_t iova, uint64_t size, uint64_t gpa)
{
	struct message message;

	message_init(&message, VHU_FE_IOTLB_MSG);
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb = (struct vhu_iotlb){
		.iova = iova,
		.size = size,
		.uaddr = rig_user_address(rig, gpa),
		.perm = PERM_RW,
		.type = VHU_IOTLB_UPDATE,
	};
	rig_send(rig, &message);
	rig_get_u64(rig, VHU_FE_GET_FEATURES);
}

static void start_mutely(struct rig *rig, unsigned q)
{
	struct rig_ring_config config = stage_ring_config(q);

	give_mutely(rig, config.iova, rig_ring_bytes(&config), config.gpa);
	rig_ring_start(rig, q, &config);
}

/* More than is sent at once, to who does not even reply. */
static void S3_a_mute_front_end_is_asked_for_all(void **state)
{
	struct rig *rig = stage_new(
		state,
		(struct rig_config){ .protocol_without = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) });
	const unsigned n = 300;

	start_mutely(rig, 0);
	stage_ask(rig, 0, DATA_IOVA(0), n * PAGE, 1);
	for (unsigned i = 0; i < n; i++)
		stage_expect_miss(rig, DATA_IOVA(i), PERM_WRITE);
	for (unsigned i = 0; i < n; i++)
		give_mutely(rig, DATA_IOVA(i), PAGE, DATA_GPA(i));
	stage_expect_used_quietly(rig, 0, 1, n * PAGE);
	rig_free(rig);
}

/* One buffer of gigabytes fills the table of misses; its ring's stop makes room. */
static void S3_a_ring_that_stops_leaves_its_room_to_the_others(void **state)
{
	struct rig *rig = stage_new(
		state,
		(struct rig_config){ .protocol_without = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) });
	struct rig_miss miss;

	start_mutely(rig, 0);
	start_mutely(rig, 1);
	stage_ask(rig, 0, UINT64_C(1) << 40, 0xfffff000, 1);
	while (rig_try_miss(rig, &miss, PEER_QUIET))
		assert_in_range(miss.iova, UINT64_C(1) << 40, (UINT64_C(1) << 40) + 0xffffffff);
	stage_ask(rig, 1, DATA_IOVA(0), 64, 2);
	rig_expect_no_miss(rig);
	assert_int_equal(rig_get_vring_base(rig, 0), 0);
	stage_expect_miss(rig, DATA_IOVA(0), PERM_WRITE);
	give_mutely(rig, DATA_IOVA(0), PAGE, DATA_GPA(0));
	stage_expect_used_quietly(rig, 1, 2, 64);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(S4b_an_update_on_the_heels_of_a_refusal_is_not_missed),
		EACH(S4_the_tries_of_a_status_byte_are_its_own),
		EACH(S4_a_kick_gives_a_ring_its_tries_again),
		EACH(S3_a_mute_front_end_is_asked_for_all),
		EACH(S3_a_ring_that_stops_leaves_its_room_to_the_others),
		EACH(S6_holes_of_a_ring_that_stops_are_not_asked_for),
	};

	return cmocka_run_group_tests_name("session/hostile_order", tests, NULL, NULL);
}
