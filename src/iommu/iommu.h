/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The side of a software IOMMU that faces devices: whoever holds translations
 * of it is attached, asks for them when its back-end misses, and takes them back
 * when told to. Knows nothing of sockets or messages.
 *
 * Thread: any. An IOMMU has one lock, which is taken in here and never held while
 * a function of a device is called: a device calls with its own lock held, and
 * not the other way round.
 */
#ifndef IOMMU_IOMMU_H
#define IOMMU_IOMMU_H

#include <vhu/iommu.h>

#include "base/list.h"
#include "base/range.h"

struct iommu_device;
struct iommu_unmap;

/* To be run by whoever holds no lock. */
struct iommu_deferred {
	struct list node;
	void (*run)(struct iommu_deferred *deferred);
};

/* What one device has to do for an unmap. */
struct iommu_ticket {
	struct iommu_device *device;
	struct iommu_unmap *unmap;
	struct range *ranges; /* to be invalidated */
	unsigned n_ranges;

	/* the device's, under its lock */
	struct list node;
	unsigned pending; /* invalidations without a reply */
	int error;
	int64_t deadline_ms;
	bool done;
};

struct iommu_device_ops {
	/*
	 * Before an unmap of which this device may have to know: makes room for what it
	 * has to send, waiting if it may. 0; -ENOBUFS; -EDEADLK: it may not wait here.
	 */
	int (*prepare)(struct iommu_device *device, bool may_wait);
	/*
	 * Sends the ticket's invalidations, all of them before any is waited for. Once
	 * they have been replied to, can't be, or take too long, iommu_ticket_done()
	 * is called, which may be at once.
	 */
	void (*invalidate)(struct iommu_device *device, struct iommu_ticket *ticket);
	/* Waits for that, @slice_ms at most if not negative. Whether it is done. */
	bool (*wait)(struct iommu_device *device, struct iommu_ticket *ticket, int slice_ms);
	/* Does what there is to do for its back-end, and does not wait. */
	void (*serve)(struct iommu_device *device);
	/* Gives up what takes too long. Milliseconds to the next deadline; -1: none. */
	int (*expire)(struct iommu_device *device);
	/* Sends what iommu_answers_of() tells of these, which were mapped. */
	void (*push)(struct iommu_device *device, const struct vhu_mapping *mappings, unsigned n);
	/* Waits until all that was sent so far was replied to. 0 or -errno. */
	int (*sync)(struct iommu_device *device);
};

struct iommu_device {
	const struct iommu_device_ops *ops;
	void *opaque; /* names it in faults */

	/* the IOMMU's, under its lock */
	struct vhu_iommu *iommu;
	struct list node;
	uint64_t holder; /* its bit in the page table */
	unsigned users;  /* who are about to call it; it stays attached meanwhile */
	bool leaving;
};

/* Whether its page table is what it has to be. */
bool iommu_check(struct vhu_iommu *iommu);

/* 0; -ENOSPC: there are too many devices. */
int iommu_attach(struct vhu_iommu *iommu, struct iommu_device *device);
/* Waits for its users; nothing is if it was not attached. */
void iommu_detach(struct iommu_device *device);
/* The process that held what the device was given is dead. */
void iommu_device_died(struct iommu_device *device);

/* Readable when iommu_timer_expired() is to be called, by whoever holds no lock. */
int iommu_timer_fd(const struct vhu_iommu *iommu);
void iommu_timer_expired(struct vhu_iommu *iommu);

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
 * 0: it does not say. Returns the number of @answers, 0 if it is refused. The
 * device counts as a holder of the answers from here on: it sends them before
 * anything that an unmap asks it for.
 */
unsigned iommu_miss(struct iommu_device *device, uint64_t iova, uint64_t hint, uint8_t perm,
                    struct iommu_answer answers[IOMMU_ANSWERS_MAX]);

/* The same for all that is mapped in *range, piece by piece; 0: that was all. */
unsigned iommu_answers_of(struct iommu_device *device, struct range *range, bool *ret_more,
                          struct iommu_answer answers[IOMMU_ANSWERS_MAX]);

/* Whether mappings are told of before they are missed. */
bool iommu_pushes(const struct vhu_iommu *iommu);

/* Tells of a miss that was refused, or of an ACCESS_FAIL (@reported); with no lock held. */
void iommu_report(struct iommu_device *device, uint64_t iova, uint8_t perm, bool reported);

/*
 * All invalidations of the ticket have ended, of which ticket->done tells under the
 * device's lock; the ticket is not the device's any more. What is returned, if
 * anything, is to be run soon.
 */
struct iommu_deferred *iommu_ticket_done(struct iommu_ticket *ticket);

#endif
