/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_floor.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vring/layout.h"

#define BLOCK  4096u
#define BLOCKS 65536u /* 256 MiB, far more than a cache holds */
#define DEPTH  32u
#define NUM    128u
#define LINE   64u

/* What is in memory of a ring with indirect tables, and nothing else of a driver. */
struct rings {
	struct ring_desc desc[NUM];
	_Alignas(LINE) struct {
		_Atomic uint16_t index;
		uint16_t heads[NUM];
	} avail;
	_Alignas(BLOCK) struct {
		_Atomic uint16_t index;
		struct ring_used_elem elems[NUM];
	} used;
	_Alignas(BLOCK) struct ring_desc tables[DEPTH][4];
	struct {
		_Alignas(LINE) uint64_t header[2];
		uint8_t status;
	} lines[DEPTH];
	_Alignas(LINE) _Atomic bool ready, quit;
};

struct floor {
	char *disk;
	char buffers[DEPTH][BLOCK];
	struct rings *rings;
	uint64_t seed;
	uint64_t bad; /* what came back otherwise than it should: nothing */
};

int floor_new(struct floor **ret)
{
	struct floor *floor = calloc(1, sizeof(*floor));

	if (!floor)
		return -ENOMEM;
	floor->disk = mmap(NULL, (size_t)BLOCKS * BLOCK, PROT_READ | PROT_WRITE,
	                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	floor->rings = aligned_alloc(BLOCK, (sizeof(*floor->rings) + BLOCK - 1) / BLOCK * BLOCK);
	if (floor->disk == MAP_FAILED || !floor->rings) {
		floor_free(floor);
		return -ENOMEM;
	}
	/* As vhu-blk's own. */
	madvise(floor->disk, (size_t)BLOCKS * BLOCK, MADV_HUGEPAGE);
	memset(floor->disk, 0xa5, (size_t)BLOCKS * BLOCK);
	floor->seed = PAIRS_SEED;
	*ret = floor;
	return 0;
}

void floor_free(struct floor *floor)
{
	if (!floor)
		return;
	if (floor->disk != MAP_FAILED)
		munmap(floor->disk, (size_t)BLOCKS * BLOCK);
	free(floor->rings);
	free(floor);
}

uint64_t floor_copy(void *opaque, uint64_t n)
{
	struct floor *floor = opaque;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		char *to = floor->buffers[i % DEPTH];
		uint64_t block = pairs_random(&floor->seed) % BLOCKS;

		memcpy(to, floor->disk + block * BLOCK, BLOCK);
		sum += (unsigned char)to[block % BLOCK];
	}
	return sum;
}

/* Reads all that a device has to, writes all that it has to. */
static void *device(void *opaque)
{
	struct rings *rings = opaque;
	uint16_t taken = 0;

	pairs_pin(1);
	atomic_store(&rings->ready, true);
	while (!atomic_load_explicit(&rings->quit, memory_order_relaxed)) {
		uint16_t shown = atomic_load_explicit(&rings->avail.index, memory_order_acquire);

		if (shown == taken)
			continue;
		for (; taken != shown; taken++) {
			uint16_t head = rings->avail.heads[taken % NUM];
			const struct ring_desc *table =
				(const void *)(uintptr_t)rings->desc[head].addr;
			const uint64_t *header = (const void *)(uintptr_t)table[0].addr;

			*(uint8_t *)(uintptr_t)table[2].addr = (uint8_t)(header[1] & 1);
			rings->used.elems[taken % NUM] = (struct ring_used_elem){
				head, table[1].len + 1
			};
		}
		atomic_store_explicit(&rings->used.index, taken, memory_order_release);
	}
	return NULL;
}

static void make_available(struct rings *rings, uint16_t head, uint16_t at, uint64_t sector)
{
	struct ring_desc *table = rings->tables[head];
	uint64_t *header = rings->lines[head].header;

	header[0] = 0;
	header[1] = sector << 1;
	rings->lines[head].status = 0xff;
	table[0] = (struct ring_desc){ (uintptr_t)header, 16, DESC_NEXT, 1 };
	table[1] = (struct ring_desc){ sector, BLOCK, DESC_NEXT | DESC_WRITE, 2 };
	table[2] = (struct ring_desc){ (uintptr_t)&rings->lines[head].status, 1, DESC_WRITE, 0 };
	rings->desc[head] = (struct ring_desc){ (uintptr_t)table, 3 * sizeof(*table), DESC_INDIRECT,
		                                0 };
	rings->avail.heads[at % NUM] = head;
}

static uint64_t drive(struct rings *rings, uint64_t n)
{
	uint16_t made = 0, seen = 0;
	uint64_t started = 0, done = 0, bad = 0;

	for (; started < DEPTH && started < n; started++, made++)
		make_available(rings, (uint16_t)started, made, started);
	atomic_store_explicit(&rings->avail.index, made, memory_order_release);
	while (done < n) {
		uint16_t used = atomic_load_explicit(&rings->used.index, memory_order_acquire);
		uint16_t before = made;

		for (; seen != used; seen++, done++) {
			uint16_t head = (uint16_t)rings->used.elems[seen % NUM].id;

			bad += rings->lines[head].status;
			if (started < n)
				make_available(rings, head, made++, started++);
		}
		if (made != before)
			atomic_store_explicit(&rings->avail.index, made, memory_order_release);
	}
	return bad;
}

uint64_t floor_rings(void *opaque, uint64_t n)
{
	struct floor *floor = opaque;
	struct rings *rings = floor->rings;
	uint64_t start, ns;
	pthread_t thread;

	memset(rings, 0, sizeof(*rings));
	if (pthread_create(&thread, NULL, device, rings))
		return UINT64_MAX;
	while (!atomic_load(&rings->ready))
		sched_yield();
	start = pairs_now();
	floor->bad += drive(rings, n);
	ns = pairs_now() - start;
	atomic_store(&rings->quit, true);
	pthread_join(thread, NULL);
	return ns;
}
