/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages by which a back-end's device IOTLB is filled and emptied. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "frontend/frontend.h"

/* Invalidations that a front-end has room for before an unmap is begun. */
#define ROOM_FOR_UNMAP 64u

/* They go in crowds: the bytes that are not sent stay as they are. */
static void init(struct message *message, struct range range, enum vhu_iotlb_type type)
{
	message->header = (struct vhu_header){ .request = VHU_FE_IOTLB_MSG,
		                               .size = sizeof(message->payload.iotlb) };
	memset(&message->payload.iotlb, 0, sizeof(message->payload.iotlb));
	message->payload.iotlb.iova = range.start;
	message->payload.iotlb.size = range_size(range);
	message->payload.iotlb.type = (uint8_t)type;
	message->n_fds = 0;
}

static struct vhu_frontend *frontend_of(struct iommu_device *device)
{
	return container_of(device, struct vhu_frontend, device);
}

int iotlb_send_update(struct vhu_frontend *fe, const struct iommu_answer *answer,
                      struct awaiter awaiter)
{
	struct message message;
	int error;

	init(&message, answer->iova, VHU_IOTLB_UPDATE);
	message.payload.iotlb.uaddr = answer->uva;
	message.payload.iotlb.perm = answer->perm;
	error = exchange_start(fe, &message, awaiter);
	if (error)
		return error;
	fe->stats.updates++;
	fe->gave = true;
	return 0;
}

/*
 * Unmaps
 */

static int prepare(struct iommu_device *device, bool may_wait)
{
	struct vhu_frontend *fe = frontend_of(device);
	int64_t deadline, left;
	int error = 0;

	if (may_wait && pump_in_callback())
		return -EDEADLK;
	pthread_mutex_lock(&fe->lock);
	if (!fe->lost && !exchange_has_room(fe, ROOM_FOR_UNMAP))
		error = -ENOBUFS;
	deadline = error && may_wait ? frontend_now_ms() + fe->config.timeout_ms : 0;
	while (error && may_wait && (left = deadline - frontend_now_ms()) >= 0) {
		exchange_flush(fe);
		frontend_round(fe, (int)left + 1);
		if (fe->lost || exchange_has_room(fe, ROOM_FOR_UNMAP))
			error = 0;
	}
	return frontend_leave(fe, error);
}

static void ticket_done(struct vhu_frontend *fe, struct iommu_ticket *ticket)
{
	struct iommu_deferred *deferred;

	list_remove(&ticket->node);
	if (ticket->error)
		frontend_fault(fe, ticket->error, "IOTLB_MSG: the invalidation of %#llx: %s",
		               (unsigned long long)ticket->ranges[0].start,
		               ticket->error == -EREMOTEIO   ? "refused by the back-end"
		               : ticket->error == -ETIMEDOUT ? "no reply in time"
		               : fe->lost                    ? fe->lost_reason
		                                             : "could not be sent");
	ticket->done = true;
	deferred = iommu_ticket_done(ticket);
	if (deferred)
		list_append(&fe->deferred, &deferred->node);
}

void iotlb_invalidated(struct vhu_frontend *fe, struct iommu_ticket *ticket, int error)
{
	if (error && !ticket->error)
		ticket->error = error;
	if (--ticket->pending == 0)
		ticket_done(fe, ticket);
}

static int send_invalidate(struct vhu_frontend *fe, struct range range, struct iommu_ticket *ticket)
{
	const struct awaiter awaiter = { .by = AWAITED_BY_UNMAP, .ticket = ticket };
	const uint64_t middle = UINT64_C(1) << 63;
	struct message message;
	int error;

	/* The size of the whole space does not go into a message. */
	if (range.start == 0 && range.last == UINT64_MAX) {
		error = send_invalidate(fe, (struct range){ 0, middle - 1 }, ticket);
		range.start = middle;
		if (error)
			return error;
	}
	init(&message, range, VHU_IOTLB_INVALIDATE);
	error = exchange_start(fe, &message, awaiter);
	fe->stats.invalidations += !error;
	return error;
}

/* With little room left, one for all of the rest: it removes more, which is missed again. */
static int send_all(struct vhu_frontend *fe, struct iommu_ticket *ticket)
{
	int error = 0;

	for (unsigned i = 0; i < ticket->n_ranges && !error; i++) {
		struct range range = ticket->ranges[i];

		if (!exchange_has_room(fe, 1)) {
			range.last = ticket->ranges[ticket->n_ranges - 1].last;
			i = ticket->n_ranges;
		}
		error = send_invalidate(fe, range, ticket);
	}
	return error;
}

/*
 * A back-end that does not translate holds nothing; unless it was given something
 * while SET_FEATURES was under way, of which it is not known what became.
 */
static void invalidate(struct iommu_device *device, struct iommu_ticket *ticket)
{
	struct vhu_frontend *fe = frontend_of(device);

	pthread_mutex_lock(&fe->lock);
	list_append(&fe->tickets, &ticket->node);
	ticket->deadline_ms = frontend_now_ms() + fe->config.timeout_ms;
	/* Held by us until all is sent. */
	ticket->pending = 1;
	if (fe->lost)
		ticket->error = -ENOTCONN;
	else if (frontend_translates(fe) || fe->gave)
		ticket->error = send_all(fe, ticket);
	exchange_flush(fe);
	iotlb_invalidated(fe, ticket, 0);
	frontend_leave(fe, 0);
}

