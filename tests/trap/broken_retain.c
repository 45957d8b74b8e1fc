/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that keeps what it has put aside for chains that wait, whatever is removed. */
#include "broken.h"

#include "backend/retain.h"

const struct broken broken = {
	.what = "what chains under assembly have is not forgotten",
	.entries = 8,
	.marks = { RUN_TRAP, RUN_CANARY },
};

void __wrap_retain_forget(struct retain *retain, struct range range);

void __wrap_retain_forget(struct retain *retain, struct range range)
{
	(void)retain;
	(void)range;
}
