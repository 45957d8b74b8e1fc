/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The side of a software IOMMU that faces devices: whoever holds translations
 * of it is attached, asks for them when its back-end misses, and takes them back
 * when told to. Knows nothing of sockets or messages.
 *
 * Thread: the IOMMU's.
 */
#ifndef IOMMU_IOMMU_H
#define IOMMU_IOMMU_H

#include <vhu/iommu.h>

#include "base/list.h"
#include "base/range.h"

struct iommu_device;

/*
 * An invalidation is started at every device before any is finished, so that
 * they work on it at the same time.
 */
struct iommu_device_ops {
	/* Asks for the range to be dropped. 0 or -errno: then there is no finish. */
	int (*invalidate_start)(struct iommu_device *device, struct range range);
	/* Waits for that. 0 only if the device holds nothing of it any more. */
	int (*invalidate_finish)(struct iommu_device *device);
};

struct iommu_device {
	struct list node; /* of the IOMMU's devices */
	const struct iommu_device_ops *ops;
	void *opaque;    /* names it in faults */
	int start_error; /* of the invalidation under way */
};

/* Whether its page table is what it has to be. */
bool iommu_check(const struct vhu_iommu *iommu);

void iommu_attach(struct vhu_iommu *iommu, struct iommu_device *device);
void iommu_detach(struct iommu_device *device);

/* A translation to be sent. */
struct iommu_answer {
	struct range iova;
	uint64_t uva;
	uint8_t perm;
};

#define IOMMU_ANSWERS_MAX 16u

/*
 * The answer to a miss by the IOMMU's policy: at least one translation that
 * covers @iova with @perm comes first (rule E1). @hint: bytes the device wants,
 * 0: it does not say. Returns the number of @answers, 0 if it is refused, which
 * has been reported then.
 */
unsigned iommu_miss(struct vhu_iommu *iommu, struct iommu_device *device, uint64_t iova,
                    uint64_t hint, uint8_t perm, struct iommu_answer answers[IOMMU_ANSWERS_MAX]);

/* The device says that an access failed (ACCESS_FAIL). */
void iommu_access_failed(struct vhu_iommu *iommu, struct iommu_device *device, uint64_t iova,
                         uint8_t perm);

#endif
