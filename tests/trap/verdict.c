/* SPDX-License-Identifier: BSD-3-Clause */
#include "verdict.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

static _Atomic bool taken;
static _Atomic int verdict_value;
static char text[1000];

void verdict_reset(void)
{
	text[0] = '\0';
	atomic_store(&verdict_value, VERDICT_FINE);
	atomic_store(&taken, false);
}

void verdict_set(enum verdict verdict, const char *format, ...)
{
	va_list args;

	if (atomic_exchange(&taken, true))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Behind the text: pairs with verdict_now(). */
	atomic_store(&verdict_value, (int)verdict);
}

enum verdict verdict_now(void)
{
	return (enum verdict)atomic_load(&verdict_value);
}

const char *verdict_text(void)
{
	return verdict_now() == VERDICT_FINE ? "" : text;
}
