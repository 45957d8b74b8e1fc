/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of a ring in any pieces. */
#include "rig.h"

#define AREA_AT  0x1fe0u /* crosses a page */
#define AREA_LEN 300u

static void map(struct rig *rig, struct vring_area *area)
{
	assert_int_equal(
		area_map(area, &rig->view, rig_addr(rig, AREA_AT), AREA_LEN, PERM_RW, &rig->holes),
		0);
	assert_true(area_is_mapped(area));
	assert_true(area_check(area));
}

static void each_cut(void (*test)(struct rig *rig, struct vring_area *area))
{
	for (enum rig_cut cut = 0; cut < RIG_CUTS; cut++) {
		struct vring_area area = { 0 };
		struct rig rig;

		print_message("  %s\n", rig_cut_names[cut]);
		rig_init(&rig, cut, true);
		map(&rig, &area);
		assert_true((area.base != NULL) == (cut == RIG_IDENTITY));
		test(&rig, &area);
		area_done(&area);
		rig_done(&rig);
	}
}

static void reads(struct rig *rig, struct vring_area *area)
{
	char got[AREA_LEN];

	for (unsigned i = 0; i < AREA_LEN; i++)
		rig->mem[AREA_AT + i] = (char)(i * 7);
	for (unsigned offset = 0; offset < AREA_LEN; offset++) {
		for (unsigned len = 0; len <= AREA_LEN - offset; len += 1 + len / 8) {
			memset(got, 0x55, sizeof(got));
			area_read(area, offset, got, len);
			assert_memory_equal(got, rig->mem + AREA_AT + offset, len);
			assert_true(len == AREA_LEN || got[len] == 0x55);
		}
	}
}

static void read_copies_across_pieces(void **state)
{
	(void)state;
	each_cut(reads);
}

static void writes(struct rig *rig, struct vring_area *area)
{
	char want[AREA_LEN + 2], data[16];

	for (unsigned offset = 0; offset + sizeof(data) <= AREA_LEN; offset++) {
		memset(rig->mem + AREA_AT - 1, 0, sizeof(want));
		memset(want, 0, sizeof(want));
		memset(data, (int)offset + 1, sizeof(data));
		memcpy(want + 1 + offset, data, sizeof(data));
		area_write(area, offset, data, sizeof(data));
		assert_memory_equal(rig->mem + AREA_AT - 1, want, sizeof(want));
	}
}

static void write_copies_across_pieces(void **state)
{
	(void)state;
	each_cut(writes);
}

static void fields(struct rig *rig, struct vring_area *area)
{
	static const uint16_t values[] = { 0, 1, 0xff, 0x100, 0x1ff, 0x7fff, 0xff00, 0xffff };

	for (uint32_t offset = 0; offset + 2 <= AREA_LEN; offset += 2) {
		for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			area_store16_release(area, offset, values[i]);
			assert_int_equal(rig_get16(rig, AREA_AT + offset), values[i]);
			rig_set16(rig, AREA_AT + offset, (uint16_t)(values[i] ^ 0x1234));
			assert_int_equal(area_load16_acquire(area, offset), values[i] ^ 0x1234);
			assert_int_equal(area_load16_relaxed(area, offset), values[i] ^ 0x1234);
		}
	}
}

static void fields_are_little_endian_across_pieces(void **state)
{
	(void)state;
	each_cut(fields);
}

/* One piece, but the same bytes of it lie at odd pointers. */
static bool walk_odd(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	char *base = view->source;

	(void)perm;
	*ret = (struct walk){
		.ptr = base + 1 + addr, .before = addr, .after = 64 - addr, .perm = 3
	};
	return addr < 64;
}

static void one_piece_at_an_odd_pointer_works(void **state)
{
	_Alignas(16) char memory[80] = { 0 };
	struct vring_area area = { 0 };
	struct translate_view view;

	(void)state;
	assert_int_equal(translate_view_init(&view, 0), 0);
	translate_view_attach(&view, walk_odd, memory, true);
	assert_int_equal(area_map(&area, &view, 0, 32, PERM_RW, NULL), 0);
	assert_int_equal(area.iov.n, 1);
	/* No access of 16 bits at once is good there. */
	assert_null(area.base);
	area_store16_release(&area, 6, 0xa1b2);
	assert_int_equal((uint8_t)memory[7], 0xb2);
	assert_int_equal((uint8_t)memory[8], 0xa1);
	assert_int_equal(area_load16_acquire(&area, 6), 0xa1b2);
	area_done(&area);
	translate_view_done(&view);
}

static void a_hole_leaves_the_part_unmapped(void **state)
{
	struct vring_area area = { 0 };
	struct rig rig;

	(void)state;
	rig_init(&rig, RIG_PAGEWISE, true);
	map(&rig, &area);
	rig_lose(&rig, 0x2000, 1);
	assert_int_equal(area_map(&area, &rig.view, rig_addr(&rig, AREA_AT), AREA_LEN, PERM_READ,
	                          &rig.holes),
	                 -EAGAIN);
	assert_false(area_is_mapped(&area));
	assert_true(area_check(&area));
	assert_int_equal(rig.holes.n, 1);
	assert_int_equal(rig.holes_at[0].addr, rig_addr(&rig, 0x2000));
	assert_int_equal(rig.holes_at[0].len, 1);
	area_done(&area);
	rig_done(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_copies_across_pieces),
		cmocka_unit_test(write_copies_across_pieces),
		cmocka_unit_test(fields_are_little_endian_across_pieces),
		cmocka_unit_test(one_piece_at_an_odd_pointer_works),
		cmocka_unit_test(a_hole_leaves_the_part_unmapped),
	};

	return cmocka_run_group_tests_name("vring/area", tests, NULL, NULL);
}
