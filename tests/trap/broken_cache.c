/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end whose workers go on using what their front caches hold. */
#include "broken.h"

#include "memory/translate.h"

const struct broken broken = {
	.what = "front caches are not shot",
	.marks = { RUN_TRAP, RUN_CANARY },
};

void __wrap_translate_forget(struct translate_view *view, struct range range);

void __wrap_translate_forget(struct translate_view *view, struct range range)
{
	(void)view;
	(void)range;
}
