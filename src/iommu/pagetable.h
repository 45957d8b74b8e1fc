/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a software IOMMU knows: disjoint ranges of I/O virtual addresses, to the
 * byte, each standing for contiguous user addresses, and which devices (*holders*,
 * a bit each) were given what of them. Not here: who is told of what, and when.
 *
 * A range is *live* until it is hidden. What is hidden answers no walk but keeps
 * its place for as long as somebody holds it, so that nothing is mapped where a
 * device may still reach the memory.
 *
 * So that it is known to the byte who holds what, a mapping of which a part is
 * granted is cut there; its parts stay one mapping to whoever asks, and are made
 * one again where they hold alike. Where there is no room for more parts, a holder
 * of a part counts as one of the whole.
 *
 * Thread: one at a time.
 */
#ifndef IOMMU_PAGETABLE_H
#define IOMMU_PAGETABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"
#include "iommu/rangetree.h"

/* What a holder turns into whose device is no more: nobody can ask it for anything. */
#define HOLDER_GONE (UINT64_C(1) << 63)

struct mapping {
	struct range iova;
	uint64_t uva; /* of iova.start */
	uint8_t perm;
	struct rangetree_place place; /* where a walk has met it */
};

struct pagetable {
	struct rangetree tree;
	uint64_t max;      /* mappings, not counting the parts that grants cut them into */
	uint64_t n_joined; /* those parts but the first of each */
	uint64_t n_exposed;
};

void pagetable_init(struct pagetable *table, uint64_t max);
void pagetable_done(struct pagetable *table);

/*
 * 0; -EEXIST: a part of the range is mapped, or exposed; -EBUSY: a part of it is
 * hidden; -ENOSPC: max; -ENOMEM.
 */
int pagetable_map(struct pagetable *table, struct range iova, uint64_t uva, uint8_t perm);

/*
 * What holds @iova, as far as it goes within @window; with @merge together with
 * its neighbours that have the same permission and go on in user addresses.
 * False: nothing is mapped there.
 */
bool pagetable_walk(const struct pagetable *table, uint64_t iova, struct range window, bool merge,
                    struct mapping *ret);

/* The first that is mapped in @window, as far as it goes within it. */
bool pagetable_next(const struct pagetable *table, struct range window, struct mapping *ret);

/* The holder is given what is live in @iova. */
void pagetable_grant(struct pagetable *table, struct range iova, uint64_t holder);
/* The holder is given what a walk has told, since when nothing has changed. */
void pagetable_grant_walked(struct pagetable *table, const struct mapping *mapping,
                            uint64_t holder);

/* What was hidden and is held, what was hidden before counting again. */
struct hidden {
	uint64_t holders; /* 0: there is none */
	struct range hull;
};

/*
 * Hides all of @iova, exactly, and removes what nobody holds. @stamp grows from call
 * to call. 0; -ENOSPC, -ENOMEM: nothing changed.
 */
int pagetable_hide(struct pagetable *table, struct range iova, uint64_t stamp, struct hidden *ret);

/* The least range with all that is hidden in @iova and held; false: there is none. */
bool pagetable_hull(const struct pagetable *table, struct range iova, uint64_t holder,
                    struct range *ret);

/* Who holds something of what is hidden in @iova. */
uint64_t pagetable_holders(const struct pagetable *table, struct range iova);

/* Whether it is known at a glance that nothing live in @iova is held. */
bool pagetable_is_free_of(const struct pagetable *table, struct range iova, uint64_t holder);

/* The holder holds nothing any more of what was hidden in @iova up to @stamp. */
void pagetable_release(struct pagetable *table, struct range iova, uint64_t holder, uint64_t stamp);

/* The holder could not be made to let go of it. */
void pagetable_expose(struct pagetable *table, struct range iova, uint64_t holder, uint64_t stamp);

/* Of what is exposed nothing is held any more. */
void pagetable_forget_exposed(struct pagetable *table);

/*
 * The holder's bit is wanted for another. With @dead it holds nothing any more;
 * without, what is hidden is held by HOLDER_GONE instead.
 */
void pagetable_forget_holder(struct pagetable *table, uint64_t holder, bool dead);

uint64_t pagetable_exposed_bytes(const struct pagetable *table);

/* Mappings, those counted that are hidden. */
uint64_t pagetable_count(const struct pagetable *table);

/* Invariants of tree and counters. For tests. */
bool pagetable_check(const struct pagetable *table);

#endif
