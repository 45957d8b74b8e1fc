/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same stage for each session test of the IOTLB: a rig with bit 33, where
 * rings and data lie, requests and what must come of them. The rig itself is in
 * support/rig.h.
 *
 * Thread: the test's.
 */
#ifndef SESSION_STAGE_H
#define SESSION_STAGE_H

#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fd.h"
#include "support/rig.h"

#define PAGE     UINT64_C(4096)
#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)

/* Rings, the pages of each: descriptors and available ring, then the used ring. */
#define RING_GPA(q)  (UINT64_C(0x10000) + (q)*UINT64_C(0x10000))
#define RING_IOVA(q) (UINT64_C(0x100000) + (q)*UINT64_C(0x10000))

/* Data: page i of it, in both spaces. The rest of 4 MiB is free. */
#define DATA_GPA(i)  (UINT64_C(0x200000) + (i)*PAGE)
#define DATA_IOVA(i) (UINT64_C(0x40000000) + (i)*PAGE)

#define TOKEN(n)     ((void *)(uintptr_t)(n))

static const struct rig_config stage_one_worker = { .n_workers = 1 };
static const struct rig_config stage_polling = { .n_workers = 1, .poll_us = 500 };

/* A test in one thread, with a worker, with one that polls, and with a worker per queue. */
#define EACH(test)                                                  \
	RIG_TEST_BOTH(test), RIG_TEST_WITH(test, stage_one_worker), \
		RIG_TEST_WITH(test, stage_polling)

/* A rig as the table of tests wants it, with what the test wants beside. */
static inline struct rig *stage_new(void **state, struct rig_config config)
{
	const struct rig_config *threads = *state;
	struct rig *rig;

	config.n_workers = threads->n_workers;
	config.poll_us = threads->poll_us;
	rig = rig_new(&config);
	rig_open(rig, PLATFORM);
	return rig;
}

static inline struct rig_ring_config stage_ring_config(unsigned q)
{
	return (struct rig_ring_config){ .gpa = RING_GPA(q), .iova = RING_IOVA(q) };
}

/* Starts a ring, of which no translation is known, and grants those it asks for. */
static inline void stage_ring(struct rig *rig, unsigned q)
{
	struct rig_ring_config config = stage_ring_config(q);
	uint64_t bytes = rig_ring_bytes(&config);

	/* Given before it starts, so that it asks for nothing (U5). */
	rig_map(rig, config.iova, bytes, config.gpa, PERM_RW);
	assert_int_equal(rig_update(rig, config.iova, bytes, config.gpa, PERM_RW), 0);
	rig_ring_start(rig, q, &config);
}

/* A rig whose queue 0 runs. */
static inline struct rig *stage_open(void **state, struct rig_config config)
{
	struct rig *rig = stage_new(state, config);

	stage_ring(rig, 0);
	return rig;
}

/* A page of data is given without having been asked for. */
static inline void stage_give(struct rig *rig, unsigned page, unsigned n, uint8_t perm)
{
	assert_int_equal(rig_update(rig, DATA_IOVA(page), n * PAGE, DATA_GPA(page), perm), 0);
}

/* A request for the device to fill @len bytes, the last of them its status. */
static inline void stage_ask(struct rig *rig, unsigned q, uint64_t iova, uint32_t len, unsigned n)
{
	const struct vring_buffer buffer = { iova, len, true };

	rig_add(rig, q, &buffer, 1, TOKEN(n));
	rig_kick(rig, q);
}

/* A request to copy from @out to @in, again with the status behind. */
static inline void stage_ask_copy(struct rig *rig, unsigned q, uint64_t out, uint32_t out_len,
                                  uint64_t in, uint32_t in_len, unsigned n)
{
	const struct vring_buffer buffers[] = { { out, out_len, false }, { in, in_len, true } };

	rig_add(rig, q, buffers, 2, TOKEN(n));
	rig_kick(rig, q);
}

static inline void stage_clear(struct rig *rig, uint64_t gpa, uint64_t len)
{
	memset(rig_ptr(rig, gpa, len), 0xee, len);
}

