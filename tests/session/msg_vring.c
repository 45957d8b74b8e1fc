/* SPDX-License-Identifier: BSD-3-Clause */
/* Describing and starting a ring: any order, no wrong value, no fd too many. */
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>

#include "base/fd.h"
#include "support/raw_ring.h"
#include "vring/vring.h"

#define RING   UINT64_C(0x100000)
#define DATA   UINT64_C(0x200000)
#define NUM    16u
#define QUEUES 2u

static const uint32_t ring_messages[] = {
	VHU_FE_SET_VRING_NUM,    VHU_FE_SET_VRING_ADDR, VHU_FE_SET_VRING_BASE,
	VHU_FE_SET_VRING_KICK,   VHU_FE_SET_VRING_CALL, VHU_FE_SET_VRING_ERR,
	VHU_FE_SET_VRING_ENABLE,
};

static const struct rig_ring_config plain = { .num = NUM, .gpa = RING };

/* What rig_ring_start() would send of this kind for a ring of @config. */
static uint64_t send_part(struct rig *rig, uint32_t request, uint32_t index,
                          const struct rig_ring_config *config, int fd)
{
	switch (request) {
	case VHU_FE_SET_VRING_ADDR: return rig_set_vring_addr(rig, index, config);
	case VHU_FE_SET_VRING_KICK:
	case VHU_FE_SET_VRING_CALL:
	case VHU_FE_SET_VRING_ERR: return rig_set_vring_fd(rig, request, index, fd);
	case VHU_FE_SET_VRING_NUM: return rig_set_state(rig, request, index, config->num);
	case VHU_FE_SET_VRING_BASE: return rig_set_state(rig, request, index, config->base);
	default: return rig_set_state(rig, request, index, 1);
	}
}

static void wait_readable(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&poller, 1, PEER_PATIENCE), 1);
	fd_drain(fd);
}

static void add(struct rig *rig)
{
	const struct vring_buffer buffer = { DATA, 16, true };

	rig_add(rig, 0, &buffer, 1, rig);
	rig_kick(rig, 0);
}

static void do_request(struct rig *rig)
{
	uint32_t written;

	add(rig);
	assert_ptr_equal(rig_wait_used(rig, 0, &written), rig);
	assert_int_equal(written, 16);
}

static struct rig *open_rig(const struct rig_config *config)
{
	struct rig *rig = rig_new(config);

	rig_open(rig, 0);
	return rig;
}

/* A driver for a ring nothing of which has been sent, with a request waiting in it. */
static void make_ring(struct rig *rig)
{
	struct rig_ring *ring = &rig->rings[0];
	char *memory = rig_ptr(rig, RING, rig_ring_bytes(&plain));
	const struct vring_driver_config config = {
		.num = NUM,
		.desc = memory,
		.avail = memory + 16 * NUM,
		.used = memory + rig_ring_used_offset(&plain),
	};

	vring_driver_free(ring->driver);
	assert_int_equal(vring_driver_new(&config, &ring->driver), 0);
	assert_int_equal(fd_event(&ring->kick), 0);
	assert_int_equal(fd_event(&ring->call), 0);
	add(rig);
	fd_drain(ring->kick);
}

/* Whichever message comes last starts the ring, and the driver is told of what was done. */
static void start_in_order(struct rig *rig, const uint32_t *order, unsigned n)
{
	struct rig_ring *ring = &rig->rings[0];
	uint32_t written;
	void *token;

	make_ring(rig);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(
			send_part(rig, order[i], 0, &plain,
		                  order[i] == VHU_FE_SET_VRING_KICK ? ring->kick : ring->call),
			0);
	wait_readable(ring->call);
	assert_true(rig_try_used(rig, 0, &token, &written));
	do_request(rig);
	rig_ring_stop(rig, 0);
}

