/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/loop.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* Passes over tasks that schedule tasks, before the fds have a look. */
#define PASSES_MAX 4u

/* Rounds of tasks that schedule tasks, before the caller has its turn. */
#define ROUNDS_MAX 32u

/*
 * With pollers: how much work is done, or how often there is none, before the fds
 * have a look. Where an fd is expected to be ready soon, that is worth more.
 */
#define WORK_MAX      32u
#define IDLE_MAX      128u
#define IDLE_MAX_KEEN 16u

static void woken(struct loop_source *source, uint32_t events)
{
	struct loop *loop = container_of(source, struct loop, wake);

	(void)events;
	/*
	 * From here on it has to be written again. An exchange: who found it true has
	 * posted before that, and posts are looked at before the loop sleeps.
	 */
	atomic_exchange(&loop->ringing, false);
}

static void ring(struct loop *loop)
{
	if (!atomic_exchange(&loop->ringing, true))
		fd_signal(loop->wake.fd);
}

int loop_init(struct loop *loop)
{
	int wake, error;

	*loop = (struct loop){ .epoll = -1, .wake.fd = -1, .turn = LOOP_ASLEEP };
	list_init(&loop->tasks);
	list_init(&loop->pollers);
	error = fd_event(&wake);
	if (error)
		return error;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	error = loop->epoll < 0 ? -errno
	                        : loop_add(loop, &loop->wake, wake, EPOLLIN | EPOLLET, woken);
	if (error) {
		fd_close(&wake);
		fd_close(&loop->epoll);
	}
	return error;
}

void loop_done(struct loop *loop)
{
	fd_close(&loop->wake.fd);
	fd_close(&loop->epoll);
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events,
             void (*ready)(struct loop_source *source, uint32_t events))
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	/* First, for another thread may be sleeping in this loop already. */
	source->fd = fd;
	source->ready = ready;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		source->fd = -1;
		return -errno;
	}
	return 0;
}

int loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
	for (int i = loop->batch_at; i < loop->batch_n; i++)
		if (loop->batch[i].data.ptr == source)
			loop->batch[i].data.ptr = NULL;
}

void loop_remove_unused(struct loop *loop, struct loop_source *source)
{
	if (source->fd >= 0)
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
}

void loop_schedule(struct loop *loop, struct loop_task *task)
{
	if (task->scheduled)
		return;
	if (!loop->running && list_is_empty(&loop->tasks))
		ring(loop);
	task->scheduled = true;
	list_append(&loop->tasks, &task->node);
}

void loop_cancel(struct loop_task *task)
{
	if (!task->scheduled)
		return;
	task->scheduled = false;
	list_remove(&task->node);
}

/* Those scheduled so far; what they schedule comes in the next round, after a
 * look at the fds, so that a task that goes on for ever starves nobody. */
static void run_pass(struct loop *loop)
{
	struct list now, *node;

	if (list_is_empty(&loop->tasks))
		return;
	now = loop->tasks;
	now.next->prev = now.prev->next = &now;
	list_init(&loop->tasks);
	while ((node = list_pop(&now))) {
		struct loop_task *task = container_of(node, struct loop_task, node);

		task->scheduled = false;
		task->run(task);
	}
}

static bool is_due(const struct loop *loop)
{
	return !list_is_empty(&loop->tasks) || post_any(&loop->posts);
}

/* What they schedule, and what is posted meanwhile, mostly belongs to the same piece of work. */
static void run_tasks(struct loop *loop)
{
	for (unsigned n = 0; n < PASSES_MAX && is_due(loop); n++) {
		post_run(&loop->posts);
		run_pass(loop);
	}
}

void loop_post(struct loop *loop, struct loop_post *post)
{
	post_put(&loop->posts, post);
	/* Dekker with take_turn(): one of the two sees the other's store. */
	if (loop_turn_is_asleep(loop_turn(loop)))
		ring(loop);
}

void loop_leave(struct loop *loop, struct loop_post *post)
{
	post_put(&loop->posts, post);
}

void loop_unpost(struct loop *loop, struct loop_post *post)
{
	post_remove(&loop->posts, post);
}

/*
 * To be followed by a look at the posts, before anything else: of who posts and who
 * takes another turn one sees the other's store.
 */
static void take_turn(struct loop *loop, enum loop_turn to)
{
	unsigned turn = atomic_load_explicit(&loop->turn, memory_order_relaxed);

	if ((turn & LOOP_TURN_BITS) != to)
		atomic_store(&loop->turn, (turn & ~LOOP_TURN_BITS) + LOOP_TURN_STEP + to);
}

static bool is_at_rest(const struct loop *loop)
{
	return loop_turn_is_at_rest(atomic_load_explicit(&loop->turn, memory_order_relaxed));
}

static void wake_up(struct loop *loop)
{
	if (!is_at_rest(loop))
		return;
	take_turn(loop, LOOP_AWAKE);
	atomic_store_explicit(&loop->cpu, sched_getcpu(), memory_order_relaxed);
}

static int sleep_on(struct loop *loop, int timeout_ms)
{
	uint64_t start;
	int n;

	if (!timeout_ms || !loop->adapts)
		return epoll_wait(loop->epoll, loop->batch, LOOP_BATCH, timeout_ms);
	start = clock_ns();
	n = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH, timeout_ms);
	if (clock_ns() - start <= loop->poll_most)
		loop->poll_ns = loop->poll_most;
	else
		loop->poll_ns /= 2;
	return n;
}

