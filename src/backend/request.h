/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One chain's way from the ring to the device and back.
 *
 * Thread: the queue's worker.
 */
#ifndef BACKEND_REQUEST_H
#define BACKEND_REQUEST_H

#include "backend/queue.h"

/* Takes the next chain into ahead. 1, 0: none there, -EPROTO: the ring was broken. */
int request_take(struct vhu_queue *queue, struct request **ret);

/*
 * Translates a request as far as it is known, holes to @holes. 0: all there;
 * -EAGAIN: holes; -EFAULT: refused for good; -EPROTO: the ring was broken.
 */
int request_prepare(struct request *request, struct hole_list *holes);

/*
 * A part of it was refused: only its status bytes are wanted from here on. If
 * those, or its indirect table, are what was refused, the ring breaks (S4b) and
 * this is -EPROTO.
 */
int request_refuse(struct request *request);

/* Hands a prepared request to the device. */
void request_issue(struct request *request);

/* Whether it can reach memory through @range of addresses. */
bool request_overlaps(const struct request *request, struct range range);

/* Puts a held request's used element. */
void request_put(struct request *request);

/*
 * At the end of a stop: the ring index goes back over what is ahead. That can't
 * leave out what is done: a returned request behind which others were is given back.
 */
void request_rewind(struct vhu_queue *queue);

#endif
