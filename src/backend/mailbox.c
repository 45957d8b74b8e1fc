/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend/mailbox.h"

#include <sched.h>
#include <stddef.h>

#include "base/fd.h"

static void mailbox_signalled(struct loop_source *source, uint32_t events)
{
	struct mailbox *box = container_of(source, struct mailbox, source);

	(void)events;
	fd_drain(source->fd);
	mailbox_drain(box);
}

static void mailbox_task(struct loop_task *task)
{
	mailbox_drain(container_of(task, struct mailbox, task));
}

int mailbox_init(struct mailbox *box, struct loop *loop, bool shared_thread)
{
	int fd, error;

	atomic_init(&box->newest, NULL);
	atomic_init(&box->posting, 0);
	box->loop = loop;
	box->shared_thread = shared_thread;
	box->source.fd = -1;
	box->task = (struct loop_task){ .run = mailbox_task };
	if (shared_thread)
		return 0;
	error = fd_event(&fd);
	if (error)
		return error;
	error = loop_add(loop, &box->source, fd, EPOLLIN, mailbox_signalled);
	if (error)
		fd_close(&fd);
	return error;
}

void mailbox_done(struct mailbox *box)
{
	int fd = box->source.fd;

	/* acquire: the end of its posting; pairs with mailbox_post */
	while (atomic_load_explicit(&box->posting, memory_order_acquire))
		sched_yield();
	loop_cancel(&box->task);
	if (fd >= 0) {
		loop_remove(box->loop, &box->source);
		fd_close(&fd);
	}
}

void mailbox_done_unused(struct mailbox *box)
{
	int fd = box->source.fd;

	loop_remove_unused(box->loop, &box->source);
	fd_close(&fd);
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
			fd_signal(box->source.fd);
	}
	/* release: the box is no longer touched; pairs with mailbox_done */
	atomic_fetch_sub_explicit(&box->posting, 1, memory_order_release);
}

bool mailbox_drain(struct mailbox *box)
{
	/* acquire: pairs with the push in mailbox_post */
	struct mail *mail = atomic_exchange_explicit(&box->newest, NULL, memory_order_acquire);
	struct mail *oldest = NULL;

	while (mail) {
		struct mail *next = mail->next;

		mail->next = oldest;
		oldest = mail;
		mail = next;
	}
	if (!oldest)
		return false;
	while (oldest) {
		mail = oldest;
		oldest = mail->next;
		mail->deliver(mail);
	}
	return true;
}
