/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking back, in this order (rule E2): the ranges are hidden, so that no answer
 * to a miss names them any more; every device that was given a part is told, all
 * before any is waited for; and as each has acknowledged, it holds nothing of them.
 * A device sends answers and invalidations in the order in which it was asked for
 * them, so that no answer from before the hiding comes behind its invalidation.
 *
 * Thread: the caller's until all is sent; then whichever hears the last reply.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/export.h"
#include "iommu/domain.h"

/* Of one unmap for one device; what is more is covered by fewer that are larger. */
#define INVALIDATIONS_MAX 256u

/* That many ranges are sorted without qsort(3). */
#define SORTED_IN_PLACE 64u

/* How long one of several devices is waited for before the others are looked after. */
#define SLICE_MS 1

struct iommu_unmap {
	struct iommu_deferred deferred;
	struct vhu_iommu *iommu;
	vhu_iommu_done_fn *done; /* NULL: somebody waits */
	void *opaque;
	uint64_t stamp;
	struct range *ranges; /* sorted */
	unsigned n_ranges;
	unsigned pending; /* tickets, and who still sends; under the IOMMU's lock */
	int error;        /* the first; likewise */
	bool alone;       /* there is but one device */
	unsigned n_tickets;
	struct iommu_ticket tickets[];
};

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Of few it is quicker to put each into its place than to call back for each comparison. */
static void sort(struct range *ranges, unsigned n)
{
	if (n > SORTED_IN_PLACE) {
		qsort(ranges, n, sizeof(ranges[0]), by_start);
		return;
	}
	for (unsigned i = 1; i < n; i++) {
		const struct range range = ranges[i];
		unsigned at = i;

		for (; at && ranges[at - 1].start > range.start; at--)
			ranges[at] = ranges[at - 1];
		ranges[at] = range;
	}
}

static void finish(struct iommu_deferred *deferred)
{
	struct iommu_unmap *unmap = container_of(deferred, struct iommu_unmap, deferred);

	unmap->done(unmap->opaque, unmap->error);
	free(unmap);
}

/* Room for all that may be needed, so that nothing fails once something is hidden. */
static struct iommu_unmap *unmap_alloc(unsigned n_devices, unsigned n_ranges)
{
	unsigned most = n_ranges < INVALIDATIONS_MAX ? n_ranges : INVALIDATIONS_MAX;
	size_t head = sizeof(struct iommu_unmap) + n_devices * sizeof(struct iommu_ticket);
	size_t n = n_ranges + (size_t)n_devices * most;
	struct iommu_unmap *unmap = malloc(head + n * sizeof(struct range));

	if (!unmap)
		return NULL;
	*unmap = (struct iommu_unmap){ .ranges = (struct range *)(void *)((char *)unmap + head),
		                       .n_ranges = n_ranges,
		                       .n_tickets = n_devices };
	for (unsigned i = 0; i < n_devices; i++)
		unmap->tickets[i] = (struct iommu_ticket){
			.unmap = unmap, .ranges = unmap->ranges + n_ranges + (size_t)i * most
		};
	return unmap;
}

/* With a ticket for every device there is. */
static struct iommu_unmap *unmap_new(struct vhu_iommu *iommu, unsigned n_ranges)
{
	struct iommu_unmap *unmap;
	struct list *node;
	unsigned n = 0;

	pthread_mutex_lock(&iommu->lock);
	unmap = unmap_alloc(iommu->n_devices, n_ranges);
	if (!unmap)
		goto out;
	unmap->iommu = iommu;
	unmap->deferred.run = finish;
	list_for_each (node, &iommu->devices) {
		struct iommu_device *device = container_of(node, struct iommu_device, node);

		if (device->leaving)
			continue;
		iommu_use(device);
		unmap->tickets[n++].device = device;
	}
	unmap->n_tickets = n;
	unmap->alone = n == 1;
out:
	pthread_mutex_unlock(&iommu->lock);
	return unmap;
}

static void drop_tickets(struct iommu_unmap *unmap, unsigned first)
{
	while (unmap->n_tickets > first)
		iommu_unuse(unmap->tickets[--unmap->n_tickets].device);
}

static void unmap_free(struct iommu_unmap *unmap)
{
	pthread_mutex_lock(&unmap->iommu->lock);
	drop_tickets(unmap, 0);
	pthread_mutex_unlock(&unmap->iommu->lock);
	free(unmap);
}

static int prepare(struct iommu_unmap *unmap)
{
	int error = 0;

	for (unsigned i = 0; i < unmap->n_tickets && !error; i++) {
		struct iommu_device *device = unmap->tickets[i].device;

		error = device->ops->prepare(device, !unmap->done);
	}
	return error;
}

