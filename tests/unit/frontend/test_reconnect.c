/* SPDX-License-Identifier: BSD-3-Clause */
/* One back-end after another, message by message; see tests/frontend for real ones. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/census.h"
#include "support/fake.h"
#include "transport/socket.h"
#include "vring/layout.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define NUM      8u
#define IOVA     UINT64_C(0x10000)

struct fixture {
	struct fake_config config;
	struct fake *fake;
	struct vhu_iommu *iommu;
	struct vhu_guestmem *mem;
	struct vhu_vq *vq;
	int kick;
	uint16_t used[2]; /* flags and index of ring 2 */
	unsigned lost;
};

static void count(void *opaque)
{
	++*(unsigned *)opaque;
}

/* Queue 1 is ours; ring 2 is the user's own business, and not enabled. */
static void start_rings(struct fixture *f)
{
	const struct vhu_vq_config config = { .index = 1,
		                              .num = NUM,
		                              .mem = vhu_guestmem_ptr(f->mem, 0, 4096),
		                              .addr = IOVA,
		                              .buffer_addr = IOVA };
	const struct vhu_vring_setup setup = {
		.num = 16,
		.base = 5,
		.desc = 0x1000,
		.avail = 0x2000,
		.used = 0x3000,
		.kick_fd = f->kick,
		.call_fd = -1,
		.err_fd = -1,
		.used_ptr = f->used,
	};

	assert_int_equal(vhu_vq_start(f->fake->frontend, &config, &f->vq), 0);
	assert_int_equal(vhu_frontend_vring_start(f->fake->frontend, 2, &setup), 0);
}

static void set_up(struct fixture *f, uint64_t protocol_without)
{
	const uint64_t sizes[] = { 0x10000, 0x10000 };
	const struct vhu_region *regions;
	unsigned n;

	memset(f, 0, sizeof(*f));
	f->config = fake_full;
	f->config.protocol_features &= ~protocol_without;
	f->config.lost = count;
	f->config.opaque = &f->lost;
	f->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(f->kick >= 0);
	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &f->iommu), 0);
	assert_int_equal(vhu_guestmem_new(sizes, 2, &f->mem), 0);
	f->config.iommu = f->iommu;
	f->fake = fake_ready(&f->config, PLATFORM);
	regions = vhu_guestmem_regions(f->mem, &n);
	assert_int_equal(vhu_frontend_add_memory(f->fake->frontend, regions, n), 0);
	if (!protocol_without)
		assert_int_equal(vhu_frontend_set_status(f->fake->frontend, 0xb), 0);
	start_rings(f);
}

static void tear_down(struct fixture *f)
{
	vhu_vq_free(f->vq);
	fake_free(f->fake);
	vhu_iommu_free(f->iommu);
	vhu_guestmem_free(f->mem);
	fd_close(&f->kick);
}

/* A sanitizer starts a thread of its own with the first, which no census should count. */
static int begin(void **state)
{
	fake_free(fake_new(&fake_full));
	return 0;
}

