/* SPDX-License-Identifier: BSD-3-Clause */
#include "late.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "devices/transfer.h"

/* It looks so many times before the longest wait is over. */
#define LOOKS    8u
#define LOOK_MIN 40000u /* ns */

struct late {
	struct engine_queue base; /* fd: a timer */
	struct list waiting;      /* in order of submission */
	struct list fresh;        /* submitted since the last look */
	uint64_t due;             /* of all that waits: when it has waited long enough */
	unsigned seen;            /* acknowledgements when the first of them came */
};

static _Atomic unsigned longest_us = 200, acknowledged;

void late_set_longest(unsigned us)
{
	atomic_store(&longest_us, us);
}

void late_acknowledged(void)
{
	atomic_fetch_add(&acknowledged, 1);
}

static struct late *late_of(struct engine_queue *queue)
{
	return container_of(queue, struct late, base);
}

static uint64_t longest_ns(void)
{
	return (uint64_t)atomic_load(&longest_us) * 1000;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void look_again(struct late *late)
{
	uint64_t ns = longest_ns() / LOOKS;
	struct itimerspec in = { .it_value.tv_nsec = (long)(ns < LOOK_MIN ? LOOK_MIN : ns) };

	timerfd_settime(late->base.fd, 0, &in, NULL);
}

static int late_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	struct late *late = calloc(1, sizeof(*late));

	(void)depth;
	if (!late)
		return -ENOMEM;
	late->base = (struct engine_queue){ &engine_late, storage, -1 };
	late->base.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (late->base.fd < 0) {
		int error = -errno;

		free(late);
		return error;
	}
	list_init(&late->waiting);
	list_init(&late->fresh);
	*ret = &late->base;
	return 0;
}

static void late_submit(struct engine_queue *queue, struct transfer *transfer)
{
	list_append(&late_of(queue)->fresh, &transfer->node);
}

/* What is fresh begins to wait when nothing else does. */
static void begin(struct late *late)
{
	struct list *node;

	if (!list_is_empty(&late->waiting) || list_is_empty(&late->fresh))
		return;
	while ((node = list_pop(&late->fresh)))
		list_append(&late->waiting, node);
	late->due = now_ns() + longest_ns();
	late->seen = atomic_load(&acknowledged);
	look_again(late);
}

static void late_submit_end(struct engine_queue *queue)
{
	begin(late_of(queue));
}

static void late_reap(struct engine_queue *queue)
{
	struct late *late = late_of(queue);
	struct list *node, batch;

	fd_drain(queue->fd);
	if (now_ns() < late->due && atomic_load(&acknowledged) == late->seen) {
		look_again(late);
		return;
	}
	list_init(&batch);
	while ((node = list_pop(&late->waiting)))
		list_append(&batch, node);
	while ((node = list_pop(&batch))) {
		struct transfer *transfer = container_of(node, struct transfer, node);

		transfer_run(transfer, queue->storage->fd);
		transfer->done(transfer);
	}
	begin(late);
}

static void late_stop(struct engine_queue *queue)
{
	close(queue->fd);
	free(late_of(queue));
}

const struct engine_ops engine_late = {
	.name = "late",
	.start = late_start,
	.submit = late_submit,
	.submit_end = late_submit_end,
	.reap = late_reap,
	.stop = late_stop,
};
