/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of a device that writes what it likes into the used ring: here it is this
 * test that does, with a fake that agrees to everything at the other end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "support/census.h"
#include "support/fake.h"
#include "vring/layout.h"

#define NUM     4u
#define ENTRIES 8u

struct fixture {
	struct fake *fake;
	struct vhu_vq *vq;
	struct vhu_vq_config config;
	unsigned char *used;
	uint16_t index; /* of the next element */
};

static void set_up(struct fixture *f, bool event_idx, uint16_t table_entries)
{
	memset(f, 0, sizeof(*f));
	f->config = (struct vhu_vq_config){
		.index = 2, .num = NUM, .event_idx = event_idx, .table_entries = table_entries
	};
	f->config.mem = aligned_alloc(4096, vhu_vq_bytes(NUM, table_entries));
	assert_non_null(f->config.mem);
	/* What the device writes has pages of its own. */
	f->used = (unsigned char *)f->config.mem + 4096;
	f->fake = fake_ready(&fake_full, 0);
	assert_int_equal(vhu_vq_start(f->fake->frontend, &f->config, &f->vq), 0);
}

static void tear_down(struct fixture *f)
{
	vhu_vq_free(f->vq);
	fake_free(f->fake);
	free(f->config.mem);
}

static void use(struct fixture *f, uint32_t id, uint32_t len)
{
	const struct ring_used_elem elem = { id, len };

	memcpy(f->used + used_elem_offset(NUM, f->index), &elem, sizeof(elem));
	f->index++;
	memcpy(f->used + RING_INDEX_OFFSET, &f->index, sizeof(f->index));
}

static const struct vhu_buffer parts[ENTRIES + 1] = {
	{ 0x1000, 16, false }, { 0x2000, 100, true }, { 0x3000, 28, true },
	{ 0x4000, 1, true },   { 0x5000, 1, true },   { 0x6000, 1, true },
	{ 0x7000, 1, true },   { 0x8000, 1, true },   { 0x9000, 1, true },
};

static void add(struct fixture *f, unsigned n, void *token)
{
	assert_int_equal(vhu_vq_add(f->vq, parts, n, token), 0);
	assert_int_equal(vhu_vq_kick(f->vq), 0);
}

static void out_of_range(struct fixture *f)
{
	use(f, NUM, 0);
}

static void far_out_of_range(struct fixture *f)
{
	use(f, UINT32_MAX, 0);
}

static void in_mid_chain(struct fixture *f)
{
	use(f, 1, 0);
}

static void not_added(struct fixture *f)
{
	use(f, 3, 0);
}

static void more_than_there_are(struct fixture *f)
{
	use(f, 0, 0);
	use(f, 0, 0);
}

static void far_ahead(struct fixture *f)
{
	f->index = 30000;
	use(f, 0, 0);
}

static void backwards(struct fixture *f)
{
	f->index = UINT16_MAX - 1;
	use(f, 0, 0);
}

static const struct {
	const char *name;
	void (*lie)(struct fixture *f);
} lies[] = {
	{ "out of range", out_of_range },
	{ "far out of range", far_out_of_range },
	{ "in mid-chain", in_mid_chain },
	{ "not added", not_added },
	{ "more than there are", more_than_there_are },
	{ "far ahead", far_ahead },
	{ "backwards", backwards },
};

/* And it is an error again and again, which ends no waiting in a loop. */
static void a_lie_in_the_used_ring_is_an_error_that_names_the_ring(void **state)
{
	fake_free(fake_new(&fake_full));
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(lies); i++) {
		struct census before = census_take();
		struct fixture f;
		uint32_t written;
		void *token;

		print_message("  %s\n", lies[i / 2].name);
		set_up(&f, i % 2, 0);
		add(&f, 3, &f);
		lies[i / 2].lie(&f);
		assert_int_equal(vhu_vq_wait(f.vq, 0), 1);
		for (unsigned times = 0; times < 2; times++)
			assert_int_equal(vhu_vq_get(f.vq, &token, &written), -EPROTO);
		assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "ring 2"));
		/* It can be taken back and not gone on with; another may take its place. */
		assert_int_equal(vhu_vq_stop(f.vq), 0);
		assert_int_equal(vhu_vq_restart(f.vq), -EPROTO);
		assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "ring 2"));
		vhu_vq_free(f.vq);
		assert_int_equal(vhu_vq_start(f.fake->frontend, &f.config, &f.vq), 0);
		tear_down(&f);
		census_check(before);
	}
}

