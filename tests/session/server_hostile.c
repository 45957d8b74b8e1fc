/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What no driver may write into a ring, seen through the whole back-end: the ring
 * is broken and says so by its error eventfd, what was issued is finished, and
 * neither another ring nor the session notices.
 */
#include <linux/virtio_config.h>
#include <poll.h>

#include "base/fd.h"
#include "support/raw_ring.h"

#define PLATFORM      VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define INDIRECT_DESC VHU_BIT(28)
#define NUM           8u
#define RING          UINT64_C(0x100000)
#define OTHER_RING    UINT64_C(0x110000)
#define TABLE         UINT64_C(0x180000)
#define DATA          UINT64_C(0x200000)
#define OTHER_DATA    UINT64_C(0x210000)
#define EVERYTHING    UINT64_C(0x400000)

enum { N = DESC_NEXT, W = DESC_WRITE, I = DESC_INDIRECT };

struct hostile_case {
	const char *name;
	struct ring_desc desc[NUM];
	struct ring_desc table[NUM];
	uint16_t head;
	uint16_t avail; /* how far the index jumps; 0: by one */
};

static const struct hostile_case cases[] = {
	{ "the index jumps too far", .avail = NUM + 1 },
	{ "the index goes back", .avail = UINT16_MAX },
	{ "a head outside of the ring", .head = NUM },
	{ "a head far outside", .head = UINT16_MAX },
	{ "next outside of the ring", .desc = { { DATA, 1, N, NUM } } },
	{ "next far outside", .desc = { { DATA, 1, N, UINT16_MAX } } },
	{ "a loop of one", .desc = { { DATA, 1, N, 0 } } },
	{ "a loop of two", .desc = { { DATA, 1, N, 1 }, { DATA, 1, N, 0 } } },
	{ "readable after writable", .desc = { { DATA, 1, N | W, 1 }, { DATA, 1, 0, 0 } } },
	{ "a buffer that wraps", .desc = { { UINT64_MAX, 2, W, 0 } } },
	{ "a table that wraps", .desc = { { -16ull, 32, I, 0 } } },
	{ "an empty table", .desc = { { TABLE, 0, I, 0 } } },
	{ "a table of one and a half", .desc = { { TABLE, 24, I, 0 } } },
	{ "a table longer than the ring", .desc = { { TABLE, 16 * (NUM + 1), I, 0 } } },
	{ "a table as long as can be", .desc = { { TABLE, 0xfffffff0, I, 0 } } },
	{ "a table with a next one", .desc = { { TABLE, 16, I | N, 1 }, { DATA, 1, W, 0 } } },
	{ "a table in a table", .desc = { { TABLE, 32, I, 0 } },
	  .table = { { DATA, 1, N, 1 }, { TABLE, 16, I, 0 } } },
	{ "a loop in a table", .desc = { { TABLE, 32, I, 0 } },
	  .table = { { DATA, 1, N, 1 }, { DATA, 1, N, 0 } } },
	{ "next outside of the table", .desc = { { TABLE, 32, I, 0 } },
	  .table = { { DATA, 1, N, 2 } } },
	{ "readable after writable in a table", .desc = { { TABLE, 32, I, 0 } },
	  .table = { { DATA, 1, N | W, 1 }, { DATA, 1, 0, 0 } } },
};

/* Two rings; with translation, all of memory is where it is and known from the start. */
static struct rig *open_rig(const struct rig_config *config, uint64_t features)
{
	struct rig *rig = rig_new(config);
	const struct rig_ring_config other = { .gpa = OTHER_RING, .iova = OTHER_RING };

	rig_open(rig, features);
	if (features & PLATFORM)
		assert_int_equal(rig_update(rig, 0, EVERYTHING, 0, PERM_RW), 0);
	rig_ring_start(rig, 1, &other);
	return rig;
}

static void start(struct raw_ring *ring, struct rig *rig)
{
	const struct rig_ring_config config = { .num = NUM, .gpa = RING, .iova = RING };

	/* The last ring to stop takes the translations with it, and this one is not. */
	raw_ring_start(ring, rig, 0, &config);
}

static void expect_alive(struct rig *rig)
{
	const struct vring_buffer buffer = { OTHER_DATA, 16, true };
	uint32_t written;

	rig_add(rig, 1, &buffer, 1, rig);
	rig_kick(rig, 1);
	assert_ptr_equal(rig_wait_used(rig, 1, &written), rig);
	assert_int_equal(written, 16);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
}

static void expect_no_more_errors(struct rig *rig)
{
	struct pollfd poller = { .fd = rig->rings[0].err, .events = POLLIN };

	assert_int_equal(poll(&poller, 1, 5), 0);
}

/* A good request, to see that the ring works, or that it does not. */
static void show_good(struct raw_ring *ring)
{
	raw_ring_desc(ring, NUM - 1, (struct ring_desc){ DATA, 8, W, 0 });
	raw_ring_show(ring, NUM - 1);
	raw_ring_kick(ring);
}