static void E5_everything_is_told_once_more(void **state)
{
	static const uint64_t without[] = { 0, VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |
		                                       VHU_BIT(VHU_PROTOCOL_F_STATUS) };

	for (unsigned i = 0; i < ARRAY_SIZE(without); i++) {
		struct census before = census_take();
		struct vhu_frontend_stats stats;
		struct fixture f;
		struct fake *fake;

		set_up(&f, without[i]);
		fake = f.fake;
		f.used[1] = 9;
		assert_int_equal(fake_reconnect(fake, &f.config), 0);
		assert_int_equal(fake->kinds[VHU_FE_GET_FEATURES], 1);
		assert_int_equal(fake->kinds[VHU_FE_SET_OWNER], 1);
		assert_int_equal(fake->kinds[VHU_FE_SET_BACKEND_REQ_FD], 1);
		assert_int_equal(fake->last[VHU_FE_SET_FEATURES].payload.u64,
		                 PLATFORM | VHU_BIT(VHU_F_PROTOCOL_FEATURES));
		assert_int_equal(fake->kinds[VHU_FE_ADD_MEM_REG], i ? 0 : 2);
		assert_int_equal(fake->kinds[VHU_FE_SET_MEM_TABLE], i ? 1 : 0);
		if (!i)
			assert_int_equal(fake->last[VHU_FE_SET_STATUS].payload.u64, 0xb);
		assert_int_equal(fake->kinds[VHU_FE_SET_VRING_KICK], 2);
		/* The user's ring goes on where the device has left it, and is the last. */
		assert_int_equal(fake->last[VHU_FE_SET_VRING_BASE].payload.state.index, 2);
		assert_int_equal(fake->last[VHU_FE_SET_VRING_BASE].payload.state.num, 9);
		assert_int_equal(fake->last[VHU_FE_SET_VRING_NUM].payload.state.num, 16);
		assert_int_equal(fake->last[VHU_FE_SET_VRING_ADDR].payload.addr.used, 0x3000);
		assert_int_equal(fake->last[VHU_FE_SET_VRING_CALL].payload.u64, 2 | VHU_VRING_NOFD);
		assert_int_equal(fake->kinds[VHU_FE_SET_VRING_ENABLE], 1);
		assert_int_equal(fake->last[VHU_FE_SET_VRING_ENABLE].payload.state.index, 1);
		/* It may have been kicked when nobody listened. */
		assert_true(fd_drain(f.kick));
		vhu_frontend_stats(fake->frontend, &stats);
		assert_int_equal(stats.reconnects, 1);
		/* It works as before. */
		assert_int_equal(vhu_vq_stop(f.vq), 0);
		assert_int_equal(vhu_vq_restart(f.vq), 0);
		tear_down(&f);
		census_check(before);
	}
}

static void a_back_end_that_is_gone_is_noticed_and_replaced(void **state)
{
	struct fixture f;
	uint8_t status;

	set_up(&f, 0);
	for (unsigned times = 1; times <= 3; times++) {
		shutdown(f.fake->main, SHUT_RDWR);
		assert_int_equal(vhu_frontend_run(f.fake->frontend, PEER_PATIENCE), -ENOTCONN);
		assert_int_equal(f.lost, times);
		assert_int_equal(vhu_frontend_get_status(f.fake->frontend, &status), -ENOTCONN);
		assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
		assert_int_equal(vhu_frontend_get_status(f.fake->frontend, &status), 0);
		assert_int_equal(vhu_frontend_run(f.fake->frontend, 0), 0);
	}
	tear_down(&f);
}

/* One that is replaced while it works is no loss to the user. */
static void a_back_end_may_be_left(void **state)
{
	struct fixture f;

	set_up(&f, 0);
	assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	assert_int_equal(vhu_frontend_run(f.fake->frontend, 0), 0);
	assert_int_equal(f.lost, 0);
	tear_down(&f);
}

static void one_that_offers_less_will_not_do_and_the_next_may(void **state)
{
	struct census before = census_take();
	struct fake_config config;
	struct fixture f;
	uint8_t status;

	set_up(&f, 0);
	config = f.config;
	config.features &= ~PLATFORM;
	config.careless = true;
	assert_int_equal(fake_reconnect(f.fake, &config), -EOPNOTSUPP);
	assert_int_equal(vhu_frontend_get_status(f.fake->frontend, &status), -ENOTCONN);
	assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "ACCESS_PLATFORM"));
	config = f.config;
	config.slots = 1;
	config.careless = true;
	assert_int_equal(fake_reconnect(f.fake, &config), -EOPNOTSUPP);
	assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "memory"));
	config = f.config;
	config.queues = 2;
	config.careless = true;
	assert_int_equal(fake_reconnect(f.fake, &config), -EOPNOTSUPP);
	assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "ring 2"));
	assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_NUM], 0);
	assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	assert_int_equal(f.fake->last[VHU_FE_SET_FEATURES].payload.u64,
	                 PLATFORM | VHU_BIT(VHU_F_PROTOCOL_FEATURES));
	assert_int_equal(vhu_frontend_get_status(f.fake->frontend, &status), 0);
	tear_down(&f);
	census_check(before);
}

