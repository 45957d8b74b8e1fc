/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/memtable.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/range.h"
#include "memory/region.h"

/* What a look-up needs of a region, in one address space. */
struct span {
	struct range range;
	char *ptr;
};

struct memtable {
	atomic_uint refs;
	unsigned n;
	struct span *by_gpa;
	struct span *by_uva;
	struct region *regions[]; /* by gpa */
};

/* A region of a table in the making. */
struct draft {
	struct vhu_memory_region wire;
	struct region *region; /* a reference, once there is one */
	unsigned index;        /* in the message */
	int fd;
};

/* The regions of a table in the making. */
struct draft_list {
	struct draft *drafts;
	unsigned n;
	bool gpa_addresses;
	struct memory_fault *why;
};

struct memtable *memtable_get(struct memtable *table)
{
	atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
	return table;
}

void memtable_put(struct memtable *table)
{
	/* Acquire and release: see region_put(). */
	if (!table || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < table->n; i++)
		region_put(table->regions[i]);
	free(table->by_gpa);
	free(table);
}

static int span_compare(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return (x->range.start > y->range.start) - (x->range.start < y->range.start);
}

/* @drafts in order of gpa, without overlap, each with its region, which the table takes. */
static struct memtable *table_new(const struct draft *drafts, unsigned n)
{
	struct memtable *table = calloc(1, sizeof(*table) + n * sizeof(struct region *));
	struct span *spans = calloc(2 * n + 1, sizeof(*spans));

	if (!table || !spans) {
		free(table);
		free(spans);
		return NULL;
	}
	atomic_init(&table->refs, 1);
	table->n = n;
	table->by_gpa = spans;
	table->by_uva = spans + n;
	for (unsigned i = 0; i < n; i++) {
		struct region *region = drafts[i].region;
		const struct vhu_memory_region *wire = &region->wire;

		table->regions[i] = region;
		table->by_gpa[i].ptr = table->by_uva[i].ptr = region->ptr;
		(void)range_make(wire->gpa, wire->size, &table->by_gpa[i].range);
		(void)range_make(wire->uva, wire->size, &table->by_uva[i].range);
	}
	qsort(table->by_uva, n, sizeof(*spans), span_compare);
	return table;
}

struct memtable *memtable_empty(void)
{
	return table_new(NULL, 0);
}

/* Puts the region before the reason that is in *why. */
static int refuse_draft(struct memory_fault *why, const struct draft *draft, int err)
{
	struct memory_fault reason;

	if (!why)
		return err;
	reason = *why;
	return region_refuse(why, err, "region %u: gpa 0x%" PRIx64 " size 0x%" PRIx64 ": %s",
	                     draft->index, draft->wire.gpa, draft->wire.size, reason.text);
}

static int refuse_overlap(struct memory_fault *why, const struct draft *a, const struct draft *b,
                          const char *space)
{
	const struct draft *later = a->index > b->index ? a : b;
	const struct draft *earlier = later == a ? b : a;

	region_refuse(why, -EINVAL, "overlaps region %u (0x%" PRIx64 ") in %s", earlier->index,
	              earlier->wire.gpa, space);
	return refuse_draft(why, later, -EINVAL);
}

static int draft_compare_gpa(const void *a, const void *b)
{
	const struct draft *x = a, *y = b;

	return (x->wire.gpa > y->wire.gpa) - (x->wire.gpa < y->wire.gpa);
}

static int draft_compare_uva(const void *a, const void *b)
{
	const struct draft *x = a, *y = b;

	return (x->wire.uva > y->wire.uva) - (x->wire.uva < y->wire.uva);
}

/* Leaves the drafts in order of gpa. */
static int list_check_overlap(struct draft_list *list)
{
	struct draft *d = list->drafts;

	qsort(d, list->n, sizeof(*d), draft_compare_uva);
	for (unsigned i = 1; i < list->n; i++)
		if (d[i].wire.uva - d[i - 1].wire.uva < d[i - 1].wire.size)
			return refuse_overlap(list->why, &d[i - 1], &d[i], "uva");
	qsort(d, list->n, sizeof(*d), draft_compare_gpa);
	for (unsigned i = 1; i < list->n; i++)
		if (d[i].wire.gpa - d[i - 1].wire.gpa < d[i - 1].wire.size)
			return refuse_overlap(list->why, &d[i - 1], &d[i], "gpa");
	return 0;
}

