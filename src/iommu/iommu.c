/* SPDX-License-Identifier: BSD-3-Clause */
#include "iommu/iommu.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/export.h"
#include "iommu/domain.h"

#define MAPPINGS_DEFAULT (UINT64_C(1) << 20)
#define LAZY_MAX_DEFAULT 256u
#define LAZY_MS_DEFAULT  10

/* A device has its lock for so long, in which it answers no miss. */
#define PUSHED_TOGETHER 64u

int64_t iommu_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void fill_defaults(struct vhu_iommu_config *config)
{
	if (!config->max_mappings)
		config->max_mappings = MAPPINGS_DEFAULT;
	if (!config->lazy_max)
		config->lazy_max = LAZY_MAX_DEFAULT;
	if (config->lazy_ms <= 0)
		config->lazy_ms = LAZY_MS_DEFAULT;
}

VHU_EXPORT int vhu_iommu_new(const struct vhu_iommu_config *config, struct vhu_iommu **ret)
{
	struct vhu_iommu *iommu;
	int error;

	if ((unsigned)config->policy > VHU_IOMMU_PUSH)
		return -EINVAL;
	iommu = calloc(1, sizeof(*iommu));
	if (!iommu)
		return -ENOMEM;
	iommu->config = *config;
	fill_defaults(&iommu->config);
	list_init(&iommu->devices);
	pagetable_init(&iommu->table, iommu->config.max_mappings);
	error = flush_open(iommu);
	if (error) {
		free(iommu);
		return error;
	}
	pthread_mutex_init(&iommu->lock, NULL);
	pthread_cond_init(&iommu->unused, NULL);
	*ret = iommu;
	return 0;
}

VHU_EXPORT void vhu_iommu_free(struct vhu_iommu *iommu)
{
	if (!iommu)
		return;
	flush_close(iommu);
	pagetable_done(&iommu->table);
	pthread_cond_destroy(&iommu->unused);
	pthread_mutex_destroy(&iommu->lock);
	free(iommu);
}

bool iommu_check(struct vhu_iommu *iommu)
{
	bool fine;

	pthread_mutex_lock(&iommu->lock);
	fine = pagetable_check(&iommu->table);
	pthread_mutex_unlock(&iommu->lock);
	return fine;
}

int iommu_attach(struct vhu_iommu *iommu, struct iommu_device *device)
{
	int error = 0;

	pthread_mutex_lock(&iommu->lock);
	if (iommu->n_devices == DEVICES_MAX) {
		error = -ENOSPC;
	} else {
		device->iommu = iommu;
		device->holder = ~iommu->holders & (iommu->holders + 1);
		device->users = 0;
		device->leaving = false;
		iommu->holders |= device->holder;
		iommu->n_devices++;
		list_append(&iommu->devices, &device->node);
	}
	pthread_mutex_unlock(&iommu->lock);
	return error;
}

/* What it was given, and what is not exposed, is nobody's business from here on. */
void iommu_detach(struct iommu_device *device)
{
	struct vhu_iommu *iommu = device->iommu;

	if (!iommu)
		return;
	pthread_mutex_lock(&iommu->lock);
	device->leaving = true;
	while (device->users)
		pthread_cond_wait(&iommu->unused, &iommu->lock);
	list_remove(&device->node);
	pagetable_forget_holder(&iommu->table, device->holder, false);
	iommu->holders &= ~device->holder;
	iommu->n_devices--;
	pthread_mutex_unlock(&iommu->lock);
	device->iommu = NULL;
}

void iommu_device_died(struct iommu_device *device)
{
	struct vhu_iommu *iommu = device->iommu;

	if (!iommu)
		return;
	pthread_mutex_lock(&iommu->lock);
	pagetable_forget_holder(&iommu->table, device->holder, true);
	pthread_mutex_unlock(&iommu->lock);
}

void iommu_use(struct iommu_device *device)
{
	device->users++;
}

void iommu_unuse(struct iommu_device *device)
{
	if (--device->users == 0 && device->leaving)
		pthread_cond_broadcast(&device->iommu->unused);
}

