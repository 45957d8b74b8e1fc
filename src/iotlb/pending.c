/* SPDX-License-Identifier: BSD-3-Clause */
#include "iotlb/pending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

#define MISSES_MAX  1024u
#define WAITERS_MAX 8192u

#define PAGE_MASK   ((uint64_t)TRANSLATE_PAGE - 1)

enum miss_state {
	MISS_UNSENT,
	MISS_SENT,
	MISS_ANSWERED,
	MISS_ORPHAN,
};

struct waiter {
	struct waiter *next;
	uint64_t addr; /* first byte it lacks here */
	uint16_t ring;
	uint16_t slot;
	bool late; /* came after the miss was sent */
};

struct miss {
	struct list node;   /* in the list of its state, orphans among the sent */
	struct range pages; /* what no other live miss of this permission touches */
	uint64_t addr;      /* sent as iova: the first byte wanted */
	uint64_t want;      /* bytes wanted from there on */
	uint64_t seq;       /* number among all that were sent */
	struct waiter *waiters;
	enum miss_state state;
	uint8_t perm;
	bool disturbed; /* an invalidation or eviction may have undone the answer */
};

struct pending {
	const struct pending_ops *ops;
	void *opaque;
	bool hints;
	bool hints_honoured; /* an update has covered a whole hint */

	struct list unsent, sent, answered, unused;
	unsigned n_unanswered; /* length of sent */
	uint64_t seq_next;     /* number of the next miss to be sent */
	uint64_t seq_answered;

	/* The live ones by permission, in order of pages. */
	struct miss **live[4];
	unsigned n_live[4];

	struct waiter *free_waiters;
	struct miss misses[MISSES_MAX];
	struct waiter waiters[WAITERS_MAX];
};

struct pending *pending_new(const struct pending_ops *ops, void *opaque, bool hints)
{
	struct pending *table = calloc(1, sizeof(*table));
	struct miss **live = calloc(3 * MISSES_MAX, sizeof(*live));

	if (!table || !live) {
		free(table);
		free(live);
		return NULL;
	}
	table->ops = ops;
	table->opaque = opaque;
	table->hints = hints;
	table->seq_next = 1;
	list_init(&table->unsent);
	list_init(&table->sent);
	list_init(&table->answered);
	list_init(&table->unused);
	for (unsigned perm = 1; perm <= 3; perm++)
		table->live[perm] = live + (perm - 1) * MISSES_MAX;
	for (unsigned i = 0; i < MISSES_MAX; i++)
		list_append(&table->unused, &table->misses[i].node);
	for (unsigned i = 0; i < WAITERS_MAX; i++) {
		table->waiters[i].next = table->free_waiters;
		table->free_waiters = &table->waiters[i];
	}
	return table;
}

void pending_free(struct pending *table)
{
	if (!table)
		return;
	free(table->live[1]);
	free(table);
}

