/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A crowd of threads in one front-end, each of which does whatever comes to its mind,
 * with signals all the time, while back-ends die and are replaced: every call ends,
 * with a result that it may have. What they race for is the sanitizer's to see.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include "base/fd.h"
#include "support/fake.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define PAGE     UINT64_C(4096)

#define CALLERS  4u
#define DEATHS   40u
#define LIFE_MS  20

struct caller {
	unsigned index; /* of its ring, region and part of the addresses */
	struct crowd *crowd;
	pthread_t thread;
	uint64_t random;
	unsigned async;
	_Atomic unsigned called_back;
};

struct crowd {
	struct fake *fake;
	struct vhu_frontend *frontend;
	struct vhu_iommu *iommu;
	struct vhu_guestmem *mem;
	int kick;
	_Atomic bool over;
	_Atomic unsigned lost, changed, calls;
	_Atomic int wrong; /* a result that may not be */
	struct caller callers[CALLERS];
};

static unsigned below(struct caller *caller, unsigned n)
{
	caller->random = caller->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(caller->random >> 33) % n;
}

/* What may come of anything that is asked. */
static void expect(struct caller *caller, int result)
{
	static const int may[] = {
		0, -ENOTCONN, -EBUSY, -ENOENT, -EEXIST, -EOPNOTSUPP, -EREMOTEIO
	};

	for (unsigned i = 0; i < ARRAY_SIZE(may); i++)
		if (result == may[i])
			return;
	atomic_store(&caller->crowd->wrong, result);
}

static void on_done(void *opaque, int error)
{
	struct caller *caller = opaque;

	atomic_fetch_add(&caller->called_back, 1);
}

static void translate(struct caller *caller)
{
	struct vhu_iommu *iommu = caller->crowd->iommu;
	const struct vhu_iova_range range = { (caller->index + 1) << 20, PAGE };

	switch (below(caller, 3)) {
	case 0: expect(caller, vhu_iommu_map(iommu, range.iova, range.size, 0x7000000, 3)); break;
	case 1: expect(caller, vhu_iommu_unmap(iommu, range.iova, range.size)); break;
	default:
		if (atomic_load(&caller->called_back) == caller->async &&
		    !vhu_iommu_unmap_async(iommu, &range, 1, on_done, caller))
			caller->async++;
	}
}

static void change_ring(struct caller *caller)
{
	struct vhu_frontend *frontend = caller->crowd->frontend;
	const struct vhu_vring_setup setup = {
		.num = 8, .kick_fd = caller->crowd->kick, .call_fd = -1, .err_fd = -1
	};
	uint16_t base;

	switch (below(caller, 4)) {
	case 0: expect(caller, vhu_frontend_vring_start(frontend, caller->index, &setup)); break;
	case 1: expect(caller, vhu_frontend_vring_stop(frontend, caller->index, &base)); break;
	default:
		expect(caller,
		       vhu_frontend_vring_enable(frontend, caller->index, below(caller, 2)));
	}
}

static void change_memory(struct caller *caller)
{
	unsigned n;
	const struct vhu_region *region = vhu_guestmem_regions(caller->crowd->mem, &n) +
	                                  caller->index;

	if (below(caller, 2))
		expect(caller, vhu_frontend_add_memory(caller->crowd->frontend, region, 1));
	else
		expect(caller, vhu_frontend_remove_memory(caller->crowd->frontend, region));
}

static void look(struct caller *caller)
{
	const struct vhu_frontend *frontend = caller->crowd->frontend;
	struct vhu_frontend_stats stats;

	vhu_frontend_stats(frontend, &stats);
	vhu_frontend_error(frontend);
	vhu_frontend_queues(frontend);
	vhu_frontend_features_offered(frontend);
	vhu_frontend_protocol_features(frontend);
}

static void ask(struct caller *caller)
{
	struct vhu_frontend *frontend = caller->crowd->frontend;
	unsigned char bytes[8];
	uint8_t status;

	switch (below(caller, 4)) {
	case 0: expect(caller, vhu_frontend_get_status(frontend, &status)); break;
	case 1:
		expect(caller, vhu_frontend_set_status(frontend, (uint8_t)below(caller, 16)));
		break;
	case 2: expect(caller, vhu_frontend_get_config(frontend, 0, bytes, sizeof(bytes))); break;
	default: vhu_frontend_run(frontend, (int)below(caller, 3)); break;
	}
}

