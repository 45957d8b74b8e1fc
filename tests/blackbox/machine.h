/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtual machine as its disk sees it: memory, an IOMMU in strict mode or none,
 * and a driver per queue. Fails the test where something goes wrong that the
 * caller does not ask for.
 */
#ifndef BLACKBOX_MACHINE_H
#define BLACKBOX_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "blk_driver.h"

#define MACHINE_QUEUES_MAX 8u

/* Zero is a good default for every field. */
struct machine_config {
	unsigned queues; /* 0: 1 */
	unsigned depth;  /* requests in flight per queue; 0: 8 */
	unsigned pages;  /* per request; 0: 8 */
	bool plain;      /* without IOMMU */
};

struct machine {
	struct machine_config config;
	struct vhu_iommu *iommu; /* NULL: none */
	struct vhu_guestmem *mem;
	struct vhu_frontend *frontend;
	uint64_t features, offered;
	struct blk_driver *drivers[MACHINE_QUEUES_MAX];
	uint64_t requests; /* completed */
	unsigned pages_needed;
	unsigned faults; /* told by the IOMMU */
};

void machine_open(struct machine *machine, const char *path, const struct machine_config *config);
/* Stops the queues and goes; machine_drop() just goes. */
void machine_close(struct machine *machine);
void machine_drop(struct machine *machine);

/* One request of its own; data of @pages pages comes from or goes to @bytes. Its status. */
uint8_t machine_do(struct machine *machine, unsigned queue, uint32_t type, uint64_t sector,
                   unsigned pages, void *bytes);

/*
 * Writes or reads the disk from @start on over all queues, each as deep as it is.
 * What is written is a pattern of place and @seed, by which what is read is
 * compared. @start and @size are multiples of a request's bytes.
 */
void machine_write(struct machine *machine, uint64_t start, uint64_t size, uint64_t seed);
void machine_verify(struct machine *machine, uint64_t start, uint64_t size, uint64_t seed);

/* The pattern, for who looks at the disk by another way. */
void pattern_fill(void *page, uint64_t offset, uint64_t seed);
bool pattern_holds(const void *page, uint64_t offset, uint64_t seed);

#endif
