/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split ring, driver and device by turns in one thread: what a request costs
 * from the driver's available ring to its used ring and back, with addresses
 * looked up in the memory table and in a device IOTLB whose pages are scattered.
 * No device does anything: only the ring and the translation are measured.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "figures.h"
#include "iotlb/iotlb.h"
#include "memory/memtable.h"
#include "vring/driver.h"
#include "vring/vring.h"

#define LINES     4096u /* front cache of a worker */

#define NUM       256u
#define BATCH     32u

#define AT_DESC   0u
#define AT_AVAIL  0x4000u
#define AT_USED   0x8000u
#define AT_TABLES 0x10000u
#define TABLE     4u /* entries of an indirect table */
#define AT_DATA   0x40000u
#define PAGES     1024u /* of data, a power of two */
#define SIZE      (AT_DATA + PAGES * TRANSLATE_PAGE)

/* A block request: header, data, status. */
#define BUFFERS 3u

struct shape {
	const char *name;
	unsigned buffers; /* 1 or BUFFERS */
	bool indirect;
};

struct bench {
	struct memtable *table;
	struct iotlb *tlb;
	char *mem;
	const struct shape *shape;
	struct translate_view view;
	struct vring_driver *driver;
	struct vring ring;
	struct chain chain;
	struct iov_list out, in;
	uint64_t seed;
};

static void must(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "vring: %s\n", what);
	exit(1);
}

static void memory_init(struct bench *b)
{
	const struct vhu_memory_region region = { 0, SIZE, 0, 0 };
	struct memtable *empty = memtable_empty();
	struct memory_fault why = { "no memory" };
	int fd = memfd_create("bench-vring", MFD_CLOEXEC);

	must(fd >= 0 && ftruncate(fd, SIZE) == 0, "memfd");
	must(empty && memtable_add(empty, &region, fd, false, &b->table, &why) == 0, why.text);
	b->mem = memtable_region(b->table, 0).ptr;
	memtable_put(empty);
	close(fd);
}

/* Rings and tables in one piece, data pages each elsewhere. */
static void tlb_init(struct bench *b)
{
	b->tlb = iotlb_new(IOTLB_ENTRIES_DEFAULT);
	must(b->tlb, "no memory");
	iotlb_update(b->tlb, (struct range){ 0, AT_DATA - 1 }, b->mem, PERM_RW);
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t iova = AT_DATA + page * TRANSLATE_PAGE;
		uint64_t place = page * 513 & (PAGES - 1);

		iotlb_update(b->tlb, (struct range){ iova, iova + TRANSLATE_PAGE - 1 },
		             b->mem + AT_DATA + place * TRANSLATE_PAGE, PERM_RW);
	}
}

static void ring_init(struct bench *b)
{
	const struct vring_driver_config driver = {
		.num = NUM,
		.event_idx = true,
		.desc = b->mem + AT_DESC,
		.avail = b->mem + AT_AVAIL,
		.used = b->mem + AT_USED,
		.tables = b->shape->indirect ? b->mem + AT_TABLES : NULL,
		.tables_addr = AT_TABLES,
		.table_entries = TABLE,
	};
	const struct vring_config device = {
		.num = NUM,
		.event_idx = true,
		.indirect = b->shape->indirect,
		.desc = AT_DESC,
		.avail = AT_AVAIL,
		.used = AT_USED,
	};

	must(vring_driver_new(&driver, &b->driver) == 0, "no driver");
	must(vring_start(&b->ring, &device) == 0, "the ring does not start");
	must(vring_map(&b->ring, &b->view, NULL) == 0, "the ring is not mapped");
}

static void bench_init(struct bench *b, const struct shape *shape, bool iommu)
{
	*b = (struct bench){ .shape = shape, .seed = PAIRS_SEED };
	memory_init(b);
	must(translate_view_init(&b->view, LINES) == 0, "no memory");
	if (iommu) {
		tlb_init(b);
		translate_view_attach(&b->view, iotlb_walk, b->tlb, true);
	} else {
		translate_view_attach(&b->view, memtable_walk_gpa, b->table, false);
	}
	ring_init(b);
}

