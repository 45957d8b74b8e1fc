/* SPDX-License-Identifier: BSD-3-Clause */
#include "iommu/pagetable.h"

#include <errno.h>
#include <stddef.h>

/* A walk that merges looks at no more neighbours on either side. */
#define MERGE_MAX 1024u
#define GLANCE    8u

void pagetable_init(struct pagetable *table, uint64_t max)
{
	*table = (struct pagetable){ .max = max };
	rangetree_init(&table->tree);
}

void pagetable_done(struct pagetable *table)
{
	rangetree_done(&table->tree);
}

uint64_t pagetable_count(const struct pagetable *table)
{
	return table->tree.count - table->n_joined;
}

static struct range range_of(const struct rangetree_place *place)
{
	return (struct range){ rangetree_start(place), rangetree_value(place)->last };
}

/* The first entry that has an address of @range or one above. */
static bool find(const struct pagetable *table, struct range range, struct rangetree_place *ret)
{
	if (!rangetree_find_below(&table->tree, range.start, ret))
		return rangetree_find_above(&table->tree, range.start, ret);
	return rangetree_value(ret)->last >= range.start || rangetree_next(ret);
}

/* For loops over the entries that meet @range, while none comes or goes. */
static bool first_in(const struct pagetable *table, struct range range, struct rangetree_place *ret)
{
	return find(table, range, ret) && rangetree_start(ret) <= range.last;
}

static bool next_in(struct range range, struct rangetree_place *place)
{
	return rangetree_next(place) && rangetree_start(place) <= range.last;
}

/* The same where they do: @at is where to go on from; false: there is no more. */
static bool find_from(const struct pagetable *table, struct range range, uint64_t *at,
                      struct rangetree_place *ret)
{
	return *at <= range.last && first_in(table, (struct range){ *at, range.last }, ret);
}

/* Goes on behind @last; past the end of the space there is nothing. */
static bool step_behind(uint64_t last, uint64_t *at)
{
	*at = last + 1;
	return last != UINT64_MAX;
}

static void set_joined(struct pagetable *table, struct rangetree_value *value, bool joined)
{
	table->n_joined += (uint64_t)joined - value->joined;
	value->joined = joined;
}

static void set_exposed(struct pagetable *table, struct rangetree_value *value, bool exposed)
{
	table->n_exposed += (uint64_t)exposed - value->exposed;
	value->exposed = exposed;
}

/* Goes on to the next one in @range, if there is one. */
static bool remove_at(struct pagetable *table, struct range range, struct rangetree_place *place)
{
	uint64_t at = rangetree_value(place)->last;

	set_joined(table, rangetree_value(place), false);
	set_exposed(table, rangetree_value(place), false);
	if (rangetree_remove_at(&table->tree, place))
		return rangetree_start(place) <= range.last;
	return step_behind(at, &at) && find_from(table, range, &at, place);
}

/* Whether an entry begins below @addr and goes on there. */
static bool straddles(const struct pagetable *table, uint64_t addr, struct rangetree_place *ret)
{
	return addr && rangetree_find_below(&table->tree, addr - 1, ret) &&
	       rangetree_value(ret)->last >= addr;
}

/* @below: what is next below @start. */
static void insert_behind(struct pagetable *table, const struct rangetree_place *below,
                          uint64_t start, const struct rangetree_value *value)
{
	rangetree_insert_behind(&table->tree, below, start, value);
	table->n_joined += value->joined;
	table->n_exposed += value->exposed;
}

/* Makes an entry begin at @addr if one goes across it; needs a reserve of one. */
static void cut(struct pagetable *table, uint64_t addr, bool joined)
{
	struct rangetree_place place;
	struct rangetree_value upper;

	if (!straddles(table, addr, &place))
		return;
	upper = *rangetree_value(&place);
	if (!upper.hidden)
		upper.uva += addr - rangetree_start(&place);
	upper.joined = joined;
	rangetree_value(&place)->last = addr - 1;
	insert_behind(table, &place, addr, &upper);
}

