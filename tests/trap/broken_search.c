/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end that does not find the issued requests that use a range. */
#include "broken.h"

#include "backend/request.h"

const struct broken broken = {
	.what = "issued requests are not searched for the range",
	.marks = { RUN_TRAP, RUN_CANARY },
};

bool __wrap_request_overlaps(const struct request *request, struct range range);

bool __wrap_request_overlaps(const struct request *request, struct range range)
{
	(void)request;
	(void)range;
	return false;
}
