/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/event.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/census.h"
#include "support/check.h"

#define FULL UINT64_C(0xfffffffffffffffe)

struct signaller {
	struct event_guard guard;
	int fd;
	pthread_t thread;
	_Atomic bool done, quit;
	int result;
};

static int make_event(bool blocks, uint64_t count)
{
	int fd = eventfd(0, EFD_CLOEXEC | (blocks ? 0 : EFD_NONBLOCK));

	assert_true(fd >= 0);
	if (count)
		assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
	return fd;
}

static void *signal_once(void *opaque)
{
	struct signaller *signaller = opaque;

	signaller->result = event_signal(&signaller->guard, signaller->fd);
	atomic_store(&signaller->done, true);
	return NULL;
}

static void begin(struct signaller *signaller, bool blocks)
{
	*signaller = (struct signaller){ .fd = make_event(blocks, FULL) };
	assert_int_equal(pthread_create(&signaller->thread, NULL, signal_once, signaller), 0);
	while (blocks && !(uint32_t)atomic_load(&signaller->guard.at))
		poll(NULL, 0, 1);
}

static void end(struct signaller *signaller)
{
	pthread_join(signaller->thread, NULL);
	fd_close(&signaller->fd);
}

static void a_signal_is_counted(void **state)
{
	struct event_guard guard = { 0 };
	int fd = make_event(false, 0);

	(void)state;
	assert_int_equal(event_take(fd), -EAGAIN);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(event_signal(&guard, fd), 0);
	assert_int_equal(event_take(fd), 0);
	assert_int_equal(event_take(fd), -EAGAIN);
	fd_close(&fd);
	assert_int_equal(event_signal(&guard, fd), -EBADF);
	assert_int_equal(event_take(fd), -EBADF);
}

static void a_full_one_is_signalled_already(void **state)
{
	struct signaller signaller;

	(void)state;
	begin(&signaller, false);
	end(&signaller);
	assert_int_equal(signaller.result, 0);
}

static void nothing_is_taken_by_waiting(void **state)
{
	int fd = make_event(true, 0);

	(void)state;
	/* It would wait for ever. */
	assert_int_equal(event_take(fd), -EAGAIN);
	fd_close(&fd);
}

static void who_is_held_up_is_let_go_the_second_time(void **state)
{
	struct census before = census_take();
	struct signaller signaller;

	(void)state;
	begin(&signaller, true);
	assert_false(event_free(&signaller.guard));
	poll(NULL, 0, 20);
	assert_false(atomic_load(&signaller.done));
	assert_true(event_free(&signaller.guard));
	end(&signaller);
	assert_int_equal(signaller.result, -ETIMEDOUT);
	assert_false(event_free(&signaller.guard));
	census_check(before);
}

static void who_signals_again_and_again_is_not_held_up(void **state)
{
	struct event_guard guard = { 0 };
	int fd = make_event(false, 0);

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(event_signal(&guard, fd), 0);
		assert_false(event_free(&guard));
	}
	fd_close(&fd);
}

static void *fill(void *opaque)
{
	struct signaller *signaller = opaque;
	const uint64_t full = FULL;

	while (!atomic_load(&signaller->quit)) {
		int flags = fcntl(signaller->fd, F_GETFL);

		fcntl(signaller->fd, F_SETFL, flags & ~O_NONBLOCK);
		fcntl(signaller->fd, F_SETFL, flags | O_NONBLOCK);
		if (write(signaller->fd, &full, sizeof(full)) < 0 && errno != EAGAIN)
			break;
	}
	return NULL;
}

/* It empties nothing but what it holds the thread up by. */
static void who_fills_it_again_loses(void **state)
{
	struct signaller signaller;
	pthread_t filler;

	(void)state;
	begin(&signaller, true);
	assert_int_equal(pthread_create(&filler, NULL, fill, &signaller), 0);
	for (unsigned n = 0; !atomic_load(&signaller.done); n++) {
		assert_true(n < 100);
		event_free(&signaller.guard);
		poll(NULL, 0, 5);
	}
	atomic_store(&signaller.quit, true);
	/* It may be waiting itself. */
	for (unsigned n = 0; n < 1000 && pthread_tryjoin_np(filler, NULL); n++) {
		event_take(signaller.fd);
		poll(NULL, 0, 1);
	}
	end(&signaller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_is_counted),
		cmocka_unit_test(a_full_one_is_signalled_already),
		cmocka_unit_test(nothing_is_taken_by_waiting),
		cmocka_unit_test(who_is_held_up_is_let_go_the_second_time),
		cmocka_unit_test(who_signals_again_and_again_is_not_held_up),
		cmocka_unit_test(who_fills_it_again_loses),
	};

	return cmocka_run_group_tests_name("base/event", tests, NULL, NULL);
}
