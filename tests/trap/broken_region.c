/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that keeps translations into memory that was removed. */
#include "broken.h"

#include "iotlb/iotlb.h"

const struct broken broken = {
	.what = "translations into removed memory are kept",
	.regions = true,
	.marks = { RUN_TRAP },
};

bool __wrap_iotlb_drop_memory(struct iotlb *tlb, const char *ptr, uint64_t size, struct range *ret);

bool __wrap_iotlb_drop_memory(struct iotlb *tlb, const char *ptr, uint64_t size, struct range *ret)
{
	(void)tlb;
	(void)ptr;
	(void)size;
	(void)ret;
	return false;
}