static bool has_room(struct pagetable *table)
{
	return table->tree.count < 2 * table->max && !rangetree_reserve(&table->tree, 2);
}

int pagetable_map(struct pagetable *table, struct range iova, uint64_t uva, uint8_t perm)
{
	const struct rangetree_value value = { .last = iova.last, .uva = uva, .perm = perm };
	struct rangetree_place below;
	const bool any = rangetree_find_below(&table->tree, iova.last, &below);

	if (any && rangetree_value(&below)->last >= iova.start)
		return rangetree_value(&below)->hidden && !rangetree_value(&below)->exposed
		               ? -EBUSY
		               : -EEXIST;
	if (pagetable_count(table) >= table->max)
		return -ENOSPC;
	if (rangetree_reserve(&table->tree, 1))
		return -ENOMEM;
	if (any)
		rangetree_insert_behind(&table->tree, &below, iova.start, &value);
	else
		rangetree_insert(&table->tree, iova.start, &value);
	return 0;
}

/* Whether @upper, which comes next, belongs to the same answer as @lower. */
static bool goes_on(const struct rangetree_place *lower, const struct rangetree_place *upper,
                    bool merge)
{
	const struct rangetree_value *a = rangetree_value(lower), *b = rangetree_value(upper);

	if (a->hidden || b->hidden || a->last + 1 != rangetree_start(upper))
		return false;
	if (b->joined)
		return true;
	return merge && a->perm == b->perm &&
	       a->uva + (a->last - rangetree_start(lower)) + 1 == b->uva;
}

static uint64_t walk_down(struct rangetree_place place, struct range window, bool merge)
{
	struct rangetree_place lower = place;

	for (unsigned n = 0; n < MERGE_MAX && rangetree_start(&place) > window.start; n++) {
		if (!rangetree_prev(&lower) || !goes_on(&lower, &place, merge))
			break;
		place = lower;
	}
	return rangetree_start(&place);
}

static uint64_t walk_up(struct rangetree_place place, struct range window, bool merge)
{
	struct rangetree_place upper = place;

	for (unsigned n = 0; n < MERGE_MAX && rangetree_value(&place)->last < window.last; n++) {
		if (!rangetree_next(&upper) || !goes_on(&place, &upper, merge))
			break;
		place = upper;
	}
	return rangetree_value(&place)->last;
}

/* What the entry at @place, which is live, is part of. */
static struct mapping mapping_at(const struct rangetree_place *place, struct range window,
                                 bool merge)
{
	const struct rangetree_value *value = rangetree_value(place);
	struct mapping mapping = { .perm = value->perm, .place = *place };

	mapping.iova.start = walk_down(*place, window, merge);
	mapping.iova.last = walk_up(*place, window, merge);
	if (mapping.iova.start < window.start)
		mapping.iova.start = window.start;
	if (mapping.iova.last > window.last)
		mapping.iova.last = window.last;
	mapping.uva = value->uva + (mapping.iova.start - rangetree_start(place));
	return mapping;
}

bool pagetable_walk(const struct pagetable *table, uint64_t iova, struct range window, bool merge,
                    struct mapping *ret)
{
	struct rangetree_place place;

	if (!rangetree_find_below(&table->tree, iova, &place) ||
	    rangetree_value(&place)->last < iova || rangetree_value(&place)->hidden)
		return false;
	*ret = mapping_at(&place, window, merge);
	return true;
}

bool pagetable_next(const struct pagetable *table, struct range window, struct mapping *ret)
{
	struct rangetree_place place;
	bool more = first_in(table, window, &place);

	while (more && rangetree_value(&place)->hidden)
		more = next_in(window, &place);
	if (more)
		*ret = mapping_at(&place, window, false);
	return more;
}