static void *call(void *opaque)
{
	static void (*const deeds[])(struct caller * caller) = { translate, change_ring,
		                                                 change_memory, look, ask };
	struct caller *caller = opaque;

	while (!atomic_load(&caller->crowd->over)) {
		deeds[below(caller, ARRAY_SIZE(deeds))](caller);
		atomic_fetch_add(&caller->crowd->calls, 1);
	}
	return NULL;
}

/* Asks, at every message, for what may be mapped by then; and for nothing in particular. */
static int pester(struct fake *fake, const struct message *request)
{
	struct message message;

	if (fake->back < 0)
		return 0;
	message_init(&message, VHU_BE_IOTLB_MSG);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb.iova = (uint64_t)(fake->received % 5) << 20;
	message.payload.iotlb.perm = 1;
	message.payload.iotlb.type = VHU_IOTLB_MISS;
	if (request->header.request != VHU_FE_IOTLB_MSG)
		peer_try_send(fake->back, &message);
	message_init(&message, VHU_BE_CONFIG_CHANGE_MSG);
	if (fake->received % 7 == 0)
		peer_try_send(fake->back, &message);
	while (!peer_recv(fake->back, &message, 0))
		message_close_fds(&message);
	return 0;
}

static void on_lost(void *opaque)
{
	atomic_fetch_add(&((struct crowd *)opaque)->lost, 1);
}

static void on_change(void *opaque)
{
	atomic_fetch_add(&((struct crowd *)opaque)->changed, 1);
}

static void on_alarm(int number)
{
}

/* Whichever thread is hit: no call is given up for that. */
static void interrupt_every_us(suseconds_t us)
{
	const struct itimerval every = { { 0, us }, { 0, us } };
	const struct sigaction action = { .sa_handler = us ? on_alarm : SIG_IGN };

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
}

/* Signals end every sleep. */
static void live_for_a_while(void)
{
	struct timespec left = { .tv_nsec = LIFE_MS * 1000000 };

	while (nanosleep(&left, &left) < 0)
		;
}

static void set_up(struct crowd *crowd, struct fake_config *config)
{
	const uint64_t sizes[CALLERS] = { PAGE, PAGE, PAGE, PAGE };

	memset(crowd, 0, sizeof(*crowd));
	crowd->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(crowd->kick >= 0);
	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &crowd->iommu), 0);
	assert_int_equal(vhu_guestmem_new(sizes, CALLERS, &crowd->mem), 0);
	*config = fake_full;
	config->iommu = crowd->iommu;
	config->careless = true;
	config->beside = pester;
	config->lost = on_lost;
	config->config_changed = on_change;
	config->opaque = crowd;
	crowd->fake = fake_ready(config, PLATFORM);
	crowd->frontend = crowd->fake->frontend;
}

static void everybody_may_do_anything_while_back_ends_come_and_go(void **state)
{
	struct fake_config config;
	struct crowd crowd;

	set_up(&crowd, &config);
	interrupt_every_us(700);
	for (unsigned i = 0; i < CALLERS; i++) {
		struct caller *caller = &crowd.callers[i];

		caller->index = i;
		caller->crowd = &crowd;
		caller->random = i;
		assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
	}
	for (unsigned i = 0; i < DEATHS; i++) {
		live_for_a_while();
		if (i % 2)
			shutdown(crowd.fake->main, SHUT_RDWR);
		assert_int_equal(fake_reconnect(crowd.fake, &config), 0);
	}
	atomic_store(&crowd.over, true);
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_join(crowd.callers[i].thread, NULL);
	interrupt_every_us(0);
	print_message("  %u calls, %u losses, %u notices\n", atomic_load(&crowd.calls),
	              atomic_load(&crowd.lost), atomic_load(&crowd.changed));
	assert_int_equal(atomic_load(&crowd.wrong), 0);
	fake_free(crowd.fake);
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(atomic_load(&crowd.callers[i].called_back),
		                 crowd.callers[i].async);
	vhu_iommu_free(crowd.iommu);
	vhu_guestmem_free(crowd.mem);
	fd_close(&crowd.kick);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_may_do_anything_while_back_ends_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