/* The oldest come first, and all have the same time. */
static int expire(struct iommu_device *device)
{
	struct vhu_frontend *fe = frontend_of(device);
	const int64_t now = frontend_now_ms();
	int left = -1;

	pthread_mutex_lock(&fe->lock);
	while (!list_is_empty(&fe->tickets)) {
		struct iommu_ticket *ticket = container_of(fe->tickets.next, struct iommu_ticket,
		                                           node);

		if (ticket->deadline_ms >= now) {
			left = (int)(ticket->deadline_ms - now) + 1;
			break;
		}
		exchange_forget_ticket(fe, ticket);
		ticket->pending = 1;
		iotlb_invalidated(fe, ticket, -ETIMEDOUT);
	}
	return frontend_leave(fe, left);
}

static bool wait(struct iommu_device *device, struct iommu_ticket *ticket, int slice_ms)
{
	struct vhu_frontend *fe = frontend_of(device);
	const int64_t end = frontend_now_ms() + slice_ms;

	pthread_mutex_lock(&fe->lock);
	while (!ticket->done) {
		const int64_t now = frontend_now_ms();
		int64_t left = ticket->deadline_ms - now + 1;

		if (slice_ms >= 0 && now >= end)
			break;
		if (slice_ms >= 0 && left > end - now)
			left = end - now;
		if (left > 0 && !frontend_round(fe, (int)left))
			continue;
		exchange_forget_ticket(fe, ticket);
		ticket->pending = 1;
		iotlb_invalidated(fe, ticket, -ETIMEDOUT);
	}
	return frontend_leave(fe, ticket->done);
}

static void serve(struct iommu_device *device)
{
	struct vhu_frontend *fe = frontend_of(device);

	pthread_mutex_lock(&fe->lock);
	if (!fe->lost && !fe->pumping)
		frontend_round(fe, 0);
	frontend_leave(fe, 0);
}

/*
 * Pushes
 */

/* Sends a few of what is mapped in *range. Whether there is more. */
static bool push_some(struct vhu_frontend *fe, struct range *range)
{
	const struct awaiter awaiter = { .by = AWAITED_BY_PUSH };
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	bool more;
	unsigned n = iommu_answers_of(&fe->device, range, &more, answers);

	for (unsigned i = 0; i < n; i++)
		if (iotlb_send_update(fe, &answers[i], awaiter))
			log_warning(fe->name, "an UPDATE could not be sent");
	return more;
}

/* What there is no room for is missed. */
static void push_one(struct vhu_frontend *fe, const struct vhu_mapping *mapping)
{
	struct range range;
	bool more = range_make(mapping->iova, mapping->size, &range);

	while (more && exchange_has_room(fe, IOMMU_ANSWERS_MAX))
		more = push_some(fe, &range);
}

static void push(struct iommu_device *device, const struct vhu_mapping *mappings, unsigned n)
{
	struct vhu_frontend *fe = frontend_of(device);

	pthread_mutex_lock(&fe->lock);
	if (!fe->lost && frontend_translates(fe) && fe->n_started)
		for (unsigned i = 0; i < n; i++)
			push_one(fe, &mappings[i]);
	exchange_flush(fe);
	frontend_leave(fe, 0);
}

int iotlb_push_all(struct vhu_frontend *fe)
{
	int64_t deadline = frontend_now_ms() + fe->config.timeout_ms, left;
	const unsigned connection = fe->connections;
	struct range range = RANGE_ALL;
	bool more = frontend_translates(fe) && iommu_pushes(fe->config.iommu);
	int error = 0;

	while (more && !error) {
		if (exchange_has_room(fe, IOMMU_ANSWERS_MAX)) {
			more = push_some(fe, &range);
			/* There may be very many: as long as it goes on there is time. */
			deadline = frontend_now_ms() + fe->config.timeout_ms;
			continue;
		}
		exchange_flush(fe);
		left = deadline - frontend_now_ms();
		if (fe->lost || fe->connections != connection)
			error = -ENOTCONN;
		else if (left < 0)
			error = -ETIMEDOUT;
		else
			error = frontend_round(fe, (int)left + 1);
	}
	if (error)
		frontend_fault(fe, error, "IOTLB_MSG: what is mapped could not be pushed: %s",
		               error == -ETIMEDOUT ? "no reply in time" : "the back-end is gone");
	return error;
}

static int sync(struct iommu_device *device)
{
	struct vhu_frontend *fe = frontend_of(device);
	const int64_t deadline = frontend_now_ms() + fe->config.timeout_ms;
	uint64_t goal;
	int error = frontend_enter(fe);

	if (error)
		return error;
	goal = fe->replied + fe->n_awaited;
	exchange_flush(fe);
	while (!error && fe->replied < goal) {
		int64_t left = deadline - frontend_now_ms();

		error = left < 0 ? -ETIMEDOUT : frontend_round(fe, (int)left + 1);
	}
	/* What was awaited when the back-end went has ended by that. */
	if (!error && fe->lost && frontend_translates(fe))
		error = -ENOTCONN;
	if (error)
		frontend_fault(fe, error, "IOTLB_MSG: %s",
		               error == -ETIMEDOUT ? "no reply in time" : "the back-end is gone");
	return frontend_leave(fe, error);
}

const struct iommu_device_ops frontend_iommu_ops = {
	.prepare = prepare,
	.invalidate = invalidate,
	.wait = wait,
	.serve = serve,
	.expire = expire,
	.push = push,
	.sync = sync,
};