/* Slots are what the first had; a table has room for fewer. */
static void more_regions_than_a_table_has_need_slots(void **state)
{
	struct vhu_region regions[VHU_MEMORY_REGIONS_MAX];
	struct fake_config config;
	struct fixture f;
	unsigned n;

	set_up(&f, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(regions); i++) {
		regions[i] = vhu_guestmem_regions(f.mem, &n)[0];
		regions[i].gpa += (i + 1) << 20;
		regions[i].uva += (uint64_t)(i + 1) << 32;
	}
	assert_int_equal(vhu_frontend_add_memory(f.fake->frontend, regions, ARRAY_SIZE(regions)),
	                 0);
	config = f.config;
	config.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	config.careless = true;
	assert_int_equal(fake_reconnect(f.fake, &config), -EOPNOTSUPP);
	assert_int_equal(f.fake->kinds[VHU_FE_SET_MEM_TABLE], 0);
	assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_ADD_MEM_REG], n + ARRAY_SIZE(regions));
	tear_down(&f);
}

static int refuse(struct fake *fake, const struct message *request)
{
	return peer_reply_u64(fake->main, request, 1);
}

static void what_was_refused_is_not_asked_for_again(void **state)
{
	struct fixture f;

	set_up(&f, 0);
	fake_set_script(f.fake, VHU_FE_SET_VRING_ENABLE, refuse);
	assert_int_equal(vhu_frontend_vring_enable(f.fake->frontend, 2, true), -EREMOTEIO);
	fake_set_script(f.fake, VHU_FE_SET_STATUS, refuse);
	assert_int_equal(vhu_frontend_set_status(f.fake->frontend, 0x7f), -EREMOTEIO);
	assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_ENABLE], 1);
	assert_int_equal(f.fake->last[VHU_FE_SET_STATUS].payload.u64, 0xb);
	tear_down(&f);
}

static void a_ring_that_is_only_enabled_is_no_obstacle(void **state)
{
	struct fake_config config;
	struct fixture f;

	set_up(&f, 0);
	assert_int_equal(vhu_frontend_vring_enable(f.fake->frontend, 3, true), 0);
	config = f.config;
	config.queues = 3;
	assert_int_equal(fake_reconnect(f.fake, &config), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_ENABLE], 1);
	assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_ENABLE], 2);
	tear_down(&f);
}

/* A machine goes on, and may be reset, while there is no back-end. */
static void what_is_taken_back_from_the_dead_is_not_the_next_ones(void **state)
{
	struct census before = census_take();
	const struct vhu_region *regions;
	struct fixture f;
	unsigned n;

	set_up(&f, 0);
	regions = vhu_guestmem_regions(f.mem, &n);
	shutdown(f.fake->main, SHUT_RDWR);
	assert_int_equal(vhu_frontend_run(f.fake->frontend, PEER_PATIENCE), -ENOTCONN);
	assert_int_equal(vhu_frontend_vring_stop(f.fake->frontend, 2, NULL), -ENOTCONN);
	assert_int_equal(vhu_vq_stop(f.vq), -ENOTCONN);
	assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, &regions[1]), -ENOTCONN);
	assert_int_equal(vhu_frontend_remove_memory(f.fake->frontend, &regions[1]), -ENOENT);
	assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_KICK], 0);
	assert_int_equal(f.fake->kinds[VHU_FE_ADD_MEM_REG], n - 1);
	assert_int_equal(vhu_vq_restart(f.vq), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_KICK], 1);
	tear_down(&f);
	census_check(before);
}

/* Of ring 1, which is the library's to judge. */
static void a_ring_that_the_dead_made_nonsense_of_is_named(void **state)
{
	struct fake_config config;
	struct fixture f;
	uint16_t *used;

	set_up(&f, 0);
	config = f.config;
	config.careless = true;
	used = vhu_guestmem_ptr(f.mem, 4096, 4096);
	used[1] = 5;
	assert_int_equal(fake_reconnect(f.fake, &config), -EPROTO);
	assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "ring 1"));
	used[1] = 0;
	assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	tear_down(&f);
}

struct meddler {
	struct vhu_frontend *frontend;
	pthread_t thread;
	_Atomic bool over;
	unsigned others; /* results that may not be */
};

/* Whoever asks something while all is told to another. */
static void *meddle(void *opaque)
{
	struct meddler *meddler = opaque;
	uint8_t status;

	while (!atomic_load(&meddler->over)) {
		int error = vhu_frontend_get_status(meddler->frontend, &status);

		meddler->others += error && error != -ENOTCONN;
		vhu_frontend_features_offered(meddler->frontend);
		vhu_frontend_protocol_features(meddler->frontend);
		meddler->others += vhu_frontend_queues(meddler->frontend) > 4;
		vhu_frontend_run(meddler->frontend, 1);
	}
	return NULL;
}