/* All orders of order[at...]. */
static void permute(struct rig *rig, uint32_t *order, unsigned n, unsigned at)
{
	if (at == n) {
		/* of which no ring is known yet */
		rig_reconnect(rig);
		rig_open(rig, 0);
		start_in_order(rig, order, n);
		return;
	}
	for (unsigned i = at; i < n; i++) {
		uint32_t first = order[i];

		order[i] = order[at];
		order[at] = first;
		permute(rig, order, n, at + 1);
		order[at] = order[i];
		order[i] = first;
	}
}

static void NUM_ADDR_CALL_KICK_and_ENABLE_may_come_in_any_order(void **state)
{
	uint32_t order[] = { VHU_FE_SET_VRING_NUM, VHU_FE_SET_VRING_ADDR, VHU_FE_SET_VRING_CALL,
		             VHU_FE_SET_VRING_KICK, VHU_FE_SET_VRING_ENABLE };
	struct rig_config config = *(const struct rig_config *)*state;
	struct rig *rig;

	config.listen = true;
	rig = open_rig(&config);
	permute(rig, order, ARRAY_SIZE(order), 0);
	rig_free(rig);
}

static void a_ring_that_is_not_there_is_refused(void **state)
{
	static const uint32_t indices[] = { QUEUES, 3, 255, 0x200, UINT32_MAX };
	/* the last ones are also bits that nobody knows where the message has an fd */
	struct rig *rig = open_rig(&(struct rig_config){ .queues = QUEUES });
	int fd;

	assert_int_equal(fd_event(&fd), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(ring_messages); i++) {
		uint32_t request = ring_messages[i];

		for (unsigned j = 0; j < ARRAY_SIZE(indices); j++)
			assert_int_not_equal(send_part(rig, request, indices[j], &plain, fd), 0);
		assert_int_equal(send_part(rig, request, QUEUES - 1, &plain, fd), 0);
	}
	fd_close(&fd);
	rig_free(rig);
}

static void the_base_of_a_ring_that_is_not_there_ends_the_session(void **state)
{
	struct rig *rig = open_rig(&(struct rig_config){ .queues = QUEUES });
	struct message message;

	message_init(&message, VHU_FE_GET_VRING_BASE);
	message.header.size = sizeof(message.payload.state);
	message.payload.state.index = QUEUES;
	rig_send(rig, &message);
	rig_expect_closed(rig);
	rig_free(rig);
}

static void a_size_is_a_power_of_two_up_to_the_largest(void **state)
{
	static const uint32_t wrong[] = {
		0,
		3,
		5,
		15,
		1023,
		VRING_NUM_MAX - 1,
		VRING_NUM_MAX + 1,
		32767,
		32769,
		65535,
		65536,
		65537,
		2 * VRING_NUM_MAX,
		VRING_NUM_MAX + 0x10000,
		1u << 24,
		1u << 31,
		UINT32_MAX,
	};
	struct rig *rig = open_rig(&(struct rig_config){ 0 });

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_NUM, 0, wrong[i]), 0);
	for (uint32_t num = 1; num <= VRING_NUM_MAX; num *= 2) {
		assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_NUM, 0, num), 0);
		rig_ring_start(rig, 0,
		               &(struct rig_ring_config){ .num = (uint16_t)num, .gpa = RING });
		do_request(rig);
		do_request(rig);
		assert_int_equal(rig_ring_stop(rig, 0), 2);
	}
	rig_free(rig);
}

static void what_is_set_for_a_stopped_ring_only_is_refused_for_a_running_one(void **state)
{
	struct rig *rig = open_rig(*state);

	rig_ring_start(rig, 0, &plain);
	do_request(rig);
	assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_NUM, 0, NUM), 0);
	assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, 0, 0), 0);
	/* the other ring is stopped */
	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_NUM, 1, NUM), 0);
	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, 1, 7), 0);
	do_request(rig);
	assert_int_equal(rig_ring_stop(rig, 0), 2);
	rig_free(rig);
}