/* Makes the entry at @start one with the part before it, if they hold alike. */
static void unite(struct pagetable *table, uint64_t start)
{
	struct rangetree_place place, lower;

	if (!rangetree_find_below(&table->tree, start, &place) ||
	    rangetree_start(&place) != start || !rangetree_value(&place)->joined)
		return;
	lower = place;
	if (!rangetree_prev(&lower) || !goes_on(&lower, &place, false) ||
	    rangetree_value(&lower)->holders != rangetree_value(&place)->holders)
		return;
	rangetree_value(&lower)->last = rangetree_value(&place)->last;
	remove_at(table, range_of(&place), &place);
}

/* What a grant leaves to be done. */
struct prospect {
	bool cut;   /* something goes beyond the range, of which only a part is granted */
	bool parts; /* there are parts of mappings, which may become one */
};

/* Grants what lies in the range whole, which is mostly all there is. */
static struct prospect grant_whole(struct pagetable *table, struct range iova, uint64_t holder)
{
	struct prospect prospect = { 0 };
	struct rangetree_place place;
	bool more = first_in(table, iova, &place);

	while (more) {
		struct rangetree_value *value = rangetree_value(&place);

		prospect.parts |= value->joined;
		if (rangetree_start(&place) > iova.last)
			break;
		if (range_contains(iova, range_of(&place)))
			value->holders |= value->hidden ? 0 : holder;
		else if (!value->hidden && !(value->holders & holder))
			prospect.cut = true;
		more = rangetree_next(&place);
	}
	return prospect;
}

static void grant_each(struct pagetable *table, struct range iova, uint64_t holder)
{
	struct rangetree_place place;
	bool more = first_in(table, iova, &place);

	for (; more; more = next_in(iova, &place))
		if (!rangetree_value(&place)->hidden)
			rangetree_value(&place)->holders |= holder;
}

/* Parts that hold alike are one again, also with what lies around. */
static void unite_all(struct pagetable *table, struct range iova)
{
	struct rangetree_place place;
	uint64_t at = iova.start, start;

	while (find_from(table, iova, &at, &place)) {
		bool more = step_behind(rangetree_value(&place)->last, &at);

		start = rangetree_start(&place);
		unite(table, start);
		if (!more)
			return;
	}
	if (iova.last != UINT64_MAX)
		unite(table, iova.last + 1);
}

void pagetable_grant(struct pagetable *table, struct range iova, uint64_t holder)
{
	struct prospect prospect = grant_whole(table, iova, holder);

	if (prospect.cut && has_room(table)) {
		cut(table, iova.start, true);
		if (iova.last != UINT64_MAX)
			cut(table, iova.last + 1, true);
		prospect.parts = true;
	}
	if (prospect.cut)
		grant_each(table, iova, holder);
	if (prospect.parts)
		unite_all(table, iova);
}

/* Whether the mapping is of one part, and is not gone on with. */
static bool is_whole(const struct pagetable *table, struct rangetree_place place)
{
	if (!table->n_joined)
		return true;
	return !rangetree_value(&place)->joined &&
	       !(rangetree_next(&place) && rangetree_value(&place)->joined);
}

/* Mostly it is one mapping, and there is nothing to look for. */
void pagetable_grant_walked(struct pagetable *table, const struct mapping *mapping, uint64_t holder)
{
	const struct range whole = range_of(&mapping->place);

	if (whole.start == mapping->iova.start && whole.last == mapping->iova.last &&
	    is_whole(table, mapping->place))
		rangetree_value(&mapping->place)->holders |= holder;
	else
		pagetable_grant(table, mapping->iova, holder);
}

/* What an unmap meets, and what of that it cuts. */
struct edges {
	bool any;
	bool below, above; /* something begins before the range; goes on behind it */
	bool behind;       /* a part begins behind it, which belongs to what is there */
	struct rangetree_place low, high, next; /* the first; the last; behind that */
};

/* The last entry that meets @iova, of which @first is the first. Mostly it is near. */
static struct rangetree_place last_in(const struct pagetable *table, struct range iova,
                                      struct rangetree_place first)
{
	struct rangetree_place next = first;

