/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that keeps its pointers to a ring of which a page has gone. */
#include "broken.h"

#include "vring/vring.h"

const struct broken broken = {
	.what = "a ring's pointers are kept",
	.rings = true,
	.marks = { RUN_TRAP },
};

void __wrap_vring_unmap(struct vring *ring);

void __wrap_vring_unmap(struct vring *ring)
{
	(void)ring;
}