/* Position of the first live miss that does not end before @addr. */
static unsigned live_find(const struct pending *table, uint8_t perm, uint64_t addr)
{
	unsigned low = 0, high = table->n_live[perm];

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (table->live[perm][middle]->pages.last < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void live_insert(struct pending *table, unsigned at, struct miss *miss)
{
	struct miss **live = table->live[miss->perm];

	memmove(live + at + 1, live + at, (table->n_live[miss->perm] - at) * sizeof(*live));
	live[at] = miss;
	table->n_live[miss->perm]++;
}

static void live_remove(struct pending *table, struct miss *miss)
{
	struct miss **live = table->live[miss->perm];
	unsigned at = live_find(table, miss->perm, miss->pages.start);

	assert(at < table->n_live[miss->perm] && live[at] == miss);
	table->n_live[miss->perm]--;
	memmove(live + at, live + at + 1, (table->n_live[miss->perm] - at) * sizeof(*live));
}

static void miss_free(struct pending *table, struct miss *miss)
{
	list_remove(&miss->node);
	list_append(&table->unused, &miss->node);
}

/* Takes a miss out of the live ones; a sent one keeps its place for the reply. */
static void miss_retire(struct pending *table, struct miss *miss)
{
	assert(!miss->waiters);
	live_remove(table, miss);
	if (miss->state == MISS_SENT)
		miss->state = MISS_ORPHAN;
	else
		miss_free(table, miss);
}

/*
 * Tells all waiters. Where the miss was refused, that holds for those who wanted
 * the very byte that was asked for, and before it was asked; the others look again and ask
 * for themselves.
 */
static void miss_resolve(struct pending *table, struct miss *miss, enum pending_verdict verdict)
{
	while (miss->waiters) {
		struct waiter *waiter = miss->waiters;
		enum pending_verdict theirs = verdict;

		if (verdict == PENDING_REFUSED && (waiter->late || waiter->addr != miss->addr))
			theirs = PENDING_FILLED;
		miss->waiters = waiter->next;
		waiter->next = table->free_waiters;
		table->free_waiters = waiter;
		table->ops->resolved(table->opaque, waiter->ring, waiter->slot, theirs);
	}
}

static bool miss_attach(struct pending *table, struct miss *miss, uint64_t addr, unsigned ring,
                        unsigned slot)
{
	struct waiter *waiter;

	for (waiter = miss->waiters; waiter; waiter = waiter->next)
		if (waiter->ring == ring && waiter->slot == slot)
			return true;
	waiter = table->free_waiters;
	if (!waiter)
		return false;
	table->free_waiters = waiter->next;
	*waiter = (struct waiter){
		.next = miss->waiters,
		.addr = addr,
		.ring = (uint16_t)ring,
		.slot = (uint16_t)slot,
		.late = miss->state != MISS_UNSENT,
	};
	miss->waiters = waiter;
	table->ops->waits(table->opaque, ring, slot);
	if (miss->state == MISS_SENT)
		table->ops->ticket(table->opaque, ring, slot, miss->seq);
	return true;
}

/* A new miss for @addr, of one page or, once hints are known to work, up to @last. */
static struct miss *miss_new(struct pending *table, unsigned at, uint64_t addr, uint64_t last,
                             uint8_t perm)
{
	struct list *node;
	struct miss *miss;
	uint64_t end = addr | PAGE_MASK;

	if (!table->free_waiters)
		return NULL;
	node = list_pop(&table->unused);
	if (!node)
		return NULL;
	if (table->hints_honoured) {
		end = last | PAGE_MASK;
		if (at < table->n_live[perm] && table->live[perm][at]->pages.start <= end)
			end = table->live[perm][at]->pages.start - 1;
	}
	miss = container_of(node, struct miss, node);
	*miss = (struct miss){
		.pages = { addr & ~PAGE_MASK, end },
		.addr = addr,
		.want = (end < last ? end : last) - addr + 1,
		.state = MISS_UNSENT,
		.perm = perm,
	};
	list_append(&table->unsent, &miss->node);
	live_insert(table, at, miss);
	return miss;
}

bool pending_want(struct pending *table, const struct hole *hole, unsigned ring, unsigned slot)
{
	uint64_t addr = hole->addr, last = hole->addr + (hole->len - 1);

	for (;;) {
		unsigned at = live_find(table, hole->perm, addr);
		struct miss *miss = NULL;

		if (at < table->n_live[hole->perm])
			miss = table->live[hole->perm][at];
		if (!miss || !range_has(miss->pages, addr)) {
			miss = miss_new(table, at, addr, last, hole->perm);
			if (!miss)
				return false;
			/* The first page asks for all, so that one answer may do. */
			if (addr == hole->addr)
				miss->want = hole->len;
		}
		if (!miss_attach(table, miss, addr, ring, slot))
			return false;
		if (miss->pages.last >= last)
			return true;
		addr = miss->pages.last + 1;
	}
}

bool pending_next(struct pending *table, bool mute, struct hole *ret)
{
	struct list *node;
	struct miss *miss;

	if (table->n_unanswered >= PENDING_WINDOW)
		return false;
	node = list_pop(&table->unsent);
	if (!node)
		return false;
	miss = container_of(node, struct miss, node);
	*ret = (struct hole){ miss->addr, table->hints ? miss->want : 0, miss->perm };
	if (mute) {
		/* Only an update will resolve it, so it counts as answered. */
		miss->state = MISS_ANSWERED;
		list_append(&table->answered, &miss->node);
		return true;
	}
	miss->state = MISS_SENT;
	miss->seq = table->seq_next++;
	list_append(&table->sent, &miss->node);
	table->n_unanswered++;
	for (struct waiter *waiter = miss->waiters; waiter; waiter = waiter->next)
		table->ops->ticket(table->opaque, waiter->ring, waiter->slot, miss->seq);
	return true;
}

void pending_unsend(struct pending *table, unsigned n)
{
	while (n-- > 0 && !list_is_empty(&table->sent)) {
		struct miss *miss = container_of(table->sent.prev, struct miss, node);

		table->n_unanswered--;
		if (miss->state == MISS_ORPHAN) {
			miss_free(table, miss);
			continue;
		}
		miss->state = MISS_UNSENT;
		list_remove(&miss->node);
		/* In front: the order of the unsent ones stays. */
		list_append(table->unsent.next, &miss->node);
	}
}

/* Whether one answer may stand for a whole hole is learned from the answers. */
static void learn_hints(struct pending *table, const struct miss *miss, struct range range)
{
	struct range want = { miss->addr, miss->addr + (miss->want - 1) };

	if (!table->hints || miss->state == MISS_UNSENT)
		return;
	if ((want.start & ~PAGE_MASK) == (want.last & ~PAGE_MASK))
		return;
	table->hints_honoured = range_contains(range, want);
}

void pending_update(struct pending *table, struct range range, uint8_t perm)
{
	for (uint8_t wanted = 1; wanted <= 3; wanted++) {
		unsigned at;

		if ((wanted & perm) != wanted)
			continue;
		at = live_find(table, wanted, range.start);
		while (at < table->n_live[wanted]) {
			struct miss *miss = table->live[wanted][at];

			if (miss->pages.start > range.last)
				break;
			if (!range_has(range, miss->addr)) {
				at++;
				continue;
			}
			learn_hints(table, miss, range);
			miss_resolve(table, miss, PENDING_FILLED);
			miss_retire(table, miss);
		}
	}
}

void pending_disturb(struct pending *table, struct range range)
{
	for (unsigned perm = 1; perm <= 3; perm++) {
		unsigned at = live_find(table, (uint8_t)perm, range.start);

		for (; at < table->n_live[perm]; at++) {
			struct miss *miss = table->live[perm][at];

			if (miss->pages.start > range.last)
				break;
			miss->disturbed = true;
		}
	}
}

enum pending_outcome pending_reply(struct pending *table, bool refused, struct hole *ret_miss)
{
	struct list *node = list_pop(&table->sent);
	struct miss *miss;

	if (!node)
		return PENDING_ANSWER_NONE;
	miss = container_of(node, struct miss, node);
	*ret_miss = (struct hole){ miss->addr, miss->want, miss->perm };
	table->n_unanswered--;
	table->seq_answered = miss->seq;
	if (miss->state == MISS_ORPHAN) {
		miss_free(table, miss);
		return PENDING_ANSWER_VOID;
	}
	miss->state = MISS_ANSWERED;
	list_append(&table->answered, &miss->node);
	if (!refused)
		return PENDING_ANSWERED;
	miss_resolve(table, miss, PENDING_REFUSED);
	miss_retire(table, miss);
	return PENDING_ANSWER_NACK;
}

unsigned pending_judge(struct pending *table, struct hole *ret_miss)
{
	struct list *node, *next;
	unsigned unsatisfied = 0;

	list_for_each_safe (node, next, &table->answered) {
		struct miss *miss = container_of(node, struct miss, node);

		/* A mute front-end never answers; its misses have no number. */
		if (!miss->seq)
			continue;
		if (!miss->disturbed) {
			*ret_miss = (struct hole){ miss->addr, miss->want, miss->perm };
			unsatisfied++;
		}
		miss_resolve(table, miss, miss->disturbed ? PENDING_RETRY : PENDING_REFUSED);
		miss_retire(table, miss);
	}
	return unsatisfied;
}

bool pending_has_answered(const struct pending *table)
{
	return !list_is_empty(&table->answered);
}

/* Takes waiters of a ring, or the one with this slot, from a miss; how many. */
static unsigned drop_waiters(struct pending *table, struct miss *miss, unsigned ring, bool any_slot,
                             unsigned slot)
{
	struct waiter **link = &miss->waiters;
	unsigned n = 0;

	while (*link) {
		struct waiter *waiter = *link;

		if (waiter->ring != ring || (!any_slot && waiter->slot != slot)) {
			link = &waiter->next;
			continue;
		}
		*link = waiter->next;
		waiter->next = table->free_waiters;
		table->free_waiters = waiter;
		n++;
	}
	return n;
}

static unsigned drop(struct pending *table, unsigned ring, bool any_slot, unsigned slot)
{
	unsigned n = 0;

	for (unsigned perm = 1; perm <= 3; perm++) {
		/* From the end: retiring closes the gap behind us. */
		for (unsigned at = table->n_live[perm]; at-- > 0;) {
			struct miss *miss = table->live[perm][at];

			n += drop_waiters(table, miss, ring, any_slot, slot);
			if (!miss->waiters)
				miss_retire(table, miss);
		}
	}
	return n;
}

void pending_drop_ring(struct pending *table, unsigned ring)
{
	drop(table, ring, true, 0);
}

unsigned pending_drop(struct pending *table, unsigned ring, unsigned slot)
{
	return drop(table, ring, false, slot);
}

/* What a mute front-end was asked and has not given: nobody knows whether it heard. */
static void ask_again(struct pending *table)
{
	struct list *node, *next, *first = table->unsent.next;

	list_for_each_safe (node, next, &table->answered) {
		struct miss *miss = container_of(node, struct miss, node);

		if (miss->seq)
			continue;
		miss->state = MISS_UNSENT;
		list_remove(&miss->node);
		list_append(first, &miss->node);
	}
}

void pending_restart(struct pending *table)
{
	pending_unsend(table, table->n_unanswered);
	ask_again(table);
	/* No reply will come for what was sent: no ticket may wait for one. */
	table->seq_answered = table->seq_next - 1;
}

void pending_release(struct pending *table)
{
	for (unsigned perm = 1; perm <= 3; perm++) {
		while (table->n_live[perm]) {
			struct miss *miss = table->live[perm][table->n_live[perm] - 1];

			miss_resolve(table, miss, PENDING_FILLED);
			miss_retire(table, miss);
		}
	}
}

void pending_fail(struct pending *table)
{
	pending_restart(table);
	for (unsigned perm = 1; perm <= 3; perm++) {
		while (table->n_live[perm]) {
			struct miss *miss = table->live[perm][table->n_live[perm] - 1];

			/* Nobody will be asked again, so nobody is spared as late. */
			for (struct waiter *waiter = miss->waiters; waiter; waiter = waiter->next) {
				waiter->late = false;
				waiter->addr = miss->addr;
			}
			miss_resolve(table, miss, PENDING_REFUSED);
			miss_retire(table, miss);
		}
	}
}

uint64_t pending_answered(const struct pending *table)
{
	return table->seq_answered;
}

unsigned pending_unanswered(const struct pending *table)
{
	return table->n_unanswered;
}

bool pending_check(const struct pending *table)
{
	unsigned sent = 0;
	const struct list *node;

	for (unsigned perm = 1; perm <= 3; perm++) {
		for (unsigned i = 0; i < table->n_live[perm]; i++) {
			const struct miss *miss = table->live[perm][i];

			if (miss->perm != perm || !miss->waiters || miss->state == MISS_ORPHAN ||
			    !range_has(miss->pages, miss->addr))
				return false;
			if (i && table->live[perm][i - 1]->pages.last >= miss->pages.start)
				return false;
		}
	}
	list_for_each (node, &table->sent)
		sent++;
	return sent == table->n_unanswered && sent <= PENDING_WINDOW;
}
