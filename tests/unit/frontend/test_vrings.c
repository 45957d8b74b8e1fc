/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings, and regions, that are handed over together. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/fd.h"
#include "support/census.h"
#include "support/fake.h"

#define RINGS 4u /* of fake.c */

static struct vhu_vring_setup setups[RINGS];

static void make_setups(void)
{
	for (unsigned i = 0; i < RINGS; i++)
		setups[i] = (struct vhu_vring_setup){
			.num = (uint16_t)(8u << i),
			.base = (uint16_t)i,
			.desc = 0x1000 + i,
			.avail = 0x2000,
			.used = 0x3000,
			.kick_fd = eventfd(0, EFD_CLOEXEC),
			.call_fd = eventfd(0, EFD_CLOEXEC),
			.err_fd = eventfd(0, EFD_CLOEXEC),
		};
}

static void close_setups(void)
{
	for (unsigned i = 0; i < RINGS; i++) {
		fd_close(&setups[i].kick_fd);
		fd_close(&setups[i].call_fd);
		fd_close(&setups[i].err_fd);
	}
}

/* The rest of a step comes without any reply having been given; then all are. */
static int expect_together(struct fake *fake, const struct message *request, unsigned n)
{
	struct message messages[24];

	MUST(n <= ARRAY_SIZE(messages));
	messages[0] = *request;
	for (unsigned i = 1; i < n; i++) {
		MUST(!peer_recv(fake->main, &messages[i], PEER_PATIENCE));
		message_close_fds(&messages[i]);
	}
	for (unsigned i = 0; i < n; i++)
		MUST(!peer_reply_u64(fake->main, &messages[i], 0));
	return 0;
}

/* NUM, BASE, ADDR, CALL and ERR of each; the kicks are a step of their own. */
static int setting_together(struct fake *fake, const struct message *request)
{
	return expect_together(fake, request, 5 * RINGS);
}

static int enabling_together(struct fake *fake, const struct message *request)
{
	return expect_together(fake, request, RINGS);
}

static int stopping_together(struct fake *fake, const struct message *request)
{
	struct message messages[RINGS];

	messages[0] = *request;
	for (unsigned i = 1; i < RINGS; i++)
		MUST(!peer_recv(fake->main, &messages[i], PEER_PATIENCE));
	for (unsigned i = 0; i < RINGS; i++) {
		const struct vhu_vring_state state = { i, 100 + i };

		MUST(!peer_reply(fake->main, &messages[i], &state, sizeof(state)));
	}
	return 0;
}

static void rings_start_work_and_stop_together(void **state)
{
	struct fake *fake = fake_ready(&fake_full, 0);
	uint16_t bases[RINGS];

	make_setups();
	fake_set_script(fake, VHU_FE_SET_VRING_NUM, setting_together);
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 0, setups, RINGS), 0);
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], RINGS);
	fake_set_script(fake, VHU_FE_SET_VRING_ENABLE, enabling_together);
	assert_int_equal(vhu_frontend_vrings_enable(fake->frontend, 0, RINGS, true), 0);
	fake_set_script(fake, VHU_FE_GET_VRING_BASE, stopping_together);
	assert_int_equal(vhu_frontend_vrings_stop(fake->frontend, 0, RINGS, bases), 0);
	for (unsigned i = 0; i < RINGS; i++)
		assert_int_equal(bases[i], 100 + i);
	fake_free(fake);
	close_setups();
}

static int refuse(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 1));
	return 0;
}

static void no_ring_is_kicked_where_one_was_refused(void **state)
{
	static const uint32_t refused[] = { VHU_FE_SET_VRING_NUM, VHU_FE_SET_VRING_BASE,
		                            VHU_FE_SET_VRING_ADDR, VHU_FE_SET_VRING_CALL,
		                            VHU_FE_SET_VRING_ERR };
	struct census before;

	make_setups();
	fake_free(fake_ready(&fake_full, 0));
	before = census_take();
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		struct fake *fake = fake_ready(&fake_full, 0);
		uint8_t status;

		fake_set_script(fake, refused[i], refuse);
		assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 0, setups, RINGS),
		                 -EREMOTEIO);
		assert_non_null(strstr(vhu_frontend_error(fake->frontend),
		                       message_name(MESSAGE_MAIN, refused[i])));
		assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], 0);
		/* All replies were taken. */
		assert_int_equal(vhu_frontend_get_status(fake->frontend, &status), 0);
		fake_free(fake);
		census_check(before);
	}
	close_setups();
}

static void wrong_rings_are_refused_here(void **state)
{
	struct fake *fake = fake_ready(&fake_full, 0);
	uint16_t bases[RINGS];

	make_setups();
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 1, setups, RINGS), -EINVAL);
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, UINT32_MAX, setups, 2), -EINVAL);
	assert_int_equal(vhu_frontend_vrings_enable(fake->frontend, 0, RINGS + 1, true), -EINVAL);
	assert_int_equal(vhu_frontend_vrings_stop(fake->frontend, 2, 3, bases), -EINVAL);
	fd_close(&setups[2].kick_fd);
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 0, setups, RINGS), -EINVAL);
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_NUM], 0);
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 0, setups, 0), 0);
	fake_free(fake);
	close_setups();
}

