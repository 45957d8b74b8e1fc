/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device for tests of the IOMMU: it remembers what it was told, and lets the
 * test say when it has done it. One per file of tests; one thread.
 */
#ifndef UNIT_IOMMU_DEVICE_H
#define UNIT_IOMMU_DEVICE_H

#include "iommu/iommu.h"

#include <errno.h>
#include <string.h>

#include "support/check.h"

struct test_device {
	struct iommu_device device;
	struct vhu_iommu *iommu;

	/* What it is to do. */
	int prepare_result;
	int result;   /* of invalidations */
	bool at_once; /* it is done with them when it is asked */
	void (*about_to_finish)(struct test_device *self); /* or NULL */

	/* What it was told. */
	struct range told[64];
	unsigned n_told;
	struct range pushed[200];
	unsigned n_pushed, n_synced, n_waited, n_served;
	unsigned answered_while_waiting; /* misses for what is being taken back */

	struct iommu_ticket *tickets[8];
	unsigned n_tickets;
};

static struct test_device *test_device_of(struct iommu_device *device)
{
	return container_of(device, struct test_device, device);
}

static int device_prepare(struct iommu_device *device, bool may_wait)
{
	return test_device_of(device)->prepare_result;
}

/* The eldest of what it was asked for is done. */
static void device_finish(struct test_device *self)
{
	struct iommu_ticket *ticket = self->tickets[0];
	struct iommu_deferred *deferred;

	assert_true(self->n_tickets > 0);
	if (self->about_to_finish)
		self->about_to_finish(self);
	self->n_tickets--;
	memmove(self->tickets, self->tickets + 1, self->n_tickets * sizeof(ticket));
	ticket->error = self->result;
	ticket->done = true;
	deferred = iommu_ticket_done(ticket);
	if (deferred)
		deferred->run(deferred);
}

static void device_invalidate(struct iommu_device *device, struct iommu_ticket *ticket)
{
	struct test_device *self = test_device_of(device);

	for (unsigned i = 0; i < ticket->n_ranges; i++) {
		assert_true(self->n_told < ARRAY_SIZE(self->told));
		self->told[self->n_told++] = ticket->ranges[i];
	}
	assert_true(self->n_tickets < ARRAY_SIZE(self->tickets));
	self->tickets[self->n_tickets++] = ticket;
	if (self->at_once)
		device_finish(self);
}

/* A miss for what is being taken away comes while its end is awaited. */
static bool device_wait(struct iommu_device *device, struct iommu_ticket *ticket, int slice_ms)
{
	struct test_device *self = test_device_of(device);
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];

	self->n_waited++;
	self->answered_while_waiting += iommu_miss(device, self->told[0].start, 0, 1, answers);
	while (!ticket->done)
		device_finish(self);
	return true;
}

static void device_serve(struct iommu_device *device)
{
	test_device_of(device)->n_served++;
}

static int device_expire(struct iommu_device *device)
{
	return test_device_of(device)->n_tickets ? 1000 : -1;
}

static void device_push_one(struct iommu_device *device, const struct vhu_mapping *mapping)
{
	struct test_device *self = test_device_of(device);
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	struct range range;
	bool more = range_make(mapping->iova, mapping->size, &range);

	while (more) {
		unsigned n = iommu_answers_of(device, &range, &more, answers);

		for (unsigned i = 0; i < n; i++) {
			assert_true(self->n_pushed < ARRAY_SIZE(self->pushed));
			self->pushed[self->n_pushed++] = answers[i].iova;
		}
	}
}

static void device_push(struct iommu_device *device, const struct vhu_mapping *mappings, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		device_push_one(device, &mappings[i]);
}

static int device_sync(struct iommu_device *device)
{
	test_device_of(device)->n_synced++;
	return 0;
}

static const struct iommu_device_ops device_ops = {
	.prepare = device_prepare,
	.invalidate = device_invalidate,
	.wait = device_wait,
	.serve = device_serve,
	.expire = device_expire,
	.push = device_push,
	.sync = device_sync,
};

static inline void device_attach(struct test_device *self, struct vhu_iommu *iommu)
{
	*self = (struct test_device){ .device = { .ops = &device_ops, .opaque = self },
		                      .iommu = iommu };
	assert_int_equal(iommu_attach(iommu, &self->device), 0);
}

/* It misses an address, and is told of it. */
static inline void device_take(struct test_device *self, uint64_t iova)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];

	assert_true(iommu_miss(&self->device, iova, 0, 1, answers) > 0);
	assert_true(range_has(answers[0].iova, iova));
}

static inline bool device_is_refused(struct test_device *self, uint64_t iova)
{
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];

	return iommu_miss(&self->device, iova, 0, 1, answers) == 0;
}

static inline void device_expect(const struct test_device *self, unsigned i, uint64_t start,
                                 uint64_t last)
{
	assert_true(i < self->n_told);
	assert_int_equal(self->told[i].start, start);
	assert_int_equal(self->told[i].last, last);
}

#endif