/* One more for the device, or the last one made larger. */
static void add_invalidation(struct iommu_ticket *ticket, const struct pagetable *table,
                             struct range range)
{
	struct range *last = &ticket->ranges[ticket->n_ranges - 1];
	struct range gap;

	if (ticket->n_ranges) {
		gap = (struct range){ last->last + 1, range.start - 1 };
		if (ticket->n_ranges == INVALIDATIONS_MAX || gap.start >= range.start ||
		    pagetable_is_free_of(table, gap, ticket->device->holder)) {
			if (last->last < range.last)
				last->last = range.last;
			return;
		}
	}
	ticket->ranges[ticket->n_ranges++] = range;
}

/* @all: it holds something of each range, from the first address to the last. */
static void list_invalidations(struct iommu_unmap *unmap, struct iommu_ticket *ticket, bool all)
{
	const struct pagetable *table = &unmap->iommu->table;
	struct range hull;

	for (unsigned i = 0; i < unmap->n_ranges; i++) {
		hull = unmap->ranges[i];
		if (all || pagetable_hull(table, hull, ticket->device->holder, &hull))
			add_invalidation(ticket, table, hull);
	}
}

/*
 * Devices that hold nothing have no ticket; who holds something and has none is gone.
 * @exact: the ranges are those that are held.
 */
static void plan(struct iommu_unmap *unmap, uint64_t holders, bool exact)
{
	struct vhu_iommu *iommu = unmap->iommu;
	const uint64_t all = exact ? holders : 0;
	unsigned n = 0;

	for (unsigned i = 0; i < unmap->n_tickets; i++) {
		struct iommu_ticket *ticket = &unmap->tickets[i];

		if (!(holders & ticket->device->holder)) {
			iommu_unuse(ticket->device);
			continue;
		}
		holders &= ~ticket->device->holder;
		list_invalidations(unmap, ticket, all == ticket->device->holder);
		iommu->stats.invalidations += ticket->n_ranges;
		unmap->tickets[n++] = *ticket;
	}
	unmap->n_tickets = n;
	unmap->pending = n + 1;
	if (!holders)
		return;
	unmap->error = -ENOTCONN;
	for (unsigned i = 0; i < unmap->n_ranges; i++)
		pagetable_expose(&iommu->table, unmap->ranges[i], holders, unmap->stamp);
}

/*
 * What can't be hidden ends it there; -errno: nothing was. Of the ranges stays what is
 * held of them.
 */
static int hide(struct iommu_unmap *unmap, uint64_t *holders)
{
	struct vhu_iommu *iommu = unmap->iommu;
	const unsigned n_ranges = unmap->n_ranges;
	struct hidden hidden;
	unsigned n = 0;

	for (unsigned i = 0; i < n_ranges && !unmap->error; i++) {
		int error = pagetable_hide(&iommu->table, unmap->ranges[i], unmap->stamp, &hidden);

		if (error && !i)
			return error;
		unmap->error = error;
		*holders |= hidden.holders;
		iommu->stats.unmaps++;
		iommu->stats.silent += !hidden.holders;
		if (hidden.holders)
			unmap->ranges[n++] = hidden.hull;
	}
	unmap->n_ranges = n;
	return 0;
}

static void send_all(struct iommu_unmap *unmap)
{
	for (unsigned i = 0; i < unmap->n_tickets; i++) {
		struct iommu_ticket *ticket = &unmap->tickets[i];

		ticket->device->ops->invalidate(ticket->device, ticket);
	}
}

/* Whether it is done; then the device is let go of. */
static bool wait_for(struct iommu_ticket *ticket, int slice_ms)
{
	struct vhu_iommu *iommu = ticket->unmap->iommu;

	if (!ticket->device->ops->wait(ticket->device, ticket, slice_ms))
		return false;
	pthread_mutex_lock(&iommu->lock);
	iommu_unuse(ticket->device);
	pthread_mutex_unlock(&iommu->lock);
	ticket->device = NULL;
	return true;
}

static void serve_all(struct vhu_iommu *iommu)
{
	struct iommu_device *device = NULL;

	while ((device = iommu_next_device(iommu, device)))
		device->ops->serve(device);
}

/* They take their time together; meanwhile all there are may have to be served. */
static int wait_all(struct iommu_unmap *unmap)
{
	const int slice_ms = unmap->alone ? -1 : SLICE_MS;
	unsigned left = unmap->n_tickets;
	int error;

	while (left) {
		for (unsigned i = 0; i < unmap->n_tickets; i++)
			if (unmap->tickets[i].device)
				left -= wait_for(&unmap->tickets[i], slice_ms);
		if (left)
			serve_all(unmap->iommu);
	}
	error = unmap->error;
	free(unmap);
	return error;
}

/* All is sent. Whether it is over already. */
static bool let_go(struct iommu_unmap *unmap)
{
	bool over;

	pthread_mutex_lock(&unmap->iommu->lock);
	over = --unmap->pending == 0;
	pthread_mutex_unlock(&unmap->iommu->lock);
	return over;
}

