/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds that the front-end has made blocking after it gave them: its session ends,
 * and neither who comes next nor another session of the same thread waits for ever.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define RING     UINT64_C(0x100000)
#define DATA     UINT64_C(0x200000)
#define USED     (RING + 16 * 16 + 2)

#define FULL     UINT64_C(0xfffffffffffffffe)
#define WATCH_MS 30

struct watch {
	struct rig *rig;
	pthread_t thread;
	_Atomic bool quit;
	_Atomic unsigned freed;
};

static void *watch(void *opaque)
{
	struct watch *mine = opaque;

	while (!atomic_load(&mine->quit)) {
		poll(NULL, 0, WATCH_MS);
		atomic_fetch_add(&mine->freed, vhu_server_unblock(mine->rig->server));
	}
	return NULL;
}

static void watch_begin(struct watch *mine, const struct rig_config *config)
{
	struct rig_config listening = *config;

	listening.listen = true;
	*mine = (struct watch){ .rig = rig_new(&listening) };
	assert_int_equal(pthread_create(&mine->thread, NULL, watch, mine), 0);
}

static void watch_end(struct watch *mine)
{
	atomic_store(&mine->quit, true);
	pthread_join(mine->thread, NULL);
	rig_free(mine->rig);
}

static void start(struct rig *rig)
{
	rig_open(rig, 0);
	rig_ring_start(rig, 0, &(struct rig_ring_config){ .gpa = RING });
}

static void add(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };

	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
}

static void expect_served(struct rig *rig)
{
	uint32_t written;

	start(rig);
	add(rig);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(written, 16);
}

static void make_blocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
}

/* Whoever adds to it waits. */
static void jam(int fd)
{
	const uint64_t full = FULL;

	fd_drain(fd);
	make_blocking(fd);
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
}

/* It is counted a moment after it has had its effect. */
static void expect_freed(struct watch *mine, unsigned n)
{
	for (unsigned ms = 0; atomic_load(&mine->freed) < n && ms < PEER_PATIENCE; ms++)
		poll(NULL, 0, 1);
	assert_int_equal(mine->freed, n);
}

static void a_call_that_blocks_ends_its_session(void **state)
{
	struct watch mine;

	watch_begin(&mine, *state);
	start(mine.rig);
	jam(mine.rig->rings[0].call);
	add(mine.rig);
	rig_expect_closed(mine.rig);
	expect_freed(&mine, 1);
	rig_reconnect(mine.rig);
	expect_served(mine.rig);
	watch_end(&mine);
}

static void an_error_that_blocks_ends_its_session(void **state)
{
	struct watch mine;

	watch_begin(&mine, *state);
	start(mine.rig);
	jam(mine.rig->rings[0].err);
	*(uint16_t *)rig_ptr(mine.rig, USED, 2) = 0x8000;
	assert_int_equal(fd_signal(mine.rig->rings[0].kick), 0);
	rig_expect_closed(mine.rig);
	expect_freed(&mine, 1);
	rig_reconnect(mine.rig);
	expect_served(mine.rig);
	watch_end(&mine);
}

/* By each of its rings: one thread is held up once, however many they are. */
static void all_that_blocks_holds_up_once(void **state)
{
	const struct rig_config *config = *state;
	struct watch mine;

	watch_begin(&mine, config);
	start(mine.rig);
	rig_ring_start(mine.rig, 1, &(struct rig_ring_config){ .gpa = RING + 0x10000 });
	for (unsigned i = 0; i < 2; i++) {
		const struct vring_buffer buffer = { DATA + i * 4096, 16, true };

		jam(mine.rig->rings[i].call);
		jam(mine.rig->rings[i].err);
		rig_add(mine.rig, i, &buffer, 1, mine.rig);
		rig_kick(mine.rig, i);
	}
	rig_expect_closed(mine.rig);
	rig_wait_sessions(mine.rig, 1);
	poll(NULL, 0, 2 * WATCH_MS);
	assert_in_range(mine.freed, 1, config->n_workers ? config->n_workers : 1);
	watch_end(&mine);
}

/* The stop of the server finds a thread that waits. */
static void a_stop_is_not_held_up(void **state)
{
	struct watch mine;

	watch_begin(&mine, *state);
	start(mine.rig);
	rig_hold(mine.rig);
	add(mine.rig);
	rig_wait_submitted(mine.rig, 1);
	jam(mine.rig->rings[0].call);
	rig_stop(mine.rig);
	rig_release(mine.rig);
	assert_int_equal(rig_wait_end(mine.rig), 0);
	watch_end(&mine);
}

/* Two rings have the same: whose kick is taken first leaves nothing for the other to read. */
static void a_kick_that_somebody_else_takes_holds_up_nobody(void **state)
{
	struct watch mine;
	int kick;

	watch_begin(&mine, *state);
	start(mine.rig);
	rig_ring_start(mine.rig, 1, &(struct rig_ring_config){ .gpa = RING + 0x10000 });
	kick = mine.rig->rings[0].kick;
	assert_int_equal(rig_set_vring_fd(mine.rig, VHU_FE_SET_VRING_KICK, 1, kick), 0);
	make_blocking(kick);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(fd_signal(kick), 0);
		assert_int_equal(rig_get_u64(mine.rig, VHU_FE_GET_QUEUE_NUM), 2);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(rig_get_vring_base(mine.rig, i), 0);
	assert_int_equal(mine.freed, 0);
	watch_end(&mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(a_call_that_blocks_ends_its_session),
		RIG_TEST_BOTH(an_error_that_blocks_ends_its_session),
		RIG_TEST_BOTH(all_that_blocks_holds_up_once),
		RIG_TEST_BOTH(a_stop_is_not_held_up),
		RIG_TEST_BOTH(a_kick_that_somebody_else_takes_holds_up_nobody),
	};

	return cmocka_run_group_tests_name("session/hostile_event", tests, NULL, NULL);
}
