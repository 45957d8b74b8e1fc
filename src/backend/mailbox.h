/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the session thread and a worker talk: messages that live in what they are
 * about, pushed by any thread, taken out in order by one. Nothing is allocated
 * and nobody waits.
 *
 * The box is drained by a task of the reader's loop, behind the fds that are ready.
 * Where the writers are other threads, a post schedules it.
 */
#ifndef BACKEND_MAILBOX_H
#define BACKEND_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/loop.h"

struct mail {
	struct mail *next;
	void (*deliver)(struct mail *mail);
};

struct mailbox {
	/* Newest first; pushed by anybody, taken as a whole by the reader. */
	_Atomic(struct mail *) newest;
	_Atomic unsigned posting; /* threads in mailbox_post() */
	struct loop *loop;        /* of the reader */
	struct loop_post post;    /* if the writers are other threads */
	struct loop_task task;
	bool shared_thread;
};

/* @shared_thread: the writers run on @loop's thread. */
void mailbox_init(struct mailbox *box, struct loop *loop, bool shared_thread);
/*
 * Nobody begins to post any more; what is in the box is dropped. Whoever has put
 * the last mail in, and is about to wake the reader, who has read it already, is
 * waited for.
 */
void mailbox_done(struct mailbox *box);

/* A mail is in one box at a time: post it again only after its delivery began. */
void mailbox_post(struct mailbox *box, struct mail *mail);

/* Delivers what is there, in the order of posting; returns whether there was any. */
bool mailbox_drain(struct mailbox *box);

#endif
