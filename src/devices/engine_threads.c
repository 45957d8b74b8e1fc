/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A few threads per queue that make blocking calls: works everywhere.
 *
 * Threads: todo, finished, idle and quit are under the lock; the rest belongs to
 * the worker. The pool's threads touch a transfer between todo and finished.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/fd.h"
#include "devices/transfer.h"

#define THREADS_MOST 8
#define STACK_BYTES  (256 << 10)

struct pool {
	struct engine_queue base;
	struct list fresh; /* until submit_end() */
	pthread_t threads[THREADS_MOST];
	unsigned n_threads;

	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list todo, finished;
	unsigned idle;
	bool quit;
};

static struct pool *pool_of(struct engine_queue *queue)
{
	return container_of(queue, struct pool, base);
}

static struct transfer *transfer_of(struct list *node)
{
	return container_of(node, struct transfer, node);
}

/* Under the lock. NULL: no more will come. */
static struct transfer *wait_for_work(struct pool *pool)
{
	struct list *node;

	while (!(node = list_pop(&pool->todo)) && !pool->quit) {
		pool->idle++;
		pthread_cond_wait(&pool->work, &pool->lock);
		pool->idle--;
	}
	return node ? transfer_of(node) : NULL;
}

static void *pool_thread(void *arg)
{
	struct pool *pool = arg;
	struct transfer *transfer;

	pthread_mutex_lock(&pool->lock);
	while ((transfer = wait_for_work(pool))) {
		pthread_mutex_unlock(&pool->lock);
		transfer_run(transfer, pool->base.storage->fd);
		pthread_mutex_lock(&pool->lock);
		/* One signal per batch that reap() takes. */
		if (list_is_empty(&pool->finished))
			fd_signal(pool->base.fd);
		list_append(&pool->finished, &transfer->node);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Signals are for the process's own threads. As many as can be had; 0 or -errno
 * if that is none. */
static int start_threads(struct pool *pool, unsigned n)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int error = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (!error && pool->n_threads < n) {
		error = pthread_create(&pool->threads[pool->n_threads], &attr, pool_thread, pool);
		if (!error)
			pool->n_threads++;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pool->n_threads ? 0 : -error;
}

static void pool_free(struct pool *pool)
{
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	fd_close(&pool->base.fd);
	free(pool);
}

static int threads_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	int error;

	if (!pool)
		return -ENOMEM;
	pool->base = (struct engine_queue){ &engine_threads, storage, -1 };
	list_init(&pool->fresh);
	list_init(&pool->todo);
	list_init(&pool->finished);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	error = fd_event(&pool->base.fd);
	if (!error)
		error = start_threads(pool, depth < THREADS_MOST ? depth + !depth : THREADS_MOST);
	if (error)
		pool_free(pool);
	else
		*ret = &pool->base;
	return error;
}

static void threads_submit(struct engine_queue *queue, struct transfer *transfer)
{
	list_append(&pool_of(queue)->fresh, &transfer->node);
}

static void threads_submit_end(struct engine_queue *queue)
{
	struct pool *pool = pool_of(queue);
	struct list *node;
	unsigned wakes;

	if (list_is_empty(&pool->fresh))
		return;
	pthread_mutex_lock(&pool->lock);
	wakes = pool->idle;
	while ((node = list_pop(&pool->fresh))) {
		list_append(&pool->todo, node);
		if (wakes > 0) {
			pthread_cond_signal(&pool->work);
			wakes--;
		}
	}
	pthread_mutex_unlock(&pool->lock);
}

static void threads_reap(struct engine_queue *queue)
{
	struct pool *pool = pool_of(queue);
	struct list *node, batch;

	list_init(&batch);
	pthread_mutex_lock(&pool->lock);
	fd_drain(queue->fd);
	while ((node = list_pop(&pool->finished)))
		list_append(&batch, node);
	pthread_mutex_unlock(&pool->lock);
	while ((node = list_pop(&batch)))
		transfer_of(node)->done(transfer_of(node));
	threads_submit_end(queue);
}

static void threads_stop(struct engine_queue *queue)
{
	struct pool *pool = pool_of(queue);

	pthread_mutex_lock(&pool->lock);
	pool->quit = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pool_free(pool);
}

const struct engine_ops engine_threads = {
	.name = "threads",
	.start = threads_start,
	.submit = threads_submit,
	.submit_end = threads_submit_end,
	.reap = threads_reap,
	.stop = threads_stop,
};