	for (unsigned n = 0; n < GLANCE; n++) {
		if (!next_in(iova, &next))
			return first;
		first = next;
	}
	rangetree_find_below(&table->tree, iova.last, &first);
	return first;
}

static struct edges edges_of(const struct pagetable *table, struct range iova)
{
	struct edges edges = { 0 };

	edges.any = first_in(table, iova, &edges.low);
	if (!edges.any)
		return edges;
	edges.high = edges.next = last_in(table, iova, edges.low);
	edges.below = rangetree_start(&edges.low) < iova.start;
	edges.above = rangetree_value(&edges.high)->last > iova.last;
	edges.behind = !edges.above && iova.last != UINT64_MAX && rangetree_next(&edges.next) &&
	               rangetree_start(&edges.next) == iova.last + 1 &&
	               rangetree_value(&edges.next)->joined;
	return edges;
}

/* How many more mappings there will be. */
static uint64_t hide_needs(const struct edges *edges)
{
	const struct rangetree_value *low = edges->below ? rangetree_value(&edges->low) : NULL;
	const struct rangetree_value *high = edges->above ? rangetree_value(&edges->high) : NULL;
	uint64_t needs = edges->behind;

	if (low && low == high)
		return 1 + (low->holders != 0);
	if (low)
		needs += low->holders != 0;
	if (high)
		needs += high->joined + (high->holders != 0);
	return needs;
}

/* What goes on behind the range is no part of what was there before. Finds the first anew. */
static void cut_edges(struct pagetable *table, struct range iova, struct edges *edges)
{
	if (edges->behind)
		set_joined(table, rangetree_value(&edges->next), false);
	if (edges->below)
		cut(table, iova.start, false);
	if (edges->above)
		cut(table, iova.last + 1, false);
	if (edges->below || edges->above)
		first_in(table, iova, &edges->low);
}

static void add_held(struct hidden *hidden, struct range range, uint64_t holders)
{
	if (!hidden->holders)
		hidden->hull.start = range.start;
	hidden->hull.last = range.last;
	hidden->holders |= holders;
}

/* Whether there is another one in @iova, to which @place goes on. */
static bool hide_one(struct pagetable *table, struct range iova, struct rangetree_place *place,
                     uint64_t stamp, struct hidden *hidden)
{
	struct rangetree_value *value = rangetree_value(place);

	if (!value->hidden && !value->holders)
		return remove_at(table, iova, place);
	add_held(hidden, range_of(place), value->holders);
	if (!value->hidden) {
		value->hidden = true;
		value->uva = stamp;
	}
	return next_in(iova, place);
}

int pagetable_hide(struct pagetable *table, struct range iova, uint64_t stamp, struct hidden *ret)
{
	const uint64_t count = pagetable_count(table);
	struct edges edges = edges_of(table, iova);
	const uint64_t needs = hide_needs(&edges);

	*ret = (struct hidden){ 0 };
	if (!edges.any)
		return 0;
	if (needs && (count >= table->max || needs > table->max - count))
		return -ENOSPC;
	if (rangetree_reserve(&table->tree, 2))
		return -ENOMEM;
	cut_edges(table, iova, &edges);
	while (hide_one(table, iova, &edges.low, stamp, ret))
		;
	return 0;
}

bool pagetable_hull(const struct pagetable *table, struct range iova, uint64_t holder,
                    struct range *ret)
{
	struct rangetree_place place;
	bool any = false, more = first_in(table, iova, &place);

	for (; more; more = next_in(iova, &place)) {
		if (!rangetree_value(&place)->hidden ||
		    !(rangetree_value(&place)->holders & holder))
			continue;
		if (!any)
			ret->start = rangetree_start(&place);
		ret->last = rangetree_value(&place)->last;
		any = true;
	}
	if (any && ret->start < iova.start)
		ret->start = iova.start;
	if (any && ret->last > iova.last)
		ret->last = iova.last;
	return any;
}