/* Whether all of the memory is as stage_clear() has left it. */
static inline void stage_expect_clear(struct rig *rig, uint64_t gpa, uint64_t len)
{
	const unsigned char *bytes = rig_ptr(rig, gpa, len);

	for (uint64_t i = 0; i < len; i++)
		if (bytes[i] != 0xee)
			fail_msg("byte %llu at %#llx was written", (unsigned long long)i,
			         (unsigned long long)gpa);
}

static inline void stage_expect_filled(struct rig *rig, uint64_t gpa, uint32_t len)
{
	const unsigned char *bytes = rig_ptr(rig, gpa, len);

	for (uint32_t i = 0; i + 1 < len; i++)
		if (bytes[i] != RIG_FILL)
			fail_msg("byte %u at %#llx was not written", i, (unsigned long long)gpa);
	assert_int_equal(bytes[len - 1], RIG_OK);
}

/* Request @n is the next to come back, having written @len bytes. Misses are served. */
static inline void stage_expect_used(struct rig *rig, unsigned q, unsigned n, uint32_t len)
{
	uint32_t written;

	assert_ptr_equal(rig_wait_used(rig, q, &written), TOKEN(n));
	assert_int_equal(written, len);
}

/* The same, but misses are left alone. */
static inline void stage_expect_used_quietly(struct rig *rig, unsigned q, unsigned n, uint32_t len)
{
	uint32_t written;
	void *token;

	for (int ms = 0; !rig_try_used(rig, q, &token, &written); ms++) {
		if (ms >= PEER_PATIENCE)
			fail_msg("request %u was not used", n);
		poll(NULL, 0, 1);
	}
	assert_ptr_equal(token, TOKEN(n));
	assert_int_equal(written, len);
}

/* Requests @first and the @n - 1 behind it come back as they like. Misses are served. */
static inline void stage_expect_used_in_any_order(struct rig *rig, unsigned q, unsigned first,
                                                  unsigned n, uint32_t len)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t written;
		uint64_t at = (uintptr_t)rig_wait_used(rig, q, &written) - first;

		assert_int_equal(written, len);
		assert_true(at < n && !(seen >> at & 1));
		seen |= UINT64_C(1) << at;
	}
}

/* The next miss is of this very address. */
static inline struct rig_miss stage_expect_miss(struct rig *rig, uint64_t iova, uint8_t perm)
{
	struct rig_miss miss = rig_next_miss(rig);

	if (miss.iova != iova || miss.perm != perm)
		fail_msg("a miss of %#llx for %u, not of %#llx for %u",
		         (unsigned long long)miss.iova, miss.perm, (unsigned long long)iova, perm);
	return miss;
}

/* An update without a miss; the reply to a miss without an update. */
static inline void stage_update_page(struct rig *rig, unsigned page, uint8_t perm)
{
	stage_give(rig, page, 1, perm);
}

static inline int64_t stage_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Takes the back-end's own mapping of a page away from it: whoever looks at it
 * from here on, be it only to read, ends the test by a signal.
 */
static inline void stage_trap(struct rig *rig, uint64_t gpa)
{
	char *mine = rig_ptr(rig, gpa, PAGE), line[512];
	unsigned long start, end, offset, inode, my_inode = 0, my_offset = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned trapped = 0;

	assert_non_null(maps);
	for (unsigned pass = 0; pass < 2; pass++) {
		rewind(maps);
		while (fgets(line, sizeof(line), maps)) {
			if (sscanf(line, "%lx-%lx %*s %lx %*s %lu", &start, &end, &offset,
			           &inode) != 4)
				continue;
			if ((char *)start <= mine && mine < (char *)end) {
				my_inode = inode;
				my_offset = offset + (unsigned long)(mine - (char *)start);
			} else if (pass && inode == my_inode && offset <= my_offset &&
			           my_offset - offset < end - start) {
				assert_int_equal(mprotect((char *)start + (my_offset - offset),
				                          PAGE, PROT_NONE),
				                 0);
				trapped++;
			}
		}
	}
	fclose(maps);
	assert_int_equal(trapped, 1);
}

#endif
