/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end makes the file of its memory shorter while the back-end uses it.
 * Its session ends, with a message that names the region; another session in the
 * same process notices nothing.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <vhu/log.h>
#include <vhu/sigbus.h>

#include "session/stage.h"

#define REGION   (UINT64_C(4) << 20)
#define REQUESTS 8u

static struct sigaction ours;

/* The test's frame has put a handler of its own over the library's. */
static void handle_again(void)
{
	assert_int_equal(sigaction(SIGBUS, &ours, NULL), 0);
}

static struct {
	pthread_mutex_t lock;
	char end[400]; /* why a session ended last */
	unsigned ends;
} said = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void listen_to(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	(void)level;
	(void)subject;
	(void)opaque;
	if (strncmp(text, "session ended:", 14))
		return;
	pthread_mutex_lock(&said.lock);
	snprintf(said.end, sizeof(said.end), "%s", text);
	said.ends++;
	pthread_mutex_unlock(&said.lock);
}

/* One session has ended since the last time, because of the region at @gpa. */
static void expect_said(uint64_t gpa)
{
	char wanted[100];

	snprintf(wanted, sizeof(wanted),
	         "guest memory is gone: region of gpa 0x%llx size 0x%llx:", (unsigned long long)gpa,
	         (unsigned long long)REGION);
	pthread_mutex_lock(&said.lock);
	if (!strstr(said.end, wanted) || said.ends != 1)
		fail_msg("%u sessions ended, the last: %s", said.ends, said.end);
	said.ends = 0;
	pthread_mutex_unlock(&said.lock);
}

/* Page i of the second region, which holds nothing but data. */
#define FAR_GPA(i)  (REGION + (i)*PAGE)
#define FAR_IOVA(i) (UINT64_C(0x80000000) + (i)*PAGE)

static struct rig *start(void **state, bool listen)
{
	struct rig *rig = stage_open(
		state,
		(struct rig_config){ .n_regions = 2, .region_size = REGION, .listen = listen });

	assert_int_equal(rig_update(rig, FAR_IOVA(0), REGION, FAR_GPA(0), PERM_RW), 0);
	stage_give(rig, 0, 16, PERM_RW);
	return rig;
}

static void cut(struct rig *rig, unsigned region, uint64_t size)
{
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(rig->mem, &n);

	assert_true(region < n);
	assert_int_equal(ftruncate(regions[region].fd, (off_t)size), 0);
}

/* The other session moves data, and all of it arrives. */
static void use(struct rig *rig, unsigned round)
{
	uint32_t len = 3 * PAGE;
	unsigned char *from = rig_ptr(rig, DATA_GPA(0), len);
	unsigned char *to = rig_ptr(rig, DATA_GPA(8), len + 1);

	for (uint32_t i = 0; i < len; i++)
		from[i] = (unsigned char)(i * 7 + round);
	stage_clear(rig, DATA_GPA(8), len + PAGE);
	stage_ask_copy(rig, 0, DATA_IOVA(0), len, DATA_IOVA(8), len + 1, 1000 + round);
	stage_expect_used(rig, 0, 1000 + round, len + 1);
	assert_memory_equal(from, to, len);
	assert_int_equal(to[len], RIG_OK);
	stage_expect_clear(rig, DATA_GPA(8) + len + 1, PAGE - 1);
}

static void write_data(struct rig *rig)
{
	cut(rig, 1, 0);
	stage_ask(rig, 0, FAR_IOVA(5), 4 * PAGE, 1);
}

static void read_data(struct rig *rig)
{
	cut(rig, 1, PAGE);
	stage_ask_copy(rig, 0, FAR_IOVA(0), 2 * PAGE, DATA_IOVA(0), 100, 1);
}

/* One fault per page, from behind, and what was there before each is still there. */
static void write_many(struct rig *rig)
{
	cut(rig, 1, 2 * PAGE);
	for (unsigned i = 0; i < REQUESTS; i++) {
		const struct vring_buffer buffer = { FAR_IOVA(REQUESTS - i), PAGE, true };

		rig_add(rig, 0, &buffer, 1, TOKEN(i));
	}
	rig_kick(rig, 0);
}

