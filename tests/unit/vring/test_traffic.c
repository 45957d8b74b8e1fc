/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's ring against the device's: random chains through every kind of
 * translation, completed out of order, rewound, with mappings lost on the way.
 * Each side sleeps whenever it may, so that a notification too few ends the test.
 */
#include "rig.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#define NUM           32u
#define TABLE_ENTRIES 4u
#define BUFFERS       6u /* more than fit a table */
#define JOB_SIZE      1024u
#define WAIT_SECONDS  20

struct job {
	bool busy;
	uint32_t offset; /* of its memory */
	unsigned n;
	struct vring_buffer buffers[BUFFERS];
	uint32_t sum; /* of what the device reads */
	uint32_t in_len;
};

struct flight {
	bool busy;
	uint16_t index; /* that it was taken at */
	struct chain chain;
};

struct traffic {
	struct rig rig;
	unsigned buffer_max;
	unsigned total;

	/* driver */
	struct job jobs[NUM];
	unsigned added, done, calls;
	uint64_t driver_seed;

	/* device */
	struct flight flights[NUM];
	unsigned in_flight, kicks;
	struct iov_list iov;
	uint64_t device_seed;

	/* who is awake, where one thread plays both */
	bool driver_awake, device_awake;

	/* what wakes them, where they are two */
	bool threads;
	_Atomic bool over;
	sem_t kick, call;
};

static void wake_device(struct traffic *t)
{
	t->kicks++;
	t->device_awake = true;
	if (t->threads)
		sem_post(&t->kick);
}

static void wake_driver(struct traffic *t)
{
	t->calls++;
	t->driver_awake = true;
	if (t->threads)
		sem_post(&t->call);
}

static uint32_t mix(uint32_t sum, uint8_t byte)
{
	return (sum ^ byte) * 16777619u;
}

/* The driver */

static struct job *idle_job(struct traffic *t)
{
	for (unsigned i = 0; i < NUM; i++) {
		if (!t->jobs[i].busy) {
			t->jobs[i].offset = RIG_DATA + i * 2 * JOB_SIZE;
			return &t->jobs[i];
		}
	}
	return NULL;
}

static void make_job(struct traffic *t, struct job *job)
{
	uint32_t at = job->offset + rig_random(&t->driver_seed, JOB_SIZE);
	unsigned n_out;

	job->n = 1 + rig_random(&t->driver_seed, BUFFERS);
	n_out = rig_random(&t->driver_seed, job->n + 1);
	job->sum = job->in_len = 0;
	for (unsigned i = 0; i < job->n; i++) {
		uint32_t len = rig_random(&t->driver_seed, t->buffer_max + 1);

		job->buffers[i] = (struct vring_buffer){ rig_addr(&t->rig, at), len, i >= n_out };
		for (uint32_t b = 0; b < len; b++) {
			uint8_t byte = (uint8_t)rig_random(&t->driver_seed, 256);

			t->rig.mem[at + b] = (char)byte;
			if (i < n_out)
				job->sum = mix(job->sum, byte);
			else
				job->in_len++;
		}
		at += len;
	}
}

static bool add_job(struct traffic *t)
{
	struct job *job = idle_job(t);
	int rc;

	if (!job || t->added == t->total)
		return false;
	make_job(t, job);
	rc = vring_driver_add(t->rig.driver, job->buffers, job->n, job);
	assert_true(rc == 0 || rc == -ENOSPC);
	job->busy = rc == 0;
	t->added += rc == 0;
	return rc == 0;
}

static void check_job(struct traffic *t, struct job *job, uint32_t written)
{
	uint32_t sum = job->sum;

	assert_true(job->busy);
	assert_int_equal(written, job->in_len);
	for (unsigned i = 0; i < job->n; i++) {
		const struct vring_buffer *buffer = &job->buffers[i];
		const char *at = t->rig.mem + (buffer->addr - rig_addr(&t->rig, 0));

		for (uint32_t b = 0; buffer->writable && b < buffer->len; b++) {
			sum = mix(sum, 1);
			assert_int_equal((uint8_t)at[b], (uint8_t)sum);
		}
	}
	job->busy = false;
	t->done++;
}

