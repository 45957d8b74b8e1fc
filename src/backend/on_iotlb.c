/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * UPDATE and INVALIDATE: rules U1 to U7 and I1 to I4. The map is changed at
 * once, so that nothing new is translated; the answer goes out when every access
 * through what was removed has ended.
 *
 * Thread: the session's.
 */
#include <errno.h>
#include <inttypes.h>

#include "backend/session.h"
#include "base/log.h"

/* Room for what one more update may add to the map: itself and a split. */
#define ENTRIES_SLACK 3u

static int refuse(struct session *session, const struct vhu_iotlb *iotlb, const char *why)
{
	log_warning(session->subject,
	            "IOTLB %s of iova 0x%" PRIx64 " size 0x%" PRIx64 " uaddr 0x%" PRIx64 ": %s",
	            iotlb->type == VHU_IOTLB_UPDATE ? "update" : "invalidation", iotlb->iova,
	            iotlb->size, iotlb->uaddr, why);
	return -EINVAL;
}

static int shoot(struct session *session, struct range range, void (*then)(struct session *session))
{
	session->operation.range = range;
	operation_shoot(session, range, then);
	return HANDLER_REPLIES;
}

/* U1: whether all of the user range is in the memory table. */
static bool is_shared_memory(const struct session *session, uint64_t uva, uint64_t size)
{
	uint64_t done = 0, len;
	char *ptr;

	while (done < size) {
		if (!memtable_uva(session->table, uva + done, &ptr, &len))
			return false;
		done += len < size - done ? len : size - done;
	}
	return true;
}

/* A range over several regions becomes several entries. Whether anything was lost. */
static bool apply(struct session *session, struct range range, uint64_t uva, uint8_t perm)
{
	bool lost = false;

	for (;;) {
		uint64_t left = range_size(range), len;
		struct range piece = range;
		char *ptr;

		if (!memtable_uva(session->table, uva, &ptr, &len))
			return lost;
		/* left 0 is the whole space, which no table has */
		if (len < left)
			piece.last = range.start + (len - 1);
		lost |= iotlb_update(session->iotlb, piece, ptr, perm);
		if (piece.last == range.last)
			return lost;
		range.start += len;
		uva += len;
	}
}

/* F2: at the bound, what was given is looked at before it may be evicted. */
static void feel_pressure(struct session *session)
{
	uint64_t bound = session->config->iotlb_entries;
	struct iotlb_stats stats;

	iotlb_stats(session->iotlb, &stats);
	if (stats.evicted != session->evicted)
		pending_disturb(session->pending, RANGE_ALL);
	session->evicted = stats.evicted;
	atomic_store_explicit(&session->pressure, stats.entries + ENTRIES_SLACK > bound,
	                      memory_order_relaxed);
}

static void update_drained(struct session *session)
{
	const struct lane_command look = { .order = LANE_LOOK };
	struct operation *operation = &session->operation;

	pending_update(session->pending, operation->range, operation->perm);
	misses_updated(session, operation->range);
	if (session->n_running && atomic_load_explicit(&session->pressure, memory_order_relaxed))
		operation_run(session, NULL, &look, operation_reply);
	else
		operation_reply(session);
}

static int update(struct session *session, const struct vhu_iotlb *iotlb)
{
	struct range range, user;
	bool lost;

	if (!range_make(iotlb->iova, iotlb->size, &range))
		return refuse(session, iotlb, "the size is 0 or the range wraps");
	if (iotlb->perm == 0) {
		session->counters.updates++;
		pending_disturb(session->pending, range);
		if (!iotlb_invalidate(session->iotlb, range))
			return 0;
		return shoot(session, range, operation_reply);
	}
	if (!range_make(iotlb->uaddr, iotlb->size, &user) ||
	    !is_shared_memory(session, iotlb->uaddr, iotlb->size))
		return refuse(session, iotlb, "that is not all in the memory that was shared");
	session->counters.updates++;
	session->operation.range = range;
	session->operation.perm = iotlb->perm;
	lost = apply(session, range, iotlb->uaddr, iotlb->perm);
	feel_pressure(session);
	if (lost)
		return shoot(session, range, update_drained);
	update_drained(session);
	return HANDLER_REPLIES;
}

static int invalidate(struct session *session, const struct vhu_iotlb *iotlb)
{
	struct range range = RANGE_ALL;

	/* I1: 2^64 overflows to 0 in QEMU's arithmetic. */
	if (!(iotlb->size == 0 && iotlb->iova == 0) &&
	    !range_make(iotlb->iova, iotlb->size, &range))
		return refuse(session, iotlb, "the size is 0 or the range wraps");
	session->counters.invalidations++;
	pending_disturb(session->pending, range);
	/* Nobody holds what the map never gave: no worker is disturbed. */
	if (!iotlb_invalidate(session->iotlb, range))
		return 0;
	return shoot(session, range, operation_reply);
}

int on_iotlb_msg(struct session *session, struct message *message)
{
	const struct vhu_iotlb *iotlb = &message->payload.iotlb;

	return iotlb->type == VHU_IOTLB_UPDATE ? update(session, iotlb)
	                                       : invalidate(session, iotlb);
}
