/* SPDX-License-Identifier: BSD-3-Clause */
/* A ring whose device is gone, made ready for another. */
#include "rig.h"

#define NUM 8u

static const struct vring_buffer one[] = { { 0x1000, 16, true } };
static const struct vring_buffer two[] = { { 0x1000, 16, false }, { 0x2000, 100, true } };

static void write_used(struct rig *rig, uint16_t at, uint32_t id, uint32_t len)
{
	struct ring_used_elem elem = { htole32(id), htole32(len) };

	memcpy(rig->mem + RIG_USED + used_elem_offset(NUM, at), &elem, sizeof(elem));
	rig_set16(rig, RIG_USED + RING_INDEX_OFFSET, (uint16_t)(at + 1));
}

static uint16_t avail_at(const struct rig *rig, uint16_t at)
{
	return rig_get16(rig, RIG_AVAIL + avail_entry_offset(NUM, at));
}

struct crash {
	const char *name;
	unsigned added; /* chains of one descriptor: heads 0, 1, 2, ... */
	uint8_t used[NUM], n_used, taken;
	uint8_t again[NUM]; /* heads that are to be made available, in order */
	int result;
};

static const struct crash crashes[] = {
	{ "nothing was used", 3, { 0 }, 0, 0, { 0, 1, 2 }, 0 },
	{ "all was used", 3, { 2, 0, 1 }, 3, 0, { 0 }, 0 },
	{ "out of order", 5, { 3, 1 }, 2, 0, { 0, 2, 4 }, 0 },
	{ "out of order, and taken", 5, { 3, 1 }, 2, 2, { 0, 2, 4 }, 0 },
	{ "some of it taken", 8, { 7, 0, 4 }, 3, 1, { 1, 2, 3, 5, 6 }, 0 },
	{ "a chain twice", 3, { 1, 1 }, 2, 0, { 0 }, -EPROTO },
	{ "no chain", 3, { 7 }, 1, 0, { 0 }, -EPROTO },
	{ "outside of the ring", 3, { 200 }, 1, 0, { 0 }, -EPROTO },
	{ "more than there were", 1, { 0, 0, 0 }, 3, 0, { 0 }, -EPROTO },
};

static void run_crash(const struct crash *crash, bool event_idx)
{
	unsigned left = crash->added - crash->n_used;
	uint32_t written;
	uint16_t base;
	struct rig rig;
	void *token;
	int error;

	rig_init(&rig, RIG_IDENTITY, true);
	rig_start_both(&rig, NUM, event_idx, false, 3);
	for (unsigned i = 0; i < crash->added; i++)
		assert_int_equal(vring_driver_add(rig.driver, one, 1, NULL), 0);
	vring_driver_kick_needed(rig.driver);
	for (unsigned i = 0; i < crash->n_used; i++)
		write_used(&rig, (uint16_t)i, crash->used[i], 0);
	for (unsigned i = 0; i < crash->taken; i++)
		assert_true(vring_driver_get(rig.driver, &token, &written, &error));
	/* Its last wishes: no kicks. */
	rig_set16(&rig, RIG_USED + RING_FLAGS_OFFSET, USED_NO_KICK);

	assert_int_equal(vring_driver_requeue(rig.driver, &base), crash->result);
	if (!crash->result) {
		assert_int_equal(base, crash->n_used);
		assert_int_equal(rig_get16(&rig, RIG_AVAIL + RING_INDEX_OFFSET), base + left);
		for (unsigned i = 0; i < left; i++)
			assert_int_equal(avail_at(&rig, (uint16_t)(base + i)), crash->again[i]);
		/* The next device has none of them. */
		assert_int_equal(vring_driver_add(rig.driver, one, 1, NULL),
		                 crash->added - crash->taken < NUM ? 0 : -ENOSPC);
		if (crash->added - crash->taken < NUM && !left)
			assert_true(vring_driver_kick_needed(rig.driver));
	}
	rig_done(&rig);
}