static _Atomic unsigned intrusions;

/* Told the next one before it has been told all. */
static int watch_for_intrusions(struct fake *fake, const struct message *request)
{
	if (request->header.request == VHU_FE_GET_STATUS && !fake->kinds[VHU_FE_SET_STATUS])
		atomic_fetch_add(&intrusions, 1);
	return 0;
}

static void E5_nobody_gets_between_what_is_told_once_more(void **state)
{
	struct meddler meddler = { 0 };
	struct fixture f;

	set_up(&f, 0);
	atomic_store(&intrusions, 0);
	f.config.beside = watch_for_intrusions;
	f.config.careless = f.fake->config.careless = true;
	meddler.frontend = f.fake->frontend;
	assert_int_equal(pthread_create(&meddler.thread, NULL, meddle, &meddler), 0);
	for (unsigned times = 0; times < 50; times++)
		assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
	atomic_store(&meddler.over, true);
	pthread_join(meddler.thread, NULL);
	assert_int_equal(meddler.others, 0);
	assert_int_equal(atomic_load(&intrusions), 0);
	tear_down(&f);
}

static void E5_death_at_each_message_of_a_replay_is_survived(void **state)
{
	struct census before = census_take();
	unsigned n = 1;
	int error;

	do {
		struct fake_config config;
		struct fixture f;

		set_up(&f, 0);
		config = f.config;
		config.die_at = n++;
		config.careless = true;
		error = fake_reconnect(f.fake, &config);
		if (error)
			assert_int_equal(error, -ENOTCONN);
		/* The result tells; the callback is for who did not ask. */
		assert_int_equal(f.lost, 0);
		assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
		assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_KICK], 2);
		assert_int_equal(f.fake->kinds[VHU_FE_SET_VRING_ENABLE], 1);
		tear_down(&f);
		census_check(before);
	} while (error);
	assert_true(n > 20);
}

static int miss_one(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!fake_send_miss(fake, IOVA, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, IOVA, &update));
	MUST(!peer_reply_u64(fake->main, &update, 0));
	MUST(fake_expect_back(fake, 0));
	return 0;
}

/* What the dead were given need not be taken back, and what only they had exposed is free. */
static void E5_the_dead_hold_nothing(void **state)
{
	for (unsigned exposed = 0; exposed < 2; exposed++) {
		struct fixture f;

		set_up(&f, 0);
		fake_set_script(f.fake, VHU_FE_SET_STATUS, miss_one);
		assert_int_equal(vhu_iommu_map(f.iommu, IOVA, 0x2000, 0x7000000, 3), 0);
		assert_int_equal(vhu_frontend_set_status(f.fake->frontend, 1), 0);
		fake_run(f.fake);
		shutdown(f.fake->main, SHUT_RDWR);
		assert_int_equal(vhu_frontend_run(f.fake->frontend, PEER_PATIENCE), -ENOTCONN);
		if (exposed) {
			assert_int_equal(vhu_iommu_unmap(f.iommu, IOVA, 0x2000), -ENOTCONN);
			assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
		}
		assert_int_equal(fake_reconnect(f.fake, &f.config), 0);
		assert_int_equal(vhu_iommu_exposed(f.iommu), 0);
		assert_int_equal(vhu_iommu_unmap(f.iommu, IOVA, 0x2000), 0);
		assert_int_equal(f.fake->kinds[VHU_FE_IOTLB_MSG], 0);
		tear_down(&f);
	}
}

static void wrong_sockets_change_nothing(void **state)
{
	struct census before;
	struct fixture f;
	uint8_t status;
	int fd;

	set_up(&f, 0);
	/* The fake is through with the fds of the message before this one. */
	assert_int_equal(vhu_frontend_get_status(f.fake->frontend, &status), 0);
	before = census_take();
	assert_int_equal(vhu_frontend_reconnect(f.fake->frontend, -1), -EINVAL);
	assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "no path"));
	fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(vhu_frontend_reconnect(f.fake->frontend, fd), -ENOTSOCK);
	assert_non_null(strstr(vhu_frontend_error(f.fake->frontend), "will not do"));
	assert_int_equal(vhu_frontend_get_status(f.fake->frontend, &status), 0);
	census_check(before);
	tear_down(&f);
}