static void a_ring_is_started_once(void **state)
{
	struct vhu_vq_config config = { .index = 1, .num = 8 };
	struct fake *fake = fake_ready(&fake_full, 0);
	struct vhu_vq *vq, *other;

	make_setups();
	config.mem = aligned_alloc(4096, vhu_vq_bytes(config.num, 0));
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 0, setups, 2), 0);
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 1, setups, 2), -EBUSY);
	assert_non_null(strstr(vhu_frontend_error(fake->frontend), "ring 1"));
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], 2);
	assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), -EBUSY);
	assert_int_equal(vhu_frontend_vring_stop(fake->frontend, 1, NULL), 0);
	assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), 0);
	assert_int_equal(vhu_vq_restart(vq), -EBUSY);
	/* Who comes too late does no harm to who was there. */
	assert_int_equal(vhu_vq_start(fake->frontend, &config, &other), -EBUSY);
	assert_int_equal(fake_reconnect(fake, &fake_full), 0);
	assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], 2);
	assert_int_equal(vhu_vq_stop(vq), 0);
	assert_int_equal(vhu_vq_start(fake->frontend, &config, &other), -EBUSY);
	assert_int_equal(vhu_vq_restart(vq), 0);
	assert_int_equal(vhu_frontend_reset_device(fake->frontend), 0);
	assert_int_equal(vhu_vq_restart(vq), 0);
	vhu_vq_free(vq);
	assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), 0);
	vhu_vq_free(vq);
	fake_free(fake);
	free(config.mem);
	close_setups();
}

/* Its memory is the caller's again, whatever the last step but one has begun. */
static void a_queue_that_starts_in_part_is_taken_back(void **state)
{
	static const uint32_t steps[] = { VHU_FE_SET_VRING_NUM, VHU_FE_SET_VRING_KICK,
		                          VHU_FE_SET_VRING_ENABLE, VHU_FE_SET_STATUS };
	struct vhu_vq_config config = { .num = 8 };

	config.mem = aligned_alloc(4096, vhu_vq_bytes(config.num, 0));
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		struct fake *fake = fake_ready(&fake_full, 0);
		const char *name = message_name(MESSAGE_MAIN, steps[i]);
		struct vhu_vq *vq;

		fake_set_script(fake, steps[i], refuse);
		assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), -EREMOTEIO);
		assert_int_equal(fake->kinds[VHU_FE_GET_VRING_BASE], i > 0);
		assert_non_null(strstr(vhu_frontend_error(fake->frontend), name));
		assert_int_equal(vhu_vq_start(fake->frontend, &config, &vq), 0);
		vhu_vq_free(vq);
		fake_free(fake);
	}
	free(config.mem);
}

static int no_index(struct fake *fake, const struct message *request)
{
	const struct vhu_vring_state state = { 0, 0x10000 };

	MUST(!peer_reply(fake->main, request, &state, sizeof(state)));
	return 0;
}

static void what_is_no_index_is_not_one(void **state)
{
	struct fake *fake = fake_ready(&fake_full, 0);
	uint16_t base = 7;

	fake_set_script(fake, VHU_FE_GET_VRING_BASE, no_index);
	assert_int_equal(vhu_frontend_vring_stop(fake->frontend, 0, &base), -EREMOTEIO);
	assert_int_equal(base, 7);
	assert_non_null(strstr(vhu_frontend_error(fake->frontend), "GET_VRING_BASE"));
	fake_free(fake);
}

/* Nine are more than go in one exchange. */
static void rings_are_stopped_though_one_has_no_index(void **state)
{
	enum { RINGS_STOPPED = 9 };
	struct fake_config config = fake_full;
	uint16_t bases[RINGS_STOPPED];
	struct fake *fake;

	config.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_MQ);
	fake = fake_ready(&config, 0);
	fake_set_script(fake, VHU_FE_GET_VRING_BASE, no_index);
	assert_int_equal(vhu_frontend_vrings_stop(fake->frontend, 0, RINGS_STOPPED, bases),
	                 -EREMOTEIO);
	assert_int_equal(fake->kinds[VHU_FE_GET_VRING_BASE], RINGS_STOPPED);
	fake_free(fake);
}

static _Atomic bool go_on;

#define HOARD      1200u
#define MANY       32u
#define UNANSWERED 930u /* as many as mappings may cause, nearly */