static int list_check(struct draft_list *list)
{
	int err;

	for (unsigned i = 0; i < list->n; i++) {
		if (list->drafts[i].region)
			continue;
		err = region_check(&list->drafts[i].wire, list->gpa_addresses, list->why);
		if (err)
			return refuse_draft(list->why, &list->drafts[i], err);
	}
	return list_check_overlap(list);
}

static bool wire_equal(const struct vhu_memory_region *a, const struct vhu_memory_region *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->uva == b->uva &&
	       a->mmap_offset == b->mmap_offset;
}

/* The last span that starts at or below @addr; -1: none. */
static int spans_floor(const struct span *spans, unsigned n, uint64_t addr)
{
	unsigned low = 0, high = n;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (spans[mid].range.start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return (int)low - 1;
}

/* The region of @table with the very same numbers, or NULL. */
static struct region *table_find(const struct memtable *table, const struct vhu_memory_region *wire)
{
	int i = spans_floor(table->by_gpa, table->n, wire->gpa);

	if (i < 0 || !wire_equal(&table->regions[i]->wire, wire))
		return NULL;
	return table->regions[i];
}

/* Gives each draft that has none its region: one of @old's or a new mapping. */
static int list_map(struct draft_list *list, const struct memtable *old)
{
	for (unsigned i = 0; i < list->n; i++) {
		struct draft *d = &list->drafts[i];
		int err;

		if (d->region)
			continue;
		err = region_map(&d->wire, d->fd, table_find(old, &d->wire), &d->region, list->why);
		if (err)
			return refuse_draft(list->why, d, err);
	}
	return 0;
}

static void list_done(struct draft_list *list)
{
	for (unsigned i = 0; i < list->n; i++)
		if (list->drafts[i].region)
			region_put(list->drafts[i].region);
	free(list->drafts);
}

static int list_init(struct draft_list *list, unsigned cap, bool gpa_addresses,
                     struct memory_fault *why)
{
	*list = (struct draft_list){ .gpa_addresses = gpa_addresses, .why = why };
	if (cap > MEMTABLE_REGIONS_MAX)
		return region_refuse(why, -E2BIG, "%u regions are more than %u", cap,
		                     MEMTABLE_REGIONS_MAX);
	list->drafts = calloc(cap + 1, sizeof(*list->drafts));
	if (!list->drafts)
		return region_refuse(why, -ENOMEM, "no memory");
	return 0;
}

static void list_keep(struct draft_list *list, struct region *region)
{
	list->drafts[list->n] = (struct draft){ region->wire, region_get(region), list->n, -1 };
	list->n++;
}

static void list_propose(struct draft_list *list, const struct vhu_memory_region *wire, int fd)
{
	list->drafts[list->n] = (struct draft){ *wire, NULL, list->n, fd };
	list->n++;
}

/* Makes the table, or says why not; ends the list in either case. */
static int list_finish(struct draft_list *list, const struct memtable *old, struct memtable **ret)
{
	int err;

	err = list_check(list);
	if (err)
		goto out;
	err = list_map(list, old);
	if (err)
		goto out;
	*ret = table_new(list->drafts, list->n);
	if (!*ret) {
		err = region_refuse(list->why, -ENOMEM, "no memory");
		goto out;
	}
	list->n = 0; /* the table has the references */
out:
	list_done(list);
	return err;
}

int memtable_replace(const struct memtable *old, const struct vhu_memory_region *regions,
                     unsigned n, const int *fds, bool gpa_addresses, struct memtable **ret,
                     struct memory_fault *why)
{
	struct draft_list list;
	int err;

	err = list_init(&list, n, gpa_addresses, why);
	if (err)
		return err;
	for (unsigned i = 0; i < n; i++)
		list_propose(&list, &regions[i], fds[i]);
	return list_finish(&list, old, ret);
}

int memtable_add(const struct memtable *old, const struct vhu_memory_region *region, int fd,
                 bool gpa_addresses, struct memtable **ret, struct memory_fault *why)
{
	struct draft_list list;
	int err;

	err = list_init(&list, old->n + 1, gpa_addresses, why);
	if (err)
		return err;
	for (unsigned i = 0; i < old->n; i++)
		list_keep(&list, old->regions[i]);
	list_propose(&list, region, fd);
	return list_finish(&list, old, ret);
}

int memtable_remove(const struct memtable *old, const struct vhu_memory_region *region,
                    struct memtable **ret, struct memory_fault *why)
{
	int gone = spans_floor(old->by_gpa, old->n, region->gpa);
	const struct vhu_memory_region *wire = gone < 0 ? NULL : &old->regions[gone]->wire;
	struct draft_list list;
	int err;

	if (!wire || wire->gpa != region->gpa || wire->uva != region->uva ||
	    wire->size != region->size)
		return region_refuse(why, -ENOENT,
		                     "no region of gpa 0x%" PRIx64 " size 0x%" PRIx64
		                     " uva 0x%" PRIx64,
		                     region->gpa, region->size, region->uva);
	err = list_init(&list, old->n, false, why);
	if (err)
		return err;
	for (unsigned i = 0; i < old->n; i++)
		if ((int)i != gone)
			list_keep(&list, old->regions[i]);
	return list_finish(&list, old, ret);
}

unsigned memtable_count(const struct memtable *table)
{
	return table->n;
}

bool memtable_is_broken(const struct memtable *table, struct memory_fault *why)
{
	for (unsigned i = 0; i < table->n; i++) {
		const struct region *region = table->regions[i];

		if (!sigbus_is_broken(&region->mapping))
			continue;
		region_refuse(why, 0,
		              "region of gpa 0x%" PRIx64 " size 0x%" PRIx64
		              ": its file was made shorter, or can't give a page",
		              region->wire.gpa, region->wire.size);
		return true;
	}
	return false;
}

static bool spans_check(const struct span *spans, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (spans[i].range.start > spans[i].range.last || !spans[i].ptr)
			return false;
		if (i && spans[i].range.start <= spans[i - 1].range.last)
			return false;
	}
	return true;
}

