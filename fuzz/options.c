/* SPDX-License-Identifier: BSD-3-Clause */
/* Defaults of the sanitizers for all targets; the environment overrides them. */
#include <stddef.h>

const char *__asan_default_options(void);

/*
 * A small quarantine: targets allocate much and die young, and a large one only
 * makes them touch new memory each time.
 */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=16:thread_local_quarantine_size_kb=64:detect_stack_use_after_"
	       "return=1";
}