/* The back-end is the one that connects; each time it is another. */
static void *connect_back(void *opaque)
{
	const char *path = opaque;
	struct message message;
	struct socket_fault why;
	const uint64_t features = 0;
	int fd;

	if (socket_connect(path, PEER_PATIENCE, &fd, &why))
		return NULL;
	if (!peer_recv(fd, &message, PEER_PATIENCE))
		peer_reply(fd, &message, &features, sizeof(features));
	peer_recv(fd, &message, PEER_PATIENCE);
	fd_close(&fd);
	return opaque;
}

static void a_listening_front_end_waits_for_its_back_end(void **state)
{
	struct vhu_frontend_config config = { .timeout_ms = 50 };
	char folder[] = "/tmp/vhu-test-XXXXXX", path[64];
	struct vhu_frontend *frontend;
	struct census before;
	pthread_t thread;
	void *fine;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	before = census_take();
	assert_int_equal(vhu_frontend_listen(&config, path, &frontend), -ETIMEDOUT);
	assert_int_not_equal(access(path, F_OK), 0);
	config.timeout_ms = PEER_PATIENCE;
	assert_int_equal(pthread_create(&thread, NULL, connect_back, path), 0);
	assert_int_equal(vhu_frontend_listen(&config, path, &frontend), 0);
	assert_int_equal(vhu_frontend_negotiate(frontend), 0);
	pthread_join(thread, &fine);
	assert_non_null(fine);
	assert_int_equal(vhu_frontend_run(frontend, PEER_PATIENCE), -ENOTCONN);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&thread, NULL, connect_back, path), 0);
		assert_int_equal(vhu_frontend_reconnect(frontend, -1), 0);
		pthread_join(thread, &fine);
		assert_non_null(fine);
	}
	vhu_frontend_free(frontend);
	assert_int_not_equal(access(path, F_OK), 0);
	census_check(before);
	rmdir(folder);
}

/* Three back-ends have connected and died before anybody looked. */
static void connections_of_the_dead_are_passed_over(void **state)
{
	struct vhu_frontend_config config = { .timeout_ms = 2 * PEER_PATIENCE };
	char folder[] = "/tmp/vhu-test-XXXXXX", path[64];
	struct vhu_frontend *frontend;
	struct socket_fault why;
	pthread_t thread;
	void *fine;
	int fd;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	assert_int_equal(pthread_create(&thread, NULL, connect_back, path), 0);
	assert_int_equal(vhu_frontend_listen(&config, path, &frontend), 0);
	assert_int_equal(vhu_frontend_negotiate(frontend), 0);
	pthread_join(thread, &fine);
	assert_int_equal(vhu_frontend_run(frontend, PEER_PATIENCE), -ENOTCONN);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(socket_connect(path, PEER_PATIENCE, &fd, &why), 0);
		fd_close(&fd);
	}
	assert_int_equal(pthread_create(&thread, NULL, connect_back, path), 0);
	assert_int_equal(vhu_frontend_reconnect(frontend, -1), 0);
	pthread_join(thread, &fine);
	assert_non_null(fine);
	vhu_frontend_free(frontend);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E5_everything_is_told_once_more),
		cmocka_unit_test(a_back_end_that_is_gone_is_noticed_and_replaced),
		cmocka_unit_test(a_back_end_may_be_left),
		cmocka_unit_test(one_that_offers_less_will_not_do_and_the_next_may),
		cmocka_unit_test(more_regions_than_a_table_has_need_slots),
		cmocka_unit_test(what_was_refused_is_not_asked_for_again),
		cmocka_unit_test(a_ring_that_is_only_enabled_is_no_obstacle),
		cmocka_unit_test(what_is_taken_back_from_the_dead_is_not_the_next_ones),
		cmocka_unit_test(a_ring_that_the_dead_made_nonsense_of_is_named),
		cmocka_unit_test(E5_nobody_gets_between_what_is_told_once_more),
		cmocka_unit_test(E5_death_at_each_message_of_a_replay_is_survived),
		cmocka_unit_test(E5_the_dead_hold_nothing),
		cmocka_unit_test(wrong_sockets_change_nothing),
		cmocka_unit_test(a_listening_front_end_waits_for_its_back_end),
		cmocka_unit_test(connections_of_the_dead_are_passed_over),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