static void what_was_not_used_is_made_available_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++) {
		print_message("  %s\n", crashes[i].name);
		run_crash(&crashes[i], false);
		run_crash(&crashes[i], true);
	}
}

static void no_more_is_written_than_there_was_room_for(void **state)
{
	static const struct {
		uint32_t said, believed;
	} cases[] = { { 0, 0 }, { 99, 99 }, { 100, 100 }, { 101, 100 }, { UINT32_MAX, 100 } };
	uint32_t written;
	struct rig rig;
	void *token;
	int error;

	(void)state;
	rig_init(&rig, RIG_IDENTITY, true);
	rig_start_both(&rig, NUM, false, false, 3);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(vring_driver_add(rig.driver, two, 2, NULL), 0);
		write_used(&rig, (uint16_t)i, 0, cases[i].said);
		assert_true(vring_driver_get(rig.driver, &token, &written, &error));
		assert_int_equal(written, cases[i].believed);
	}
	rig_done(&rig);
}

/* Requests that are out, in the order they were added, and what devices did of them. */
struct model {
	struct rig rig;
	uint8_t added[4096], back[4096];
	unsigned n;
	uint16_t device; /* next available index it looks at */
	uint16_t held[NUM], n_held;
	uint16_t used;
};

static void device_takes(struct model *model)
{
	uint16_t shown = rig_get16(&model->rig, RIG_AVAIL + RING_INDEX_OFFSET);

	while (model->device != shown && model->n_held < NUM)
		model->held[model->n_held++] = avail_at(&model->rig, model->device++);
}

static void device_returns_one(struct model *model)
{
	unsigned i;

	if (!model->n_held)
		return;
	i = (unsigned)rand() % model->n_held;
	write_used(&model->rig, model->used++, model->held[i], 16);
	model->held[i] = model->held[--model->n_held];
}

static void another_device(struct model *model)
{
	uint16_t base;

	assert_int_equal(vring_driver_requeue(model->rig.driver, &base), 0);
	assert_int_equal(base, model->used);
	model->device = base;
	model->n_held = 0;
}

static void step(struct model *model)
{
	uint32_t written;
	void *token;
	int error;

	switch (rand() % 8) {
	case 0:
	case 1:
	case 2:
		if (model->n < sizeof(model->added) &&
		    !vring_driver_add(model->rig.driver, two, 1 + (unsigned)rand() % 2,
		                      &model->back[model->n]))
			model->added[model->n++] = 1;
		break;
	case 3: vring_driver_kick_needed(model->rig.driver); break;
	case 4: device_takes(model); break;
	case 5: device_returns_one(model); break;
	case 6:
		if (vring_driver_get(model->rig.driver, &token, &written, &error))
			++*(uint8_t *)token;
		assert_int_equal(error, 0);
		break;
	default:
		if (rand() % 8 == 0)
			another_device(model);
	}
}

static void each_request_comes_back_once_whatever_becomes_of_devices(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 30; seed++) {
		static struct model model;
		uint32_t written;
		void *token;
		int error;

		srand(seed);
		memset(&model, 0, sizeof(model));
		rig_init(&model.rig, RIG_IDENTITY, true);
		rig_start_both(&model.rig, NUM, seed % 2, seed % 3 == 0, 3);
		for (unsigned i = 0; i < 5000; i++)
			step(&model);
		vring_driver_kick_needed(model.rig.driver);
		another_device(&model);
		device_takes(&model);
		while (model.n_held)
			device_returns_one(&model);
		while (vring_driver_get(model.rig.driver, &token, &written, &error))
			++*(uint8_t *)token;
		assert_int_equal(error, 0);
		assert_true(model.n > 100);
		for (unsigned i = 0; i < model.n; i++)
			assert_int_equal(model.back[i], 1);
		rig_done(&model.rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_not_used_is_made_available_in_order),
		cmocka_unit_test(no_more_is_written_than_there_was_room_for),
		cmocka_unit_test(each_request_comes_back_once_whatever_becomes_of_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
