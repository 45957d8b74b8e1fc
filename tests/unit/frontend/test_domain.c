/* SPDX-License-Identifier: BSD-3-Clause */
/* Several back-ends behind one IOMMU, and what they mean to each other. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <time.h>

#include "support/fake.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define IOVA     UINT64_C(0x10000)
#define UVA      UINT64_C(0x7000000)

struct fixture {
	struct vhu_iommu *iommu;
	struct fake *fakes[2];
};

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

/* Both have the page at IOVA. */
static void set_up(struct fixture *f)
{
	struct fake_config config = fake_full;

	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &f->iommu), 0);
	assert_int_equal(vhu_iommu_map(f->iommu, IOVA, 0x10000, UVA, 3), 0);
	config.iommu = f->iommu;
	for (unsigned i = 0; i < 2; i++) {
		f->fakes[i] = fake_ready(&config, PLATFORM);
		fake_set_script(f->fakes[i], VHU_FE_SET_STATUS, miss_one);
		assert_int_equal(vhu_frontend_set_status(f->fakes[i]->frontend, 1), 0);
		fake_run(f->fakes[i]);
	}
}

static void tear_down(struct fixture *f)
{
	for (unsigned i = 0; i < 2; i++)
		if (f->fakes[i])
			fake_free(f->fakes[i]);
	vhu_iommu_free(f->iommu);
}

static _Atomic(struct fake *) other;

/* Acknowledges when the other has got what it missed meanwhile. */
static int acknowledge_after_the_other(struct fake *fake, const struct message *request)
{
	struct fake *second = atomic_load(&other);
	struct message update;

	MUST(request->payload.iotlb.type == VHU_IOTLB_INVALIDATE);
	MUST(!fake_send_miss(second, IOVA + 0x5000, 1));
	MUST(!peer_recv(second->main, &update, PEER_PATIENCE));
	MUST(update.payload.iotlb.type == VHU_IOTLB_UPDATE);
	MUST(!peer_reply_u64(second->main, &update, 0));
	MUST(!peer_reply_u64(fake->main, request, 0));
	return 0;
}

/* It leaves its socket to the first. */
static int acknowledge_and_stand_aside(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 0));
	for (int ms = 0; !atomic_load(&other); ms++) {
		MUST(ms < PEER_PATIENCE);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	MUST(fake_expect_back(fake, 0));
	return 0;
}

static int wait_and_acknowledge(struct fake *fake, const struct message *request)
{
	nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000000 }, NULL);
	return acknowledge_after_the_other(fake, request);
}

static void E3_while_one_is_waited_for_the_other_is_served(void **state)
{
	struct fixture f;

	set_up(&f);
	atomic_store(&other, f.fakes[1]);
	fake_set_script(f.fakes[0], VHU_FE_IOTLB_MSG, wait_and_acknowledge);
	fake_set_script(f.fakes[1], VHU_FE_IOTLB_MSG, acknowledge_and_stand_aside);
	assert_int_equal(vhu_iommu_unmap(f.iommu, IOVA, 0x1000), 0);
	fake_run(f.fakes[0]);
	fake_run(f.fakes[1]);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0);
	tear_down(&f);
}

static int silence(struct fake *fake, const struct message *request)
{
	return 0;
}

static void E2_one_that_is_silent_exposes_and_the_other_is_told_all_the_same(void **state)
{
	struct fixture f;
	uint8_t status;

	set_up(&f);
	fake_set_script(f.fakes[0], VHU_FE_IOTLB_MSG, silence);
	fake_set_timeout(f.fakes[0], 50);
	f.fakes[0]->config.careless = true;
	assert_int_equal(vhu_iommu_unmap(f.iommu, IOVA, 0x1000), -ETIMEDOUT);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	assert_int_equal(f.fakes[1]->kinds[VHU_FE_IOTLB_MSG], 1);
	assert_int_equal(vhu_frontend_get_status(f.fakes[1]->frontend, &status), 0);
	/* Again: only the one that has not let go is asked, and this time it does. */
	fake_set_timeout(f.fakes[0], PEER_PATIENCE);
	fake_free(f.fakes[0]);
	f.fakes[0] = NULL;
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	assert_int_equal(vhu_iommu_unmap(f.iommu, IOVA, 0x1000), -ENOTCONN);
	assert_int_equal(f.fakes[1]->kinds[VHU_FE_IOTLB_MSG], 1);
	vhu_iommu_forget_exposed(f.iommu);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0);
	tear_down(&f);
}

struct waiter {
	struct vhu_iommu *iommu;
	int result;
};

static void *unmap(void *opaque)
{
	struct waiter *waiter = opaque;

	waiter->result = vhu_iommu_unmap(waiter->iommu, IOVA, 0x1000);
	return NULL;
}

/* Another thread waits for the acknowledgement of a back-end that is let go of. */
static void check_end_of_front_end(bool alone)
{
	struct fixture f;
	struct waiter waiter;
	pthread_t thread;

	set_up(&f);
	if (alone) {
		fake_free(f.fakes[1]);
		f.fakes[1] = NULL;
	}
	fake_set_script(f.fakes[0], VHU_FE_IOTLB_MSG, silence);
	fake_set_timeout(f.fakes[0], 100 * PEER_PATIENCE);
	waiter = (struct waiter){ f.iommu, 0 };
	assert_int_equal(pthread_create(&thread, NULL, unmap, &waiter), 0);
	while (!atomic_load(&f.fakes[0]->scripted))
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	f.fakes[0]->config.careless = true;
	fake_free(f.fakes[0]);
	f.fakes[0] = NULL;
	pthread_join(thread, NULL);
	assert_int_equal(waiter.result, -ENOTCONN);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	tear_down(&f);
}

static void E2_an_unmap_ends_when_the_front_end_goes(void **state)
{
	check_end_of_front_end(true);
	check_end_of_front_end(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E3_while_one_is_waited_for_the_other_is_served),
		cmocka_unit_test(E2_one_that_is_silent_exposes_and_the_other_is_told_all_the_same),
		cmocka_unit_test(E2_an_unmap_ends_when_the_front_end_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
