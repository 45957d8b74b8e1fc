/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking through the record of the observation, for cases:
 *
 *	struct walk w;
 *
 *	walk_start(&w, b);
 *	while (walk_next(&w))
 *		if (walk_at(&w, VHU_FE_SET_FEATURES))
 *			EXPECT_SEEN(&w, w.told.owners, "SET_OWNER to come before");
 *
 * At each step it is known what the front-end had told before the message, which
 * translations it had granted, and which request a reply on the back-channel
 * answers.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_OBSERVE_H
#define CONFORM_OBSERVE_H

#include "back.h"

struct walk {
	struct back *b;
	const struct record *record;
	unsigned i; /* of the message */
	const struct seen *seen;
	struct message message;
	struct told told;  /* before it */
	struct held *held; /* before it */
	unsigned asked[BACK_ASKED];
	unsigned n_asked, n_answered;
	const struct seen *answers; /* of a reply on the back-channel; NULL: it is none */
	bool begun;
};

/* Ends the trial as not applicable where nothing was observed. */
void walk_start(struct walk *walk, struct back *b);
/* The same where addresses were not translated. */
void walk_start_iommu(struct walk *walk, struct back *b);
bool walk_next(struct walk *walk);

/*
 * Where a case finds none of what it is about by one of these it is not applicable,
 * whatever it says.
 */

/* It is a message of the front-end. */
bool walk_at_any(const struct walk *walk, enum message_channel channel);
/* It is this request of the front-end. */
bool walk_at(const struct walk *walk, uint32_t request);
/* Goes on to the next translation of this type, sent by the front-end; NULL: none comes. */
const struct vhu_iotlb *walk_next_iotlb(struct walk *walk, uint8_t type);
/* Goes on to the next answer to a miss: what was asked, and the value. False: none comes. */
bool walk_next_answer(struct walk *walk, struct vhu_iotlb *ret_miss, uint64_t *ret_value);

/* Shows message @i of the record as evidence. */
void walk_show(const struct walk *walk, unsigned i);
/* All up to this one that are about the page of an iova, the last ten of them. */
void walk_show_page(const struct walk *walk, uint64_t iova);

#define EXPECT_SEEN(walk, condition, ...)                          \
	do {                                                       \
		if (!(condition)) {                                \
			walk_show((walk), (walk)->i);              \
			trial_fail((walk)->b->trial, __VA_ARGS__); \
		}                                                  \
	} while (0)

/* Notes that there were @n of @what; ends the trial as not applicable, for @none, if 0. */
void walk_expect_some(const struct walk *walk, unsigned n, const char *what, const char *none);

#endif
