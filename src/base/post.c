/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/post.h"

void post_put(struct post_pile *pile, struct loop_post *post)
{
	struct loop_post *newest;

	/* Pairs with the exchange in post_run(): if it is in, it has yet to run. */
	if (atomic_exchange(&post->posted, true))
		return;
	newest = atomic_load_explicit(&pile->newest, memory_order_relaxed);
	do {
		post->next = newest;
	} while (!atomic_compare_exchange_weak(&pile->newest, &newest, post));
}

/* Takes over what was put in, oldest first, behind what is still to run. */
static void take(struct post_pile *pile)
{
	struct loop_post *newest = NULL, *oldest = NULL, **end = &pile->taken;

	if (post_any(pile))
		newest = atomic_exchange(&pile->newest, NULL);
	while (newest) {
		struct loop_post *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (*end)
		end = &(*end)->next;
	*end = oldest;
}

void post_run(struct post_pile *pile)
{
	struct loop_post *post;

	take(pile);
	while ((post = pile->taken)) {
		pile->taken = post->next;
		/* Pairs with post_put(): who puts it in from here on puts it in anew. */
		atomic_exchange(&post->posted, false);
		post->run(post);
	}
}

void post_remove(struct post_pile *pile, struct loop_post *post)
{
	struct loop_post **link = &pile->taken;

	if (!atomic_load(&post->posted))
		return;
	take(pile);
	while (*link != post)
		link = &(*link)->next;
	*link = post->next;
	atomic_store(&post->posted, false);
}