static void a_request_comes_back_once(void **state)
{
	struct fixture f;
	uint32_t written;
	void *token;

	set_up(&f, false, 0);
	add(&f, 1, &f);
	add(&f, 1, NULL);
	use(&f, 0, 0);
	assert_int_equal(vhu_vq_get(f.vq, &token, &written), 1);
	assert_ptr_equal(token, &f);
	use(&f, 0, 0);
	assert_int_equal(vhu_vq_get(f.vq, &token, &written), -EPROTO);
	tear_down(&f);
}

static void no_more_is_believed_to_be_written_than_there_was_room_for(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 128, 129, UINT32_MAX };

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct fixture f;
		uint32_t written;
		void *token;

		set_up(&f, false, 0);
		add(&f, 3, NULL);
		use(&f, 0, lengths[i]);
		assert_int_equal(vhu_vq_get(f.vq, &token, &written), 1);
		assert_int_equal(written, lengths[i] < 128 ? lengths[i] : 128);
		tear_down(&f);
	}
}

/* Indices wrap at 65536; a ring is full when its descriptors are, or its tables. */
static void rings_fill_and_indices_wrap(void **state)
{
	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		for (unsigned entries = 0; entries <= ENTRIES; entries += ENTRIES) {
			struct fixture f;
			uint32_t written;
			void *token;

			set_up(&f, event_idx, (uint16_t)entries);
			for (uintptr_t i = 0; i < 70000; i += NUM) {
				for (uintptr_t j = 0; j < NUM; j++)
					add(&f, entries ? 3 : 1, (void *)(i + j));
				assert_int_equal(vhu_vq_add(f.vq, parts, 1, NULL), -ENOSPC);
				for (unsigned j = 0; j < NUM; j++)
					use(&f, j, 1);
				for (unsigned j = 0; j < NUM; j++) {
					assert_int_equal(vhu_vq_get(f.vq, &token, &written), 1);
					assert_true((uintptr_t)token >= i &&
					            (uintptr_t)token < i + NUM);
				}
				assert_int_equal(vhu_vq_get(f.vq, &token, &written), 0);
			}
			tear_down(&f);
		}
	}
}

static void what_fits_no_table_and_no_ring_does_not_fit(void **state)
{
	struct fixture f;

	set_up(&f, false, ENTRIES);
	assert_int_equal(vhu_vq_add(f.vq, parts, 0, NULL), -EINVAL);
	/* A table has no more entries than the ring. */
	assert_int_equal(vhu_vq_add(f.vq, parts, NUM + 1, NULL), -ENOSPC);
	assert_int_equal(vhu_vq_add(f.vq, parts, NUM, NULL), 0);
	tear_down(&f);
}

static void queues_that_can_not_be_are_refused(void **state)
{
	static const struct vhu_vq_config configs[] = {
		{ .num = 0 },
		{ .num = 3 },
		{ .num = 32769 },
		{ .num = 4, .index = 4 },
		{ .num = 4, .index = 256 },
		{ .num = 4, .index = UINT32_MAX },
	};
	struct fake *fake = fake_ready(&fake_full, 0);
	struct census before = census_take();
	void *mem = aligned_alloc(4096, vhu_vq_bytes(32768, 0) * 2);
	struct vhu_vq *vq;

	for (unsigned i = 0; i < ARRAY_SIZE(configs); i++) {
		struct vhu_vq_config config = configs[i];

		assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), -EINVAL);
		config.mem = mem;
		assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), -EINVAL);
	}
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_NUM], 0);
	census_check(before);
	fake_free(fake);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lie_in_the_used_ring_is_an_error_that_names_the_ring),
		cmocka_unit_test(a_request_comes_back_once),
		cmocka_unit_test(no_more_is_believed_to_be_written_than_there_was_room_for),
		cmocka_unit_test(rings_fill_and_indices_wrap),
		cmocka_unit_test(what_fits_no_table_and_no_ring_does_not_fit),
		cmocka_unit_test(queues_that_can_not_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