static void bench_done(struct bench *b)
{
	vring_driver_free(b->driver);
	vring_done(&b->ring);
	chain_done(&b->chain);
	iov_list_done(&b->out);
	iov_list_done(&b->in);
	translate_view_done(&b->view);
	iotlb_free(b->tlb);
	memtable_put(b->table);
}

static void driver_add(struct bench *b)
{
	uint64_t data = AT_DATA + (pairs_random(&b->seed) & (PAGES - 1)) * TRANSLATE_PAGE;
	const struct vring_buffer buffers[BUFFERS] = {
		{ data, 16, false },
		{ data + 512, 3072, true },
		{ data + 4095, 1, true },
	};

	must(vring_driver_add(b->driver, buffers, b->shape->buffers, b) == 0, "the ring is full");
}

static uint64_t device_run(struct bench *b)
{
	uint64_t n = 0;

	while (vring_take(&b->ring, &b->chain) == 1) {
		b->out.n = b->in.n = 0;
		if (b->chain.table.len)
			must(chain_load_table(&b->chain, &b->view, NULL, &b->ring.fault) == 0,
			     "a table is refused");
		for (unsigned i = 0; i < b->chain.n; i++) {
			const struct segment *segment = &b->chain.segments[i];
			struct iov_list *list = i < b->chain.n_out ? &b->out : &b->in;

			must(translate(&b->view, segment->addr, segment->len, segment->perm, list,
			               NULL) == 0,
			     "a buffer is not translated");
		}
		n += b->out.n + b->in.n;
		vring_put(&b->ring, b->chain.head, 1);
	}
	must(!b->ring.broken, "the ring is broken");
	vring_publish(&b->ring);
	(void)vring_wants_call(&b->ring);
	return n;
}

static void driver_take_back(struct bench *b, unsigned n)
{
	uint32_t written;
	void *token;
	int err = 0;

	for (unsigned i = 0; i < n; i++)
		must(vring_driver_get(b->driver, &token, &written, &err), "a request is missing");
}

/* In batches of BATCH requests. */
static uint64_t run_batches(void *opaque, uint64_t n)
{
	struct bench *b = opaque;
	uint64_t sum = 0;

	while (n) {
		unsigned batch = n < BATCH ? (unsigned)n : BATCH;

		for (unsigned i = 0; i < batch; i++)
			driver_add(b);
		(void)vring_driver_kick_needed(b->driver);
		sum += device_run(b);
		driver_take_back(b, batch);
		n -= batch;
	}
	return sum;
}

static int bench_shape(const struct shape *shape)
{
	struct bench plain, iommu;
	const struct contender contenders[] = {
		{ "IOTLB", run_batches, &iommu },
		{ "memory table", run_batches, &plain },
	};
	char names[2][64];
	const struct figure figures[] = {
		{ names[0], 1, FIGURE_ALONE, .unit = "ns/request" },
		{ names[1], 0, 1, .unit = "ns/request" },
	};
	int err;

	bench_init(&plain, shape, false);
	bench_init(&iommu, shape, true);
	snprintf(names[0], sizeof(names[0]), "%s, memory table", shape->name);
	snprintf(names[1], sizeof(names[1]), "%s, IOTLB", shape->name);
	err = figures_measure("vring", contenders, 2, figures, 2);
	bench_done(&plain);
	bench_done(&iommu);
	return err;
}

int main(void)
{
	static const struct shape shapes[] = {
		{ "1 buffer", 1, false },
		{ "3 buffers", BUFFERS, false },
		{ "3 buffers, indirect", BUFFERS, true },
	};
	int err = 0;

	pairs_pin(0);
	printf("ring of %u, batches of %u, %u pages of data, front cache of %u lines\n", NUM, BATCH,
	       PAGES, LINES);
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		err |= bench_shape(&shapes[i]);
	if (err)
		fprintf(stderr, "vring: the figures are not complete\n");
	return err != 0;
}