static void show_case(struct raw_ring *ring, const struct hostile_case *c)
{
	struct ring_desc *table = rig_ptr(ring->rig, TABLE, sizeof(c->table));

	for (unsigned i = 0; i < NUM; i++) {
		raw_ring_desc(ring, i, c->desc[i]);
		table[i] = c->table[i];
	}
	if (c->avail)
		raw_ring_jump(ring, (uint16_t)(1 + c->avail));
	else
		raw_ring_show(ring, c->head);
	raw_ring_kick(ring);
}

static void break_ring(struct rig *rig, const struct hostile_case *c)
{
	uint64_t errors = rig_stats(rig).ring_errors;
	struct raw_ring ring;

	start(&ring, rig);
	show_good(&ring);
	raw_ring_wait(&ring, 1);
	show_case(&ring, c);
	rig_expect_ring_error(rig, 0);
	expect_alive(rig);
	show_good(&ring);
	expect_alive(rig);
	assert_int_equal(raw_ring_used(&ring), 1);
	expect_no_more_errors(rig);
	assert_int_equal(rig_stats(rig).ring_errors, errors + 1);
	rig_ring_stop(rig, 0);
}

static void break_rings(const struct rig_config *config, uint64_t features)
{
	struct rig *rig = open_rig(config, features);
	struct raw_ring ring;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("  %s\n", cases[i].name);
		break_ring(rig, &cases[i]);
	}
	start(&ring, rig);
	show_good(&ring);
	raw_ring_wait(&ring, 1);
	rig_free(rig);
}

static void a_ring_is_broken_and_nothing_else(void **state)
{
	break_rings(*state, INDIRECT_DESC);
}

static void a_ring_is_broken_and_nothing_else_with_translation(void **state)
{
	break_rings(*state, INDIRECT_DESC | PLATFORM);
}

static void an_indirect_table_must_be_negotiated(void **state)
{
	static const struct hostile_case plain = { "a table", .desc = { { TABLE, 16, I, 0 } },
		                                   .table = { { DATA, 1, W, 0 } } };
	struct rig *rig = open_rig(*state, 0);

	break_ring(rig, &plain);
	rig_free(rig);
}

static void a_head_that_is_in_use_breaks_the_ring(void **state)
{
	struct rig *rig = open_rig(*state, 0);
	struct raw_ring ring;

	start(&ring, rig);
	rig_hold(rig);
	raw_ring_desc(&ring, 2, (struct ring_desc){ DATA, 8, W, 0 });
	raw_ring_show(&ring, 2);
	raw_ring_show(&ring, 2);
	raw_ring_kick(&ring);
	rig_expect_ring_error(rig, 0);
	assert_int_equal(rig_submitted(rig), 1);
	/* What was issued is finished and published. */
	rig_release(rig);
	raw_ring_wait(&ring, 1);
	assert_int_equal(raw_ring_elem(&ring, 0).id, 2);
	expect_alive(rig);
	rig_ring_stop(rig, 0);
	rig_free(rig);
}

/* The chains in front of the bad one are done. */
static void a_ring_works_up_to_its_fault(void **state)
{
	struct rig *rig = open_rig(*state, 0);
	struct raw_ring ring;

	start(&ring, rig);
	for (uint16_t i = 0; i < 3; i++) {
		raw_ring_desc(&ring, i, (struct ring_desc){ DATA, 8, W, 0 });
		raw_ring_show(&ring, i);
	}
	raw_ring_show(&ring, NUM);
	raw_ring_kick(&ring);
	rig_expect_ring_error(rig, 0);
	raw_ring_wait(&ring, 3);
	expect_alive(rig);
	rig_free(rig);
}

/* An address outside of memory is an access failure, and its status says so. */
static void a_buffer_outside_of_memory_fails_alone(void **state)
{
	static const uint64_t wrong[] = { EVERYTHING - 1, EVERYTHING, UINT64_MAX - 4096 };
	struct rig *rig = open_rig(*state, 0);
	struct raw_ring ring;

	start(&ring, rig);
	for (uint16_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		raw_ring_desc(&ring, 0, (struct ring_desc){ wrong[i], 512, N | W, 1 });
		raw_ring_desc(&ring, 1, (struct ring_desc){ DATA, 1, W, 0 });
		raw_ring_show(&ring, 0);
		raw_ring_kick(&ring);
		raw_ring_wait(&ring, (uint16_t)(i + 1));
		assert_int_equal(*(char *)rig_ptr(rig, DATA, 1), RIG_REFUSED);
		assert_int_equal(rig_refused(rig), i + 1);
	}
	expect_alive(rig);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(a_ring_is_broken_and_nothing_else),
		RIG_TEST_BOTH(a_ring_is_broken_and_nothing_else_with_translation),
		RIG_TEST_BOTH(an_indirect_table_must_be_negotiated),
		RIG_TEST_BOTH(a_head_that_is_in_use_breaks_the_ring),
		RIG_TEST_BOTH(a_ring_works_up_to_its_fault),
		RIG_TEST_BOTH(a_buffer_outside_of_memory_fails_alone),
	};

	return cmocka_run_group_tests_name("session/server_hostile", tests, NULL, NULL);
}
