/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translations kept for the chain at a ring's head, and for the ring's own
 * pages, while the cache is so small that it evicts them before the rest has
 * come (rule F2). Used under pressure only; empty otherwise.
 *
 * What is kept here may not be used any longer than what is cached: a shootdown
 * drops it like a line of the front cache.
 *
 * Thread: the queue's worker.
 */
#ifndef BACKEND_RETAIN_H
#define BACKEND_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/translate.h"

struct retained {
	struct range range;
	char *ptr;
	uint8_t perm;
};

struct retain {
	struct retained *kept;
	unsigned n, cap;
	struct translate_view *below; /* looked at first */
	struct translate_view view;   /* through below, then what is kept */
};

/* @view of a retain looks through @below and then at what is kept. */
void retain_init(struct retain *retain);
void retain_done(struct retain *retain);

/* Keeps what @below gives of [addr, addr + len) now. */
void retain_look(struct retain *retain, struct translate_view *below, uint64_t addr, uint64_t len,
                 uint8_t perm);

/* The view to translate through: @below itself if nothing is kept. */
struct translate_view *retain_view(struct retain *retain, struct translate_view *below);

void retain_forget(struct retain *retain, struct range range);
void retain_clear(struct retain *retain);

#endif