struct iommu_deferred *iommu_ticket_done(struct iommu_ticket *ticket)
{
	struct iommu_unmap *unmap = ticket->unmap;
	struct vhu_iommu *iommu = unmap->iommu;
	const uint64_t holder = ticket->device->holder;
	bool over;

	pthread_mutex_lock(&iommu->lock);
	for (unsigned i = 0; i < unmap->n_ranges; i++) {
		if (ticket->error)
			pagetable_expose(&iommu->table, unmap->ranges[i], holder, unmap->stamp);
		else
			pagetable_release(&iommu->table, unmap->ranges[i], holder, unmap->stamp);
	}
	if (!unmap->error)
		unmap->error = ticket->error;
	over = --unmap->pending == 0;
	if (unmap->done)
		iommu_unuse(ticket->device);
	pthread_mutex_unlock(&iommu->lock);
	return over && unmap->done ? &unmap->deferred : NULL;
}

/* The clock of those who wait for nothing. */
static void arm(struct iommu_unmap *unmap)
{
	struct iommu_device *device = NULL;
	int least = -1;

	while ((device = iommu_next_device(unmap->iommu, device))) {
		int ms = device->ops->expire(device);

		if (ms >= 0 && (least < 0 || ms < least))
			least = ms;
	}
	if (least < 0)
		return;
	pthread_mutex_lock(&unmap->iommu->lock);
	iommu_arm(unmap->iommu, least);
	pthread_mutex_unlock(&unmap->iommu->lock);
}

static int conclude(struct iommu_unmap *unmap)
{
	send_all(unmap);
	if (!unmap->done)
		return wait_all(unmap);
	arm(unmap);
	if (let_go(unmap))
		finish(&unmap->deferred);
	return 0;
}

int unmap_run(struct vhu_iommu *iommu, const struct vhu_iova_range *ranges, unsigned n,
              vhu_iommu_done_fn *done, void *opaque)
{
	struct iommu_unmap *unmap = unmap_new(iommu, n);
	uint64_t holders = 0;
	int error = 0;

	if (!unmap)
		return -ENOMEM;
	unmap->done = done;
	unmap->opaque = opaque;
	for (unsigned i = 0; i < n && !error; i++)
		if (!range_make(ranges[i].iova, ranges[i].size, &unmap->ranges[i]))
			error = -EINVAL;
	if (!error) {
		sort(unmap->ranges, n);
		error = prepare(unmap);
	}
	if (!error) {
		pthread_mutex_lock(&iommu->lock);
		unmap->stamp = ++iommu->stamp;
		error = hide(unmap, &holders);
		if (!error)
			plan(unmap, holders, true);
		pthread_mutex_unlock(&iommu->lock);
	}
	if (!error)
		return conclude(unmap);
	unmap_free(unmap);
	return error;
}

int unmap_run_lazy(struct vhu_iommu *iommu, const struct lazy_unmap *lazy, unsigned n,
                   vhu_iommu_done_fn *done, void *opaque)
{
	struct iommu_unmap *unmap = unmap_new(iommu, n);
	uint64_t holders = 0;
	int error;

	if (!unmap)
		return -ENOMEM;
	unmap->done = done;
	unmap->opaque = opaque;
	error = prepare(unmap);
	if (error) {
		unmap_free(unmap);
		return error;
	}
	for (unsigned i = 0; i < n; i++)
		unmap->ranges[i] = lazy[i].range;
	sort(unmap->ranges, n);
	pthread_mutex_lock(&iommu->lock);
	unmap->stamp = iommu->stamp;
	for (unsigned i = 0; i < n; i++)
		holders |= pagetable_holders(&iommu->table, unmap->ranges[i]);
	iommu->stats.flushes++;
	plan(unmap, holders, false);
	pthread_mutex_unlock(&iommu->lock);
	return conclude(unmap);
}

VHU_EXPORT int vhu_iommu_unmap_batch(struct vhu_iommu *iommu, const struct vhu_iova_range *ranges,
                                     unsigned n)
{
	return n ? unmap_run(iommu, ranges, n, NULL, NULL) : 0;
}

VHU_EXPORT int vhu_iommu_unmap(struct vhu_iommu *iommu, uint64_t iova, uint64_t size)
{
	const struct vhu_iova_range range = { iova, size };

	return unmap_run(iommu, &range, 1, NULL, NULL);
}

VHU_EXPORT int vhu_iommu_unmap_async(struct vhu_iommu *iommu, const struct vhu_iova_range *ranges,
                                     unsigned n, vhu_iommu_done_fn *done, void *opaque)
{
	assert(done);
	if (n)
		return unmap_run(iommu, ranges, n, done, opaque);
	done(opaque, 0);
	return 0;
}
