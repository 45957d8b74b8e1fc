/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What other threads have asked one to run, in the order of asking. A post lives
 * in what it serves and is in a pile once, however often it is put in: it runs
 * for all that was put in before it began to.
 *
 * Everything is sequentially consistent, so that who puts a post in and then
 * reads a flag of the pile's thread, which that thread writes before it looks at
 * the pile, can tell whether the post was seen.
 *
 * Thread: post_put() and post_any() any, the rest one.
 */
#ifndef BASE_POST_H
#define BASE_POST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct loop_post {
	struct loop_post *next;
	void (*run)(struct loop_post *post);
	_Atomic bool posted;
};

/* Zero-initialised is empty. */
struct post_pile {
	_Atomic(struct loop_post *) newest; /* newest first */
	struct loop_post *taken;            /* about to run, oldest first */
};

void post_put(struct post_pile *pile, struct loop_post *post);
/* Runs what is there; what is put in meanwhile stays. */
void post_run(struct post_pile *pile);
/* Takes a post out, if it is in. Nobody may be putting it in. */
void post_remove(struct post_pile *pile, struct loop_post *post);

static inline bool post_any(const struct post_pile *pile)
{
	return atomic_load(&pile->newest) != NULL;
}

#endif
