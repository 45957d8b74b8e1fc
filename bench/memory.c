/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory table: what it costs to map a sparse terabyte and to let it go,
 * which must not depend on its size, and to add the last slot to a full table.
 * Nothing of the memory is touched.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "figures.h"
#include "memory/memtable.h"

#define MOST_MS 5.0
#define TIB     (UINT64_C(1) << 40)
#define SLOT    (UINT64_C(1) << 20)
#define GPA     (UINT64_C(1) << 44)

struct bench {
	struct memtable *table; /* to add to */
	struct vhu_memory_region region;
	int fd;
};

static struct memtable *add(const struct bench *b)
{
	struct memory_fault why;
	struct memtable *table;

	return memtable_add(b->table, &b->region, b->fd, false, &table, &why) ? NULL : table;
}

static uint64_t run_add(void *opaque, uint64_t n)
{
	uint64_t count = 0;

	while (n--) {
		struct memtable *table = add(opaque);

		if (!table)
			return 0;
		count += memtable_count(table);
		memtable_put(table);
	}
	return count;
}

static int bench_init(struct bench *b, uint64_t size)
{
	*b = (struct bench){
		.table = memtable_empty(),
		.region = { .gpa = GPA, .size = size, .uva = GPA },
		.fd = memfd_create("bench", MFD_CLOEXEC),
	};
	return !b->table || b->fd < 0 || ftruncate(b->fd, (off_t)size);
}

static void bench_done(struct bench *b)
{
	memtable_put(b->table);
	close(b->fd);
}

static int measure(struct bench *b, const char *name, struct bar bar)
{
	const struct contender contender = { "memory table", run_add, b };
	const struct figure figure = { name, 0, FIGURE_ALONE, bar, "ms", 1e-6 };

	return figures_measure("memory", &contender, 1, &figure, 1);
}

static int bench_terabyte(void)
{
	struct bench b;
	struct memtable *table;
	int err = bench_init(&b, TIB);

	table = err ? NULL : add(&b);
	if (!table)
		return 1;
	memtable_put(table);
	err = measure(&b, "map and unmap 1 TiB", (struct bar){ BAR_MOST, MOST_MS });
	bench_done(&b);
	return err;
}

static int bench_slots(void)
{
	struct bench b;
	int err = bench_init(&b, SLOT);

	while (!err && memtable_count(b.table) < MEMTABLE_REGIONS_MAX - 1) {
		struct memtable *table = add(&b);

		if (!table) {
			err = 1;
			break;
		}
		memtable_put(b.table);
		b.table = table;
		b.region.gpa = b.region.uva += 2 * SLOT;
	}
	if (!err)
		err = measure(&b, "add slot 509 and let it go", (struct bar){ BAR_NONE });
	bench_done(&b);
	return err;
}

int main(void)
{
	int err;

	pairs_pin(0);
	err = bench_terabyte() | bench_slots();
	if (err)
		fprintf(stderr, "memory: the figures are not complete\n");
	return err != 0;
}
