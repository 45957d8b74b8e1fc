/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end as it is, but that its threads now and then take their time where
 * they meet: between hiding a range and telling workers, between looking an
 * address up and using it. What is right stays right; what is right by speed
 * alone does not. Put in the place of these functions at link time.
 *
 * Thread: any.
 */
#include <sched.h>
#include <time.h>

#include "backend/forget.h"
#include "backend/mailbox.h"
#include "backend/request.h"
#include "base/loop.h"
#include "iotlb/iotlb.h"
#include "pattern.h"

#define LONGEST_NS 40000
/* Of so many calls one takes longer. */
#define SELDOM 6u

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void dawdle(void)
{
	static _Thread_local uint64_t random;
	uint64_t value, until;

	if (!random)
		random = (uintptr_t)&random ^ now_ns();
	value = pattern_random(&random);
	if (value % SELDOM)
		return;
	value /= SELDOM;
	until = now_ns() + value / 2 % LONGEST_NS;
	do {
		if (value % 2)
			sched_yield();
	} while (now_ns() < until);
}

/* Declares the real function and its place-holder; the body follows. */
#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(void, forget_put, struct forget *forget, struct range range)
{
	dawdle();
	__real_forget_put(forget, range);
	dawdle();
}

WRAP(bool, iotlb_invalidate, struct iotlb *tlb, struct range iova)
{
	bool lost = __real_iotlb_invalidate(tlb, iova);

	dawdle();
	return lost;
}

WRAP(bool, iotlb_update, struct iotlb *tlb, struct range iova, char *ptr, uint8_t perm)
{
	bool lost = __real_iotlb_update(tlb, iova, ptr, perm);

	dawdle();
	return lost;
}

WRAP(bool, iotlb_walk, struct translate_view *view, uint64_t addr, uint8_t perm, struct walk *ret)
{
	bool found = __real_iotlb_walk(view, addr, perm, ret);

	dawdle();
	return found;
}

WRAP(void, loop_leave, struct loop *loop, struct loop_post *post)
{
	dawdle();
	__real_loop_leave(loop, post);
	dawdle();
}

WRAP(void, loop_post, struct loop *loop, struct loop_post *post)
{
	dawdle();
	__real_loop_post(loop, post);
}

WRAP(void, mailbox_post, struct mailbox *box, struct mail *mail)
{
	dawdle();
	__real_mailbox_post(box, mail);
	dawdle();
}

WRAP(void, request_issue, struct request *request)
{
	dawdle();
	__real_request_issue(request);
}

WRAP(void, translate_forget, struct translate_view *view, struct range range)
{
	dawdle();
	__real_translate_forget(view, range);
	dawdle();
}