static void write_what_was_held(struct rig *rig)
{
	rig_hold(rig);
	stage_ask(rig, 0, FAR_IOVA(5), PAGE, 1);
	rig_wait_submitted(rig, 1);
	cut(rig, 1, 0);
	rig_release(rig);
}

static void an_access_to_data_that_is_gone(void **state)
{
	static void (*const accesses[])(struct rig * rig) = {
		write_data,
		read_data,
		write_many,
		write_what_was_held,
	};

	handle_again();
	for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++) {
		struct rig *other = start(state, false), *rig = start(state, false);

		use(other, 0);
		accesses[i](rig);
		rig_expect_closed(rig);
		expect_said(REGION);
		use(other, i + 1);
		rig_free(rig);
		use(other, i + 2);
		rig_free(other);
	}
}

/* No fault, no end: what is gone is not looked for. */
static void a_region_is_good_as_far_as_it_is_there(void **state)
{
	struct rig *rig;

	handle_again();
	rig = start(state, false);
	cut(rig, 1, 2 * PAGE);
	stage_ask(rig, 0, FAR_IOVA(0), 2 * PAGE, 1);
	stage_expect_used(rig, 0, 1, 2 * PAGE);
	stage_expect_filled(rig, FAR_GPA(0), 2 * PAGE);
	stage_ask(rig, 0, FAR_IOVA(2), 1, 2);
	rig_expect_closed(rig);
	expect_said(REGION);
	rig_free(rig);
}

#ifndef THREAD_SANITIZER
static void kick(struct rig *rig)
{
	assert_int_equal(fd_signal(rig->rings[0].kick), 0);
}

/* The used ring is written as the held request comes back. */
static void complete_held(struct rig *rig)
{
	rig_release(rig);
}

static void stop_ring(struct rig *rig)
{
	struct message message;

	message_init(&message, VHU_FE_GET_VRING_BASE);
	message.header.size = sizeof(message.payload.state);
	rig_send(rig, &message);
	rig_release(rig);
	/* The reply may be the last word. */
	while (peer_recv(rig->main, &message, PEER_PATIENCE) == 0)
		;
}

static void a_ring_that_is_gone(void **state)
{
	static void (*const accesses[])(struct rig * rig) = { kick, complete_held, stop_ring };

	handle_again();
	for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++) {
		struct rig *other = start(state, false), *rig = start(state, false);

		use(other, 0);
		rig_hold(rig);
		stage_ask(rig, 0, FAR_IOVA(0), PAGE, 1);
		rig_wait_submitted(rig, 1);
		cut(rig, 0, 0);
		accesses[i](rig);
		rig_expect_closed(rig);
		expect_said(0);
		use(other, 1);
		/* The test's own mapping of the ring is gone, too. */
		rig_free(rig);
		rig_free(other);
	}
}

#endif

static void the_next_front_end_is_served(void **state)
{
	struct rig *rig;

	handle_again();
	rig = start(state, true);
	use(rig, 0);
	write_data(rig);
	rig_expect_closed(rig);
	expect_said(REGION);
	rig_wait_sessions(rig, 1);
	cut(rig, 1, REGION);
	rig_reconnect(rig);
	rig->n_maps = 0;
	rig_open(rig, PLATFORM);
	stage_ring(rig, 0);
	stage_give(rig, 0, 16, PERM_RW);
	use(rig, 1);
	rig_free(rig);
}

static void a_hole_that_nobody_touches(void **state)
{
	struct rig *rig;

	handle_again();
	rig = start(state, false);
	cut(rig, 1, 0);
	use(rig, 0);
	cut(rig, 1, REGION);
	rig_share(rig);
	use(rig, 1);
	rig_free(rig);
	pthread_mutex_lock(&said.lock);
	assert_int_equal(said.ends, 0);
	pthread_mutex_unlock(&said.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(an_access_to_data_that_is_gone),
		EACH(a_region_is_good_as_far_as_it_is_there),
#ifndef THREAD_SANITIZER
		/* Its atomics hold a lock that the handler's would take. */
		EACH(a_ring_that_is_gone),
#endif
		EACH(the_next_front_end_is_served),
		EACH(a_hole_that_nobody_touches),
	};

	vhu_log_set(listen_to, NULL, VHU_LOG_ERROR);
	if (vhu_sigbus_install() || sigaction(SIGBUS, NULL, &ours))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
