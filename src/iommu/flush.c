/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unmaps that wait for others, and the clock: it is for them, and for unmaps
 * nobody waits for and of which a back-end says nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/export.h"
#include "base/fd.h"
#include "iommu/domain.h"

/* What is flushed together, until that has come true. */
struct batch {
	unsigned n;
	struct lazy_unmap unmaps[];
};

int flush_open(struct vhu_iommu *iommu)
{
	iommu->lazy = calloc(iommu->config.lazy_max, sizeof(*iommu->lazy));
	if (!iommu->lazy)
		return -ENOMEM;
	iommu->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (iommu->timer < 0) {
		free(iommu->lazy);
		return -errno;
	}
	return 0;
}

static void call_back(const struct lazy_unmap *unmaps, unsigned n, int error)
{
	for (unsigned i = 0; i < n; i++)
		if (unmaps[i].done)
			unmaps[i].done(unmaps[i].opaque, error);
}

void flush_close(struct vhu_iommu *iommu)
{
	call_back(iommu->lazy, iommu->n_lazy, -ECANCELED);
	free(iommu->lazy);
	fd_close(&iommu->timer);
}

int iommu_timer_fd(const struct vhu_iommu *iommu)
{
	return iommu->timer;
}

void iommu_arm(struct vhu_iommu *iommu, int ms)
{
	const int64_t at = iommu_now_ms() + ms;
	struct itimerspec spec = { .it_value = { .tv_sec = ms / 1000,
		                                 .tv_nsec = ms % 1000 * 1000000 + 1 } };

	if (iommu->timer_at_ms && iommu->timer_at_ms <= at)
		return;
	iommu->timer_at_ms = at;
	timerfd_settime(iommu->timer, 0, &spec, NULL);
}

/* What there is, out of the queue; NULL: nothing, or *ret_error. */
static struct batch *take(struct vhu_iommu *iommu, int *ret_error)
{
	struct batch *batch = NULL;

	*ret_error = 0;
	pthread_mutex_lock(&iommu->lock);
	if (iommu->n_lazy) {
		batch = malloc(sizeof(*batch) + iommu->n_lazy * sizeof(batch->unmaps[0]));
		*ret_error = batch ? 0 : -ENOMEM;
	}
	if (batch) {
		batch->n = iommu->n_lazy;
		memcpy(batch->unmaps, iommu->lazy, batch->n * sizeof(batch->unmaps[0]));
		iommu->n_lazy = 0;
	}
	pthread_mutex_unlock(&iommu->lock);
	return batch;
}

static void flushed(void *opaque, int error)
{
	struct batch *batch = opaque;

	call_back(batch->unmaps, batch->n, error);
	free(batch);
}

/* It can't be begun now: back into the queue, as far as there is room. */
static void put_back(struct vhu_iommu *iommu, struct batch *batch, int error)
{
	unsigned n;

	pthread_mutex_lock(&iommu->lock);
	n = iommu->config.lazy_max - iommu->n_lazy;
	if (n > batch->n)
		n = batch->n;
	batch->n -= n;
	memcpy(&iommu->lazy[iommu->n_lazy], &batch->unmaps[batch->n], n * sizeof(batch->unmaps[0]));
	iommu->n_lazy += n;
	for (unsigned i = 0; i < batch->n; i++)
		pagetable_expose(&iommu->table, batch->unmaps[i].range, UINT64_MAX, iommu->stamp);
	iommu_arm(iommu, iommu->config.lazy_ms);
	pthread_mutex_unlock(&iommu->lock);
	flushed(batch, error);
}

static int flush_start(struct vhu_iommu *iommu)
{
	int error;
	struct batch *batch = take(iommu, &error);

	if (!batch)
		return error;
	error = unmap_run_lazy(iommu, batch->unmaps, batch->n, flushed, batch);
	if (error)
		put_back(iommu, batch, error);
	return error;
}

VHU_EXPORT int vhu_iommu_flush(struct vhu_iommu *iommu)
{
	int error, other;
	struct batch *batch = take(iommu, &error);

	if (batch) {
		error = unmap_run_lazy(iommu, batch->unmaps, batch->n, NULL, NULL);
		if (error == -ENOMEM || error == -ENOBUFS || error == -EDEADLK) {
			put_back(iommu, batch, error);
			return error;
		}
		flushed(batch, error);
	}
	/* What others have begun to flush. */
	other = vhu_iommu_sync(iommu);
	return error ? error : other;
}

/* 1: it waits in the queue; 0: nobody has to be told; -errno. */
static int enqueue(struct vhu_iommu *iommu, const struct lazy_unmap *lazy)
{
	struct hidden hidden;
	int error = 0;

	pthread_mutex_lock(&iommu->lock);
	if (iommu->n_lazy == iommu->config.lazy_max)
		error = -ENOBUFS;
	if (!error)
		error = pagetable_hide(&iommu->table, lazy->range, iommu->stamp + 1, &hidden);
	if (error)
		goto out;
	iommu->stamp++;
	iommu->stats.unmaps++;
	iommu->stats.silent += !hidden.holders;
	if (hidden.holders) {
		iommu->lazy[iommu->n_lazy++] = *lazy;
		error = 1;
		if (iommu->n_lazy == 1)
			iommu_arm(iommu, iommu->config.lazy_ms);
	}
out:
	pthread_mutex_unlock(&iommu->lock);
	return error;
}

static bool is_full(struct vhu_iommu *iommu)
{
	bool full;

	pthread_mutex_lock(&iommu->lock);
	full = iommu->n_lazy == iommu->config.lazy_max;
	pthread_mutex_unlock(&iommu->lock);
	return full;
}

VHU_EXPORT int vhu_iommu_unmap_lazy(struct vhu_iommu *iommu, uint64_t iova, uint64_t size,
                                    vhu_iommu_done_fn *done, void *opaque)
{
	struct lazy_unmap lazy = { .done = done, .opaque = opaque };
	int error;

	if (!range_make(iova, size, &lazy.range))
		return -EINVAL;
	/* Only where it could not be begun before. */
	if (is_full(iommu))
		flush_start(iommu);
	error = enqueue(iommu, &lazy);
	if (error < 0)
		return error;
	if (error && is_full(iommu))
		flush_start(iommu);
	if (!error && done)
		done(opaque, 0);
	return 0;
}

void iommu_timer_expired(struct vhu_iommu *iommu)
{
	struct iommu_device *device = NULL;
	int least = -1;
	uint64_t ticks;

	if (read(iommu->timer, &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	pthread_mutex_lock(&iommu->lock);
	iommu->timer_at_ms = 0;
	pthread_mutex_unlock(&iommu->lock);
	flush_start(iommu);
	while ((device = iommu_next_device(iommu, device))) {
		int ms = device->ops->expire(device);

		if (ms >= 0 && (least < 0 || ms < least))
			least = ms;
	}
	if (least < 0)
		return;
	pthread_mutex_lock(&iommu->lock);
	iommu_arm(iommu, least);
	pthread_mutex_unlock(&iommu->lock);
}