bool pagetable_is_free_of(const struct pagetable *table, struct range iova, uint64_t holder)
{
	struct rangetree_place place;
	bool more = first_in(table, iova, &place);

	for (unsigned n = 0; more; more = next_in(iova, &place), n++)
		if (n == GLANCE ||
		    (!rangetree_value(&place)->hidden && rangetree_value(&place)->holders & holder))
			return false;
	return true;
}

uint64_t pagetable_holders(const struct pagetable *table, struct range iova)
{
	struct rangetree_place place;
	uint64_t holders = 0;
	bool more = first_in(table, iova, &place);

	for (; more; more = next_in(iova, &place))
		if (rangetree_value(&place)->hidden)
			holders |= rangetree_value(&place)->holders;
	return holders;
}

/* Whether the entry is one that an unmap of @stamp or before has hidden from @holder. */
static bool is_hidden_from(const struct rangetree_place *place, uint64_t holder, uint64_t stamp)
{
	const struct rangetree_value *value = rangetree_value(place);

	return value->hidden && value->holders & holder && value->uva <= stamp;
}

void pagetable_release(struct pagetable *table, struct range iova, uint64_t holder, uint64_t stamp)
{
	struct rangetree_place place;
	bool more = first_in(table, iova, &place);

	while (more) {
		struct rangetree_value *value = rangetree_value(&place);

		if (is_hidden_from(&place, holder, stamp) && range_contains(iova, range_of(&place)))
			value->holders &= ~holder;
		more = value->hidden && !value->holders ? remove_at(table, iova, &place)
		                                        : next_in(iova, &place);
	}
}

void pagetable_expose(struct pagetable *table, struct range iova, uint64_t holder, uint64_t stamp)
{
	struct rangetree_place place;
	bool more = first_in(table, iova, &place);

	for (; more; more = next_in(iova, &place))
		if (is_hidden_from(&place, holder, stamp))
			set_exposed(table, rangetree_value(&place), true);
}

void pagetable_forget_exposed(struct pagetable *table)
{
	struct rangetree_place place;
	bool more = table->n_exposed && first_in(table, RANGE_ALL, &place);

	while (more && table->n_exposed)
		more = rangetree_value(&place)->exposed ? remove_at(table, RANGE_ALL, &place)
		                                        : next_in(RANGE_ALL, &place);
}

void pagetable_forget_holder(struct pagetable *table, uint64_t holder, bool dead)
{
	struct rangetree_place place;
	bool more = first_in(table, RANGE_ALL, &place);

	while (more) {
		struct rangetree_value *value = rangetree_value(&place);

		if (value->hidden && value->holders & holder && !dead)
			value->holders |= HOLDER_GONE;
		value->holders &= ~holder;
		more = value->hidden && !value->holders ? remove_at(table, RANGE_ALL, &place)
		                                        : next_in(RANGE_ALL, &place);
	}
}

uint64_t pagetable_exposed_bytes(const struct pagetable *table)
{
	struct rangetree_place place;
	uint64_t bytes = 0;
	bool more = table->n_exposed && first_in(table, RANGE_ALL, &place);

	for (; more; more = next_in(RANGE_ALL, &place))
		if (rangetree_value(&place)->exposed)
			bytes += range_size(range_of(&place));
	return bytes;
}

bool pagetable_check(const struct pagetable *table)
{
	uint64_t n_joined = 0, n_exposed = 0;
	struct rangetree_place place;
	bool more = first_in(table, RANGE_ALL, &place);

	if (!rangetree_check(&table->tree))
		return false;
	for (; more; more = next_in(RANGE_ALL, &place)) {
		const struct rangetree_value *value = rangetree_value(&place);

		if ((value->hidden && !value->holders) || (value->exposed && !value->hidden))
			return false;
		n_joined += value->joined;
		n_exposed += value->exposed;
	}
	return n_joined == table->n_joined && n_exposed == table->n_exposed &&
	       pagetable_count(table) <= table->max;
}