static unsigned get_jobs(struct traffic *t)
{
	unsigned n = 0;
	uint32_t written;
	void *token;
	int error;

	while (vring_driver_get(t->rig.driver, &token, &written, &error)) {
		check_job(t, token, written);
		n++;
	}
	assert_int_equal(error, 0);
	return n;
}

/* False: may sleep. */
static bool driver_step(struct traffic *t)
{
	unsigned got = get_jobs(t), added = 0, most = 1 + rig_random(&t->driver_seed, NUM);

	while (added < most && add_job(t))
		added++;
	if (vring_driver_kick_needed(t->rig.driver))
		wake_device(t);
	if (got || added) {
		vring_driver_quiet(t->rig.driver);
		return true;
	}
	return vring_driver_arm(t->rig.driver);
}

/* The device */

static struct flight *idle_flight(struct traffic *t)
{
	for (unsigned i = 0; i < NUM; i++)
		if (!t->flights[i].busy)
			return &t->flights[i];
	return NULL;
}

static bool take_one(struct traffic *t)
{
	struct flight *flight = idle_flight(t);
	struct vring *ring = &t->rig.ring;
	const char *fault = NULL;
	int rc;

	if (!flight)
		return false;
	rc = vring_take(ring, &flight->chain);
	assert_true(rc >= 0);
	if (rc == 0)
		return false;
	for (unsigned i = 0; i < NUM; i++)
		assert_false(t->flights[i].busy && t->flights[i].chain.head == flight->chain.head);
	if (flight->chain.table.len)
		assert_int_equal(chain_load_table(&flight->chain, &t->rig.view, NULL, &fault), 0);
	flight->busy = true;
	flight->index = (uint16_t)(ring->next_avail - 1);
	t->in_flight++;
	return true;
}

static void answer(struct traffic *t, const struct segment *segment, uint32_t *sum)
{
	t->iov.n = 0;
	assert_int_equal(
		translate(&t->rig.view, segment->addr, segment->len, segment->perm, &t->iov, NULL),
		0);
	for (unsigned i = 0; i < t->iov.n; i++) {
		uint8_t *bytes = t->iov.iov[i].iov_base;

		for (size_t b = 0; b < t->iov.iov[i].iov_len; b++) {
			*sum = mix(*sum, segment->perm == PERM_READ ? bytes[b] : 1);
			if (segment->perm == PERM_WRITE)
				bytes[b] = (uint8_t)*sum;
		}
	}
}

static void complete_one(struct traffic *t)
{
	unsigned i = rig_random(&t->device_seed, NUM);
	struct flight *flight;
	uint32_t sum = 0;

	while (!t->flights[i % NUM].busy)
		i++;
	flight = &t->flights[i % NUM];
	for (unsigned s = 0; s < flight->chain.n; s++)
		answer(t, &flight->chain.segments[s], &sum);
	vring_put(&t->rig.ring, flight->chain.head, (uint32_t)flight->chain.in_len);
	flight->busy = false;
	t->in_flight--;
}

static struct flight *flight_at(struct traffic *t, uint16_t index)
{
	for (unsigned i = 0; i < NUM; i++)
		if (t->flights[i].busy && t->flights[i].index == index)
			return &t->flights[i];
	return NULL;
}

/* Rewinds some of what was taken last and isn't completed. */
static void rewind_some(struct traffic *t)
{
	unsigned most = rig_random(&t->device_seed, NUM);
	struct vring *ring = &t->rig.ring;
	uint16_t n = 0;

	for (; n < most; n++) {
		struct flight *flight = flight_at(t, (uint16_t)(ring->next_avail - 1 - n));

		if (!flight)
			break;
		flight->busy = false;
		t->in_flight--;
	}
	vring_untake(ring, n);
}

static void disturb(struct traffic *t)
{
	struct vring *ring = &t->rig.ring;

	switch (rig_random(&t->device_seed, 32)) {
	case 0: rewind_some(t); break;
	case 1: vring_unmap(ring); break;
	case 2: assert_int_equal(vring_move(ring, &t->rig.config), 0); break;
	case 3: translate_forget(&t->rig.view, RANGE_ALL); break;
	}
	if (!vring_is_mapped(ring))
		assert_int_equal(vring_map(ring, &t->rig.view, NULL), 0);
}