/* How many fds were ready, or -errno. */
static int run_round(struct loop *loop, int timeout_ms)
{
	int n = sleep_on(loop, timeout_ms);

	/* A signal ends the sleep; fds still come before tasks. */
	if (n < 0 && errno == EINTR)
		n = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH, 0);
	if (n < 0)
		return -errno;
	if (!n && !is_due(loop))
		return 0;
	wake_up(loop);
	/* Fetched, so that posts may still take a source away. */
	loop->batch_n = n;
	loop->batch_at = 0;
	post_run(&loop->posts);
	while (loop->batch_at < loop->batch_n) {
		struct epoll_event event = loop->batch[loop->batch_at++];
		struct loop_source *source = event.data.ptr;

		if (source)
			source->ready(source, event.events);
	}
	loop->batch_n = 0;
	run_tasks(loop);
	return n;
}

/* One sleep, and what came of it. */
static int run_once(struct loop *loop, int timeout_ms)
{
	int r = run_round(loop, is_due(loop) ? 0 : timeout_ms);

	for (unsigned n = 0; r >= 0 && n < ROUNDS_MAX && is_due(loop); n++)
		r = run_round(loop, 0);
	return r < 0 ? r : 0;
}

static bool peek(const struct loop *loop)
{
	const struct list *node;

	if (is_due(loop))
		return true;
	list_for_each (node, &loop->pollers) {
		const struct loop_poller *poller = container_of(node, struct loop_poller, node);

		if (poller->peek(poller))
			return true;
	}
	return false;
}

/* Posts, tasks and pollers; how much work there was. */
static unsigned look(struct loop *loop)
{
	struct list *node, *next;
	unsigned found;

	wake_up(loop);
	found = is_due(loop);
	run_tasks(loop);
	loop->keen = false;
	list_for_each_safe (node, next, &loop->pollers) {
		struct loop_poller *poller = container_of(node, struct loop_poller, node);

		found += poller->look(poller);
		loop->keen |= poller->keen;
	}
	return found;
}

/* Whether all pollers agree to sleep. */
static bool rest(struct loop *loop)
{
	struct list *node;
	bool agreed = true;

	wake_up(loop);
	post_run(&loop->posts);
	list_for_each (node, &loop->pollers) {
		struct loop_poller *poller = container_of(node, struct loop_poller, node);

		agreed &= poller->rest(poller);
	}
	return agreed;
}

/* Looks until there is work or a fd is due for a look; whether there was work. */
static bool look_on(struct loop *loop)
{
	unsigned work = 0, idle = 0;

	while (work < WORK_MAX && idle < (loop->keen ? IDLE_MAX_KEEN : IDLE_MAX)) {
		unsigned found = is_at_rest(loop) && !peek(loop) ? 0 : look(loop);

		work += found;
		idle = found ? 0 : idle + 1;
		if (!found) {
			take_turn(loop, LOOP_LOOKING);
			clock_relax();
		}
	}
	return work;
}

/*
 * Goes on while there is work to be found. 1: there was none at all; 0: it is the
 * caller's turn; or -errno. Whoever posts or kicks next is heard.
 */
static int run_busily(struct loop *loop)
{
	uint64_t began = clock_ns(), worked = began, now;
	bool asked = false, did = false;
	int n;

	take_turn(loop, LOOP_LOOKING);
	do {
		bool work = look_on(loop);

		n = run_round(loop, 0);
		if (n < 0)
			return n;
		now = clock_ns();
		if (work || n) {
			worked = now;
			did = true;
		}
		loop->rested = now - worked >= loop->poll_ns && rest(loop);
		asked = atomic_exchange_explicit(&loop->asked, false, memory_order_relaxed);
	} while (!loop->rested && !asked && now - began < LOOP_STINT_NS);
	if (!loop->rested)
		rest(loop);
	return !did && loop->rested;
}

int loop_run(struct loop *loop, int timeout_ms)
{
	int r = 1;

	loop->running = true;
	/* Who has just rested sleeps, and so does who need not look: all asked for events. */
	if (timeout_ms && loop->poll_ns && !loop->rested)
		r = run_busily(loop);
	take_turn(loop, LOOP_ASLEEP);
	if (r > 0) {
		r = run_once(loop, timeout_ms);
		loop->rested = false;
		/* Else all is as it was before the sleep. */
		if (!is_at_rest(loop))
			rest(loop);
	}
	take_turn(loop, LOOP_ASLEEP);
	loop->running = false;
	/* Who polls the loop's fd instead of sleeping in here must not sleep now. */
	if (is_due(loop))
		ring(loop);
	return r;
}

void loop_add_poller(struct loop *loop, struct loop_poller *poller, uint64_t ns)
{
	loop->adapts = poller->adapts && (list_is_empty(&loop->pollers) || loop->adapts);
	list_append(&loop->pollers, &poller->node);
	if (ns > loop->poll_most)
		loop->poll_most = ns;
	loop->poll_ns = loop->poll_most;
}

void loop_remove_poller(struct loop *loop, struct loop_poller *poller)
{
	list_remove(&poller->node);
	if (!list_is_empty(&loop->pollers))
		return;
	loop->poll_ns = loop->poll_most = 0;
	loop->adapts = false;
}

void loop_wake(struct loop *loop)
{
	atomic_store_explicit(&loop->asked, true, memory_order_relaxed);
	ring(loop);
}

void loop_return(struct loop *loop)
{
	atomic_store_explicit(&loop->asked, true, memory_order_relaxed);
}