struct iommu_device *iommu_next_device(struct vhu_iommu *iommu, struct iommu_device *device)
{
	struct iommu_device *next = NULL;
	struct list *node;

	pthread_mutex_lock(&iommu->lock);
	node = device ? device->node.next : iommu->devices.next;
	for (; node != &iommu->devices && !next; node = node->next) {
		struct iommu_device *other = container_of(node, struct iommu_device, node);

		if (!other->leaving)
			next = other;
	}
	if (next)
		iommu_use(next);
	if (device)
		iommu_unuse(device);
	pthread_mutex_unlock(&iommu->lock);
	return next;
}

bool iommu_pushes(const struct vhu_iommu *iommu)
{
	return iommu->config.policy == VHU_IOMMU_PUSH;
}

static bool is_perm(uint8_t perm)
{
	return perm >= VHU_PERM_READ && perm <= VHU_PERM_RW;
}

static int map_one(struct vhu_iommu *iommu, const struct vhu_mapping *mapping)
{
	struct range range, target;

	if (!range_make(mapping->iova, mapping->size, &range) ||
	    !range_make(mapping->uva, mapping->size, &target) || !is_perm(mapping->perm))
		return -EINVAL;
	return pagetable_map(&iommu->table, range, mapping->uva, mapping->perm);
}

/* Many at once for each device, so that it is told in one go. */
static void push(struct vhu_iommu *iommu, const struct vhu_mapping *mappings, unsigned n)
{
	struct iommu_device *device = NULL;

	while ((device = iommu_next_device(iommu, device)))
		for (unsigned i = 0; i < n; i += PUSHED_TOGETHER)
			device->ops->push(device, mappings + i,
			                  n - i < PUSHED_TOGETHER ? n - i : PUSHED_TOGETHER);
}

VHU_EXPORT int vhu_iommu_map_batch(struct vhu_iommu *iommu, const struct vhu_mapping *mappings,
                                   unsigned n, unsigned *ret_n)
{
	unsigned i = 0;
	int error = 0;

	pthread_mutex_lock(&iommu->lock);
	while (i < n && !error) {
		error = map_one(iommu, &mappings[i]);
		i += !error;
	}
	pthread_mutex_unlock(&iommu->lock);
	if (iommu_pushes(iommu))
		push(iommu, mappings, i);
	if (ret_n)
		*ret_n = i;
	return error;
}

VHU_EXPORT int vhu_iommu_map(struct vhu_iommu *iommu, uint64_t iova, uint64_t size, uint64_t uva,
                             uint8_t perm)
{
	const struct vhu_mapping mapping = { iova, size, uva, perm };

	return vhu_iommu_map_batch(iommu, &mapping, 1, NULL);
}

VHU_EXPORT int vhu_iommu_sync(struct vhu_iommu *iommu)
{
	struct iommu_device *device = NULL;
	int result = 0;

	while ((device = iommu_next_device(iommu, device))) {
		int error = device->ops->sync(device);

		if (!result)
			result = error;
	}
	return result;
}

/* To look at it is no change of it, though its lock is taken. */
static pthread_mutex_t *lock_of(const struct vhu_iommu *iommu)
{
	return (pthread_mutex_t *)(uintptr_t)&iommu->lock;
}

VHU_EXPORT uint64_t vhu_iommu_exposed(const struct vhu_iommu *iommu)
{
	uint64_t bytes;

	pthread_mutex_lock(lock_of(iommu));
	bytes = pagetable_exposed_bytes(&iommu->table);
	pthread_mutex_unlock(lock_of(iommu));
	return bytes;
}

VHU_EXPORT void vhu_iommu_forget_exposed(struct vhu_iommu *iommu)
{
	pthread_mutex_lock(&iommu->lock);
	pagetable_forget_exposed(&iommu->table);
	pthread_mutex_unlock(&iommu->lock);
}

VHU_EXPORT void vhu_iommu_stats(const struct vhu_iommu *iommu, struct vhu_iommu_stats *ret)
{
	pthread_mutex_lock(lock_of(iommu));
	*ret = iommu->stats;
	ret->mappings = pagetable_count(&iommu->table);
	pthread_mutex_unlock(lock_of(iommu));
}