/* Takes whatever comes and replies to all of it, in the end. */
static int hoard(struct fake *fake, const struct message *request)
{
	static struct vhu_header headers[HOARD];
	struct message message;
	unsigned n = 1;

	headers[0] = request->header;
	for (unsigned ms = 0; ms < PEER_PATIENCE && n < HOARD; ms += PEER_QUIET) {
		while (n < HOARD && !peer_recv(fake->main, &message, PEER_QUIET)) {
			message_close_fds(&message);
			headers[n++] = message.header;
		}
		if (atomic_load(&go_on) && n > UNANSWERED)
			break;
	}
	MUST(n > UNANSWERED);
	for (unsigned i = 0; i < n; i++) {
		message.header = headers[i];
		MUST(!peer_reply_u64(fake->main, &message, 0));
	}
	return 0;
}

static void *let_go_on(void *opaque)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000000 }, NULL);
	atomic_store(&go_on, true);
	return NULL;
}

/* As much is unanswered as mappings may cause; rings are started all the same. */
static void many_rings_start_behind_many_updates(void **state)
{
	const struct vhu_iommu_config pushing = { .policy = VHU_IOMMU_PUSH };
	struct fake_config config = fake_full;
	struct vhu_vring_setup many[MANY];
	struct vhu_frontend_stats stats = { 0 };
	struct fake *fake;
	pthread_t thread;

	make_setups();
	atomic_store(&go_on, false);
	assert_int_equal(vhu_iommu_new(&pushing, &config.iommu), 0);
	config.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_MQ);
	config.request = VHU_FE_IOTLB_MSG;
	config.script = hoard;
	fake = fake_ready(&config, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
	for (unsigned i = 0; i < MANY; i++)
		many[i] = setups[0];
	assert_int_equal(vhu_frontend_vring_start(fake->frontend, MANY, &many[0]), 0);
	/* What there is no room for in the socket is not pushed. */
	for (uint64_t i = 0; stats.updates < UNANSWERED; i++) {
		assert_true(i < 100 * UNANSWERED);
		assert_int_equal(vhu_iommu_map(config.iommu, 0x2000 * i, 0x1000, 0x7000000, 3), 0);
		assert_int_equal(vhu_frontend_run(fake->frontend, i > UNANSWERED), 0);
		vhu_frontend_stats(fake->frontend, &stats);
	}
	assert_int_equal(pthread_create(&thread, NULL, let_go_on, NULL), 0);
	assert_int_equal(vhu_frontend_vrings_start(fake->frontend, 0, many, MANY), 0);
	assert_int_equal(vhu_frontend_vrings_enable(fake->frontend, 0, MANY, true), 0);
	pthread_join(thread, NULL);
	fake_free(fake);
	vhu_iommu_free(config.iommu);
	close_setups();
}

/* The second of three; the others stay, and may be removed. */
static _Atomic unsigned regions_seen;

static int refuse_second(struct fake *fake, const struct message *request)
{
	struct message messages[3];

	messages[0] = *request;
	for (unsigned i = 1; i < 3; i++) {
		MUST(!peer_recv(fake->main, &messages[i], PEER_PATIENCE));
		MUST(messages[i].n_fds == 1);
		message_close_fds(&messages[i]);
	}
	atomic_store(&regions_seen, 3);
	for (unsigned i = 0; i < 3; i++)
		MUST(!peer_reply_u64(fake->main, &messages[i], i == 1));
	return 0;
}

static void regions_are_shared_together_and_one_may_be_refused(void **state)
{
	const uint64_t sizes[] = { 0x1000, 0x1000, 0x1000 };
	struct fake *fake = fake_ready(&fake_full, 0);
	const struct vhu_region *regions;
	struct vhu_guestmem *mem;
	unsigned n;

	assert_int_equal(vhu_guestmem_new(sizes, 3, &mem), 0);
	regions = vhu_guestmem_regions(mem, &n);
	fake_set_script(fake, VHU_FE_ADD_MEM_REG, refuse_second);
	assert_int_equal(vhu_frontend_add_memory(fake->frontend, regions, n), -EREMOTEIO);
	assert_int_equal(atomic_load(&regions_seen), 3);
	assert_int_equal(vhu_frontend_remove_memory(fake->frontend, &regions[1]), -ENOENT);
	assert_int_equal(vhu_frontend_remove_memory(fake->frontend, &regions[0]), 0);
	assert_int_equal(vhu_frontend_remove_memory(fake->frontend, &regions[2]), 0);
	fake_free(fake);
	vhu_guestmem_free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rings_start_work_and_stop_together),
		cmocka_unit_test(no_ring_is_kicked_where_one_was_refused),
		cmocka_unit_test(wrong_rings_are_refused_here),
		cmocka_unit_test(a_ring_is_started_once),
		cmocka_unit_test(a_queue_that_starts_in_part_is_taken_back),
		cmocka_unit_test(what_is_no_index_is_not_one),
		cmocka_unit_test(rings_are_stopped_though_one_has_no_index),
		cmocka_unit_test(many_rings_start_behind_many_updates),
		cmocka_unit_test(regions_are_shared_together_and_one_may_be_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
