/* SPDX-License-Identifier: BSD-3-Clause */
/* Who tells a back-end that the driver is ready, when, and who does not. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdalign.h>

#include "support/fake.h"

#define BEGUN (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define READY (BEGUN | VIRTIO_CONFIG_S_DRIVER_OK)
#define NUM   8

static alignas(4096) char memory[2][8192];

static struct vhu_vq *start(struct fake *fake, unsigned index)
{
	const struct vhu_vq_config config = { .index = index, .num = NUM, .mem = memory[index] };
	struct vhu_vq *vq;

	assert_true(vhu_vq_bytes(NUM, 0) <= sizeof(memory[index]));
	assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), 0);
	return vq;
}

static void expect(struct fake *fake, unsigned times, uint64_t status)
{
	assert_int_equal(fake->kinds[VHU_FE_SET_STATUS], times);
	assert_int_equal(fake->last[VHU_FE_SET_STATUS].payload.u64, status);
}

/* The ring runs by then. */
static int after_the_ring(struct fake *fake, const struct message *request)
{
	MUST(fake->kinds[VHU_FE_SET_VRING_KICK] == 1);
	MUST(fake->kinds[VHU_FE_SET_VRING_ENABLE] == 1);
	return peer_reply_u64(fake->main, request, 0);
}

static void the_first_queue_says_that_the_driver_is_ready(void **state)
{
	struct fake_config config = fake_full;
	struct vhu_vq *vqs[2];
	struct fake *fake;

	config.request = VHU_FE_SET_STATUS;
	config.script = after_the_ring;
	fake = fake_ready(&config, 0);
	vqs[0] = start(fake, 0);
	expect(fake, 1, READY);
	vqs[1] = start(fake, 1);
	expect(fake, 1, READY);
	/* A stop of one queue changes nothing, a reset does. */
	assert_int_equal(vhu_vq_stop(vqs[0]), 0);
	assert_int_equal(vhu_vq_restart(vqs[0]), 0);
	expect(fake, 1, READY);
	assert_int_equal(vhu_vq_stop(vqs[0]), 0);
	assert_int_equal(vhu_vq_stop(vqs[1]), 0);
	assert_int_equal(vhu_frontend_reset_device(fake->frontend), 0);
	assert_int_equal(vhu_vq_restart(vqs[0]), 0);
	expect(fake, 2, READY);
	assert_int_equal(vhu_vq_stop(vqs[0]), 0);
	assert_int_equal(vhu_frontend_set_status(fake->frontend, 0), 0);
	assert_int_equal(vhu_vq_restart(vqs[1]), 0);
	expect(fake, 4, READY);
	vhu_vq_free(vqs[0]);
	vhu_vq_free(vqs[1]);
	fake_free(fake);
}

static void who_sets_a_status_is_left_to_it(void **state)
{
	struct fake *fake = fake_ready(&fake_full, 0);
	struct vhu_vq *vq;

	assert_int_equal(vhu_frontend_set_status(fake->frontend, BEGUN), 0);
	vq = start(fake, 0);
	expect(fake, 1, BEGUN);
	vhu_vq_free(vq);
	fake_free(fake);
}

/* There the guest is the driver. */
static void rings_that_are_handed_over_say_nothing(void **state)
{
	struct fake *fake = fake_ready(&fake_full, 0);
	const struct vhu_vring_setup setup = {
		.num = NUM, .kick_fd = 0, .call_fd = -1, .err_fd = -1
	};

	assert_int_equal(vhu_frontend_vring_start(fake->frontend, 0, &setup), 0);
	assert_int_equal(vhu_frontend_vring_enable(fake->frontend, 0, true), 0);
	expect(fake, 0, 0);
	fake_free(fake);
}

static void where_there_is_no_status_none_is_set(void **state)
{
	struct fake_config config = fake_full;
	struct vhu_vq *vq;
	struct fake *fake;

	config.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_STATUS);
	fake = fake_ready(&config, 0);
	vq = start(fake, 0);
	expect(fake, 0, 0);
	vhu_vq_free(vq);
	fake_free(fake);
}

/* After the rings, as the first time. */
static void a_back_end_that_takes_over_is_told(void **state)
{
	struct fake_config config = fake_full;
	struct fake *fake = fake_ready(&config, 0);
	struct vhu_vq *vq = start(fake, 0);

	config.request = VHU_FE_SET_STATUS;
	config.script = after_the_ring;
	assert_int_equal(fake_reconnect(fake, &config), 0);
	expect(fake, 1, READY);
	vhu_vq_free(vq);
	fake_free(fake);
}

static int refuse(struct fake *fake, const struct message *request)
{
	return peer_reply_u64(fake->main, request, 1);
}

static void a_queue_whose_driver_is_not_wanted_does_not_start(void **state)
{
	const struct vhu_vq_config queue = { .num = NUM, .mem = memory[0] };
	struct fake_config config = fake_full;
	struct fake *fake;
	struct vhu_vq *vq;

	config.request = VHU_FE_SET_STATUS;
	config.script = refuse;
	fake = fake_ready(&config, 0);
	assert_int_equal(vhu_vq_start(fake->frontend, &queue, &vq), -EREMOTEIO);
	fake_free(fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_queue_says_that_the_driver_is_ready),
		cmocka_unit_test(who_sets_a_status_is_left_to_it),
		cmocka_unit_test(rings_that_are_handed_over_say_nothing),
		cmocka_unit_test(where_there_is_no_status_none_is_set),
		cmocka_unit_test(a_back_end_that_takes_over_is_told),
		cmocka_unit_test(a_queue_whose_driver_is_not_wanted_does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
