/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands in for sandbox.c in a build without libseccomp, or with a sanitizer, whose
 * work at the end and on errors no list foresees. */
#include <errno.h>

#include "sandbox.h"

const char *sandbox_absent(void)
{
	return SANDBOX_ABSENT;
}

int sandbox_enter(const struct sandbox_needs *needs)
{
	(void)needs;
	return -ENOSYS;
}
