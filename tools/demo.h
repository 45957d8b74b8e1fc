/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of the demo share: demo.c (life, report), demo_run.c (the work). */
#ifndef TOOLS_DEMO_H
#define TOOLS_DEMO_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

#include "blk_driver.h"

#define DEMO_NAME       "vhu demo"
#define DEMO_PAGES      32u /* of a request: 128 KiB */
#define DEMO_DEPTH      8u  /* requests in flight */
#define DEMO_IO_BYTES   (UINT64_C(4096) * DEMO_PAGES)
#define DEMO_SIZE_LEAST (4 * DEMO_IO_BYTES)

/* One of the two requests that must be refused. */
struct demo_refusal {
	const char *what;
	uint64_t iova;
	uint8_t perm;
	bool status_ioerr;     /* the request ended with an I/O error */
	bool fault_reported;   /* the IOMMU was asked for exactly that address */
	bool memory_untouched; /* nothing was written where it had been mapped */
	bool disk_untouched;   /* nothing was written from where it was not */
};

struct demo {
	uint64_t size;
	volatile sig_atomic_t *stop;

	struct vhu_iommu *iommu;
	struct vhu_guestmem *mem;
	struct vhu_frontend *frontend;
	struct blk_driver *driver;
	uint64_t features;

	struct vhu_iommu_fault fault; /* the last */
	uint64_t faults;

	uint64_t requests;
	uint64_t written, verified; /* bytes */
	uint64_t differing;         /* bytes */
	double write_seconds, verify_seconds;
	struct demo_refusal refusals[2];
	struct vhu_frontend_stats stats;
};

/* Each: 0; -EINTR: told to stop; -EIO: a request failed, which was said; -errno. */
int demo_write(struct demo *demo);
int demo_verify(struct demo *demo);
int demo_refusals(struct demo *demo);

bool demo_refusal_holds(const struct demo_refusal *refusal);

#endif