static void the_base_comes_back(void **state)
{
	struct rig *rig = open_rig(*state);

	assert_int_equal(rig_get_vring_base(rig, 0), 0);
	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, 0, 65535), 0);
	assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, 0, 65536), 0);
	assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, 0, UINT32_MAX), 0);
	assert_int_equal(rig_get_vring_base(rig, 0), 65535);
	assert_int_equal(rig_get_vring_base(rig, 0), 65535);
	assert_int_equal(rig_get_vring_base(rig, 1), 0);
	rig_free(rig);
}

static void indices_go_on_from_any_base_and_wrap(void **state)
{
	static const uint16_t bases[] = { 0, 1, NUM, 32767, 65534, 65535 };
	struct rig *rig = open_rig(*state);

	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
		struct rig_ring_config config = plain;
		struct raw_ring ring;

		config.base = bases[i];
		raw_ring_start(&ring, rig, 0, &config);
		raw_ring_desc(&ring, 3, (struct ring_desc){ DATA, 8, DESC_WRITE, 0 });
		for (uint16_t n = 1; n <= 4; n++) {
			uint16_t used = (uint16_t)(bases[i] + n);

			raw_ring_show(&ring, 3);
			raw_ring_kick(&ring);
			raw_ring_wait(&ring, used);
			assert_int_equal(raw_ring_elem(&ring, (uint16_t)(used - 1)).id, 3);
			assert_int_equal(raw_ring_elem(&ring, (uint16_t)(used - 1)).len, 8);
		}
		assert_int_equal(rig_ring_stop(rig, 0), (uint16_t)(bases[i] + 4));
	}
	rig_free(rig);
}

static uint64_t set_addresses(struct rig *rig, const struct vhu_vring_addr *addr)
{
	struct message message;

	message_init(&message, VHU_FE_SET_VRING_ADDR);
	message.header.size = sizeof(message.payload.addr);
	message.payload.addr = *addr;
	return rig_call(rig, &message);
}

/* Refused by the message that would start the ring; when they are put right, it runs. */
static void misaligned_or_wrapping_addresses_are_refused(void **state)
{
	static const struct vhu_vring_addr wrong[] = {
		{ .desc = 8 },      { .avail = 1 },     { .used = 2 },
		{ .desc = -16ull }, { .avail = -2ull }, { .used = -4ull },
	};
	struct rig_ring_config disabled = plain;
	struct rig *rig = open_rig(*state);

	disabled.disabled = true;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		rig_ring_start(rig, 0, &disabled);
		assert_int_equal(set_addresses(rig, &wrong[i]), 0);
		assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_ENABLE, 0, 1), 0);
		assert_int_equal(rig_set_vring_addr(rig, 0, &plain), 0);
		do_request(rig);
		assert_int_not_equal(set_addresses(rig, &wrong[i]), 0);
		assert_int_equal(rig_set_vring_addr(rig, 0, &plain), 0);
		do_request(rig);
		rig_ring_stop(rig, 0);
	}
	rig_free(rig);
}

static void addresses_outside_of_memory_halt_the_ring(void **state)
{
	struct rig *rig = open_rig(*state);
	uint64_t user = rig_user_address(rig, 0);
	struct rig_ring_config disabled = plain;

	disabled.disabled = true;
	rig_ring_start(rig, 0, &disabled);
	assert_int_equal(set_addresses(rig,
	                               &(struct vhu_vring_addr){
					       .desc = user + rig->memory_size - 16,
					       .avail = user,
					       .used = user + 4096,
				       }),
	                 0);
	rig_ring_enable(rig, 0, true);
	rig_expect_ring_error(rig, 0);
	rig_expect_unused(rig, 0);
	assert_int_equal(rig_set_vring_addr(rig, 0, &plain), 0);
	do_request(rig);
	rig_free(rig);
}

