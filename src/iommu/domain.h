/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of an IOMMU share.
 *
 *   iommu.c    life, devices, map
 *   policy.c   what answers a miss
 *   unmap.c    how something is taken back
 *   flush.c    what is taken back later, and the timer
 */
#ifndef IOMMU_DOMAIN_H
#define IOMMU_DOMAIN_H

#include <pthread.h>

#include "iommu/iommu.h"
#include "iommu/pagetable.h"

/* Of those that hold something: bits of the page table, but for HOLDER_GONE. */
#define DEVICES_MAX 63u

/* An unmap that waits for the next flush. */
struct lazy_unmap {
	struct range range;
	void (*done)(void *opaque, int error);
	void *opaque;
};

struct vhu_iommu {
	struct vhu_iommu_config config;
	int timer; /* a timerfd */

	pthread_mutex_t lock; /* of all that follows */
	struct pagetable table;
	uint64_t stamp; /* of the last unmap */
	struct list devices;
	unsigned n_devices;
	uint64_t holders;      /* bits in use */
	pthread_cond_t unused; /* a device has lost a user */
	struct lazy_unmap *lazy;
	unsigned n_lazy;
	int64_t timer_at_ms; /* 0: not armed */
	struct vhu_iommu_stats stats;
};

int64_t iommu_now_ms(void);

/* The device after @device, which is let go of, or the first; NULL: that was the last. */
struct iommu_device *iommu_next_device(struct vhu_iommu *iommu, struct iommu_device *device);
/* With the lock held. */
void iommu_use(struct iommu_device *device);
void iommu_unuse(struct iommu_device *device);

/* Lets the timer fire in @ms at the latest; with the lock held. */
void iommu_arm(struct vhu_iommu *iommu, int ms);

/*
 * Takes @ranges back; with @lazy they are hidden already. Without @done it waits
 * until that has come true and returns what became of it; else it returns 0 once it is
 * under way, or -errno with nothing changed.
 */
int unmap_run(struct vhu_iommu *iommu, const struct vhu_iova_range *ranges, unsigned n,
              void (*done)(void *opaque, int error), void *opaque);
int unmap_run_lazy(struct vhu_iommu *iommu, const struct lazy_unmap *lazy, unsigned n,
                   void (*done)(void *opaque, int error), void *opaque);

int flush_open(struct vhu_iommu *iommu);
void flush_close(struct vhu_iommu *iommu);

#endif
