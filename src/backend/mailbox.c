/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/mailbox.h"

#include <sched.h>
#include <stddef.h>

/* Mails are no more urgent than what fds have to say. */
static void mailbox_posted(struct loop_post *post)
{
	struct mailbox *box = container_of(post, struct mailbox, post);

	loop_schedule(box->loop, &box->task);
}

static void mailbox_task(struct loop_task *task)
{
	mailbox_drain(container_of(task, struct mailbox, task));
}

void mailbox_init(struct mailbox *box, struct loop *loop, bool shared_thread)
{
	atomic_init(&box->newest, NULL);
	atomic_init(&box->posting, 0);
	box->loop = loop;
	box->shared_thread = shared_thread;
	box->post = (struct loop_post){ .run = mailbox_posted };
	box->task = (struct loop_task){ .run = mailbox_task };
}

void mailbox_done(struct mailbox *box)
{
	/* acquire: the end of its posting; pairs with mailbox_post */
	while (atomic_load_explicit(&box->posting, memory_order_acquire))
		sched_yield();
	loop_unpost(box->loop, &box->post);
	loop_cancel(&box->task);
}

static bool push(struct mailbox *box, struct mail *mail)
{
	struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);

	do {
		mail->next = newest;
		/* release: what the mail says; pairs with the exchange in mailbox_drain */
	} while (!atomic_compare_exchange_weak_explicit(
		&box->newest, &newest, mail, memory_order_release, memory_order_relaxed));
	return !newest;
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
	/* relaxed: seen by whoever takes the mail out */
	atomic_fetch_add_explicit(&box->posting, 1, memory_order_relaxed);
	/* Whoever finds the box empty wakes the reader, who takes all at once. */
	if (push(box, mail)) {
		if (box->shared_thread)
			loop_schedule(box->loop, &box->task);
		else
			loop_post(box->loop, &box->post);
	}
	/* release: the box is no longer touched; pairs with mailbox_done */
	atomic_fetch_sub_explicit(&box->posting, 1, memory_order_release);
}

bool mailbox_drain(struct mailbox *box)
{
	struct mail *mail, *oldest = NULL;

	/* relaxed: who looks again and again leaves the line to who posts */
	if (!atomic_load_explicit(&box->newest, memory_order_relaxed))
		return false;
	/* acquire: pairs with the push in mailbox_post */
	mail = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
	while (mail) {
		struct mail *next = mail->next;

		mail->next = oldest;
		oldest = mail;
		mail = next;
	}
	while (oldest) {
		mail = oldest;
		oldest = mail->next;
		mail->deliver(mail);
	}
	return true;
}