static void a_ring_may_move_while_nothing_is_issued(void **state)
{
	struct rig *rig = open_rig(*state);
	uint64_t size = rig_ring_bytes(&plain);
	struct rig_ring_config moved = plain;
	struct raw_ring ring;

	moved.gpa = RING + 0x40000;
	raw_ring_start(&ring, rig, 0, &plain);
	raw_ring_desc(&ring, 0, (struct ring_desc){ DATA, 8, DESC_WRITE, 0 });
	rig_hold(rig);
	raw_ring_show(&ring, 0);
	raw_ring_kick(&ring);
	rig_wait_submitted(rig, 1);
	assert_int_not_equal(rig_set_vring_addr(rig, 0, &moved), 0);
	rig_release(rig);
	raw_ring_wait(&ring, 1);
	memcpy(rig_ptr(rig, moved.gpa, size), rig_ptr(rig, RING, size), size);
	assert_int_equal(rig_set_vring_addr(rig, 0, &moved), 0);
	memset(rig_ptr(rig, RING, size), 0xff, size);
	raw_ring_at(&ring, &moved);
	raw_ring_show(&ring, 0);
	raw_ring_kick(&ring);
	raw_ring_wait(&ring, 2);
	assert_int_equal(rig_ring_stop(rig, 0), 2);
	rig_free(rig);
}

static void a_ring_rests_while_it_is_disabled(void **state)
{
	struct rig *rig = open_rig(*state);
	uint32_t written;

	rig_ring_start(rig, 0, &plain);
	for (unsigned i = 0; i < 3; i++) {
		rig_ring_enable(rig, 0, false);
		add(rig);
		rig_expect_unused(rig, 0);
		/* The kick that came meanwhile is not lost. */
		rig_ring_enable(rig, 0, true);
		rig_wait_used(rig, 0, &written);
		rig_ring_enable(rig, 0, true);
		do_request(rig);
	}
	assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_ENABLE, 0, 2), 0);
	assert_int_not_equal(rig_set_state(rig, VHU_FE_SET_VRING_ENABLE, 0, UINT32_MAX), 0);
	do_request(rig);
	rig_free(rig);
}

/* What was issued before is finished all the same. */
static void disabling_waits_for_nothing(void **state)
{
	struct rig *rig = open_rig(*state);
	uint32_t written;

	rig_ring_start(rig, 0, &plain);
	rig_hold(rig);
	add(rig);
	rig_wait_submitted(rig, 1);
	rig_ring_enable(rig, 0, false);
	rig_release(rig);
	rig_wait_used(rig, 0, &written);
	assert_int_equal(written, 16);
	rig_free(rig);
}

static void a_ring_can_be_stopped_and_started_again(void **state)
{
	struct rig *rig = open_rig(*state);

	for (unsigned i = 0; i < 5; i++) {
		rig_ring_start(rig, i % 2, &plain);
		rig_ring_stop(rig, i % 2);
	}
	rig_ring_start(rig, 0, &plain);
	do_request(rig);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST_BOTH(NUM_ADDR_CALL_KICK_and_ENABLE_may_come_in_any_order),
		cmocka_unit_test(a_ring_that_is_not_there_is_refused),
		cmocka_unit_test(the_base_of_a_ring_that_is_not_there_ends_the_session),
		cmocka_unit_test(a_size_is_a_power_of_two_up_to_the_largest),
		RIG_TEST_BOTH(what_is_set_for_a_stopped_ring_only_is_refused_for_a_running_one),
		RIG_TEST_BOTH(the_base_comes_back),
		RIG_TEST_BOTH(indices_go_on_from_any_base_and_wrap),
		RIG_TEST_BOTH(misaligned_or_wrapping_addresses_are_refused),
		RIG_TEST_BOTH(addresses_outside_of_memory_halt_the_ring),
		RIG_TEST_BOTH(a_ring_may_move_while_nothing_is_issued),
		RIG_TEST_BOTH(a_ring_rests_while_it_is_disabled),
		RIG_TEST_BOTH(disabling_waits_for_nothing),
		RIG_TEST_BOTH(a_ring_can_be_stopped_and_started_again),
	};

	return cmocka_run_group_tests_name("session/msg_vring", tests, NULL, NULL);
}