/* False: may sleep. */
static bool device_step(struct traffic *t)
{
	struct vring *ring = &t->rig.ring;
	unsigned most = rig_random(&t->device_seed, NUM), taken = 0;
	bool wants;

	disturb(t);
	vring_quiet(ring);
	while (taken < most && take_one(t))
		taken++;
	for (unsigned n = rig_random(&t->device_seed, t->in_flight + 1) + 1; n && t->in_flight; n--)
		complete_one(t);
	vring_publish(ring);
	wants = vring_wants_call(ring);
	if (wants)
		wake_driver(t);
	assert_true(vring_check(ring));
	return t->in_flight || vring_arm(ring);
}

/* Both */

static void traffic_init(struct traffic *t, enum rig_cut cut, bool event_idx, bool indirect)
{
	*t = (struct traffic){
		.driver_seed = 88172645463325252,
		.device_seed = 36243606936243606,
		.driver_awake = true,
	};
	rig_init(&t->rig, cut, true);
	rig_start_both(&t->rig, NUM, event_idx, indirect, TABLE_ENTRIES);
	assert_int_equal(sem_init(&t->kick, 0, 0), 0);
	assert_int_equal(sem_init(&t->call, 0, 0), 0);
}

static void traffic_done(struct traffic *t)
{
	assert_int_equal(t->done, t->total);
	assert_int_equal(vring_driver_free_count(t->rig.driver), NUM);
	assert_int_equal(vring_driver_avail_index(t->rig.driver), (uint16_t)t->total);
	assert_int_equal(t->rig.ring.published, (uint16_t)t->total);
	/* Who is awake is not notified. */
	assert_true(t->kicks < t->total && t->calls < t->total);
	for (unsigned i = 0; i < NUM; i++)
		chain_done(&t->flights[i].chain);
	iov_list_done(&t->iov);
	sem_destroy(&t->kick);
	sem_destroy(&t->call);
	rig_done(&t->rig);
}

static void play_both(struct traffic *t)
{
	unsigned long steps = 0;

	while (t->done < t->total) {
		assert_true(++steps < 100ul * t->total);
		assert_true(t->driver_awake || t->device_awake);
		if (t->driver_awake && (!t->device_awake || steps % 3 == 0))
			t->driver_awake = driver_step(t);
		else
			t->device_awake = device_step(t);
	}
}

static void all_content_arrives(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RIG_CUTS * 4; i++) {
		struct traffic t;

		print_message("  %s, event_idx %u, indirect %u\n", rig_cut_names[i / 4], i & 1,
		              i >> 1 & 1);
		traffic_init(&t, i / 4, i & 1, i & 2);
		t.total = 1500;
		t.buffer_max = (JOB_SIZE - 1) / BUFFERS;
		play_both(&t);
		traffic_done(&t);
	}
}

static void indices_wrap(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct traffic t;

		traffic_init(&t, i == 3 ? RIG_ODD : RIG_IDENTITY, i & 1, i & 2);
		t.total = 70000;
		t.buffer_max = 2;
		play_both(&t);
		traffic_done(&t);
	}
}

/* False: it never came. */
static bool wait_for(sem_t *semaphore)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	while (sem_timedwait(semaphore, &until) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

static void *run_device(void *arg)
{
	struct traffic *t = arg;

	while (wait_for(&t->kick) && !t->over)
		while (device_step(t))
			continue;
	return NULL;
}

static void no_wakeup_is_lost_between_threads(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct traffic t;
		pthread_t device;
		bool came = true;

		traffic_init(&t, RIG_IDENTITY, i & 1, i & 2);
		t.total = 20000;
		t.buffer_max = 8;
		t.threads = true;
		assert_int_equal(pthread_create(&device, NULL, run_device, &t), 0);
		while (came && t.done < t.total)
			if (!driver_step(&t) && t.done < t.total)
				came = wait_for(&t.call);
		t.over = true;
		sem_post(&t.kick);
		pthread_join(device, NULL);
		assert_true(came);
		traffic_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_content_arrives),
		cmocka_unit_test(indices_wrap),
		cmocka_unit_test(no_wakeup_is_lost_between_threads),
	};

	return cmocka_run_group_tests_name("vring/traffic", tests, NULL, NULL);
}
