/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that does not see that an update takes something away. */
#include "broken.h"

#include "iotlb/iotlb.h"

const struct broken broken = {
	.what = "what an update replaces is not shot",
	.marks = { RUN_TRAP, RUN_CANARY },
};

bool __real_iotlb_update(struct iotlb *tlb, struct range iova, char *ptr, uint8_t perm);
bool __wrap_iotlb_update(struct iotlb *tlb, struct range iova, char *ptr, uint8_t perm);

bool __wrap_iotlb_update(struct iotlb *tlb, struct range iova, char *ptr, uint8_t perm)
{
	__real_iotlb_update(tlb, iova, ptr, perm);
	return false;
}