bool memtable_check(const struct memtable *table)
{
	if (!atomic_load_explicit(&table->refs, memory_order_relaxed) ||
	    table->n > MEMTABLE_REGIONS_MAX || !spans_check(table->by_gpa, table->n) ||
	    !spans_check(table->by_uva, table->n))
		return false;
	for (unsigned i = 0; i < table->n; i++) {
		const struct region *region = table->regions[i];
		const struct span *span = &table->by_gpa[i];

		if (!atomic_load_explicit(&region->refs, memory_order_relaxed) ||
		    span->range.start != region->wire.gpa || span->ptr != region->ptr ||
		    range_size(span->range) != region->wire.size)
			return false;
	}
	return true;
}

struct region_view memtable_region(const struct memtable *table, unsigned i)
{
	const struct region *region;

	assert(i < table->n);
	region = table->regions[i];
	return (struct region_view){ region->wire.gpa, region->wire.size, region->wire.uva,
		                     region->ptr };
}

bool memtable_shares(const struct memtable *table, const struct memtable *old, unsigned i)
{
	assert(i < old->n);
	return table_find(table, &old->regions[i]->wire) == old->regions[i];
}

/* From @addr to @last inclusive; the whole space counts one less. */
static uint64_t distance(uint64_t addr, uint64_t last)
{
	uint64_t n = last - addr + 1;

	return n ? n : UINT64_MAX;
}

static bool spans_walk(const struct span *spans, unsigned n, uint64_t addr, struct walk *ret)
{
	int i = spans_floor(spans, n, addr);

	if (i >= 0 && addr <= spans[i].range.last) {
		ret->before = addr - spans[i].range.start;
		ret->after = distance(addr, spans[i].range.last);
		ret->ptr = spans[i].ptr + ret->before;
		ret->perm = PERM_RW;
		return true;
	}
	if (i + 1 < (int)n)
		ret->after = spans[i + 1].range.start - addr;
	else
		ret->after = distance(addr, UINT64_MAX);
	return false;
}

static bool spans_lookup(const struct span *spans, unsigned n, uint64_t addr, char **ret,
                         uint64_t *ret_len)
{
	struct walk walk;
	bool found = spans_walk(spans, n, addr, &walk);

	if (found)
		*ret = walk.ptr;
	*ret_len = walk.after;
	return found;
}

bool memtable_gpa(const struct memtable *table, uint64_t gpa, char **ret, uint64_t *ret_len)
{
	return spans_lookup(table->by_gpa, table->n, gpa, ret, ret_len);
}

bool memtable_uva(const struct memtable *table, uint64_t uva, char **ret, uint64_t *ret_len)
{
	return spans_lookup(table->by_uva, table->n, uva, ret, ret_len);
}

bool memtable_walk_gpa(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	const struct memtable *table = view->source;

	return spans_walk(table->by_gpa, table->n, addr, ret);
}

bool memtable_walk_uva(struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	const struct memtable *table = view->source;

	return spans_walk(table->by_uva, table->n, addr, ret);
}
