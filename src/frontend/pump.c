/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lock, and what is done without it: sleeping and calling back.
 *
 * The epoll set knows what is readable by number, not by pointer: whoever holds the
 * lock may close a channel while the pump sleeps.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "frontend/frontend.h"

#define EVENTS_MAX 4

static _Thread_local unsigned callbacks;

bool pump_in_callback(void)
{
	return callbacks != 0;
}

int64_t frontend_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int pump_add(struct vhu_frontend *fe, int fd, enum pump_source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	return epoll_ctl(fe->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void pump_remove(struct vhu_frontend *fe, int fd)
{
	epoll_ctl(fe->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void pump_change(struct vhu_frontend *fe, int fd, enum pump_source source, uint32_t events,
                 uint32_t *now)
{
	struct epoll_event event = { .events = events, .data.u32 = source };

	if (events != *now && !epoll_ctl(fe->epoll, EPOLL_CTL_MOD, fd, &event))
		*now = events;
}

static int open_epoll(struct vhu_frontend *fe)
{
	int error;

	fe->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (fe->epoll < 0)
		return -errno;
	error = fd_event(&fe->wake);
	if (!error)
		error = pump_add(fe, fe->wake, PUMP_WAKE);
	if (!error && fe->config.iommu)
		error = pump_add(fe, iommu_timer_fd(fe->config.iommu), PUMP_TIMER);
	return error;
}

int pump_open(struct vhu_frontend *fe)
{
	pthread_condattr_t attributes;
	int error;

	fe->wake = -1;
	error = open_epoll(fe);
	if (error) {
		fd_close(&fe->wake);
		fd_close(&fe->epoll);
		return error;
	}
	pthread_mutex_init(&fe->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&fe->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return 0;
}

void pump_close(struct vhu_frontend *fe)
{
	pthread_cond_destroy(&fe->changed);
	pthread_mutex_destroy(&fe->lock);
	fd_close(&fe->wake);
	fd_close(&fe->epoll);
}

/*
 * Callbacks. Each is taken out under the lock and called without it, so that it may
 * call whatever does not wait.
 */

static void call_lost(struct vhu_frontend *fe)
{
	if (fe->config.lost)
		fe->config.lost(fe->config.opaque);
}

static void call_config_changed(struct vhu_frontend *fe)
{
	if (fe->config.config_changed)
		fe->config.config_changed(fe->config.opaque);
}

static void begin_callback(struct vhu_frontend *fe)
{
	pthread_mutex_unlock(&fe->lock);
	callbacks++;
}

static void end_callback(struct vhu_frontend *fe)
{
	callbacks--;
	pthread_mutex_lock(&fe->lock);
}

static void call(struct vhu_frontend *fe, void (*function)(struct vhu_frontend *fe))
{
	begin_callback(fe);
	function(fe);
	end_callback(fe);
}

static void call_fault(struct vhu_frontend *fe)
{
	struct fault fault = fe->faults[0];

	fe->n_faults--;
	memmove(fe->faults, fe->faults + 1, fe->n_faults * sizeof(fault));
	begin_callback(fe);
	iommu_report(&fe->device, fault.iova, fault.perm, fault.reported);
	end_callback(fe);
}

static void call_deferred(struct vhu_frontend *fe)
{
	struct list *node = list_pop(&fe->deferred);
	struct iommu_deferred *deferred = container_of(node, struct iommu_deferred, node);

	begin_callback(fe);
	deferred->run(deferred);
	end_callback(fe);
}

static void call_timer(struct vhu_frontend *fe)
{
	iommu_timer_expired(fe->config.iommu);
}

static bool is_due(const struct vhu_frontend *fe)
{
	return fe->n_faults || fe->config_due || fe->timer_due || fe->lost_due ||
	       !list_is_empty(&fe->deferred);
}

/*
 * Of what back-ends cause, that which is due by now: whoever notes more of it meanwhile
 * does that himself. So nobody is held up by one that always has something.
 */
static void run_callbacks(struct vhu_frontend *fe)
{
	unsigned faults = fe->n_faults, changes = fe->config_due;

	for (; faults && fe->n_faults; faults--)
		call_fault(fe);
	for (; changes && fe->config_due; changes--) {
		fe->config_due--;
		call(fe, call_config_changed);
	}
	while (!list_is_empty(&fe->deferred))
		call_deferred(fe);
	if (fe->timer_due) {
		fe->timer_due = false;
		call(fe, call_timer);
	}
	if (fe->lost_due) {
		fe->lost_due = false;
		call(fe, call_lost);
	}
	/* Replies and callbacks make room after the last event that there may be. */
	if (backchannel_can_resume(fe))
		fd_signal(fe->wake);
}

int pump_enter(struct vhu_frontend *fe)
{
	pthread_mutex_lock(&fe->lock);
	if (!pump_in_callback())
		return 0;
	frontend_fault(fe, -EDEADLK, "called from a callback, which must not wait");
	pthread_mutex_unlock(&fe->lock);
	return -EDEADLK;
}

int frontend_enter(struct vhu_frontend *fe)
{
	int error = pump_enter(fe);

	if (error || !fe->replaying)
		return error;
	frontend_fault(fe, -ENOTCONN, "the back-end is about to be replaced");
	pthread_mutex_unlock(&fe->lock);
	return -ENOTCONN;
}

/* From inside of a callback none is made: whoever runs the front-end next does. */
int frontend_leave(struct vhu_frontend *fe, int result)
{
	if (!pump_in_callback())
		run_callbacks(fe);
	else if (is_due(fe))
		fd_signal(fe->wake);
	pthread_mutex_unlock(&fe->lock);
	return result;
}

void frontend_sleep(struct vhu_frontend *fe, int timeout_ms)
{
	const int64_t at = frontend_now_ms() + timeout_ms;
	const struct timespec end = { .tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000 };

	fe->n_waiting++;
	if (timeout_ms < 0)
		pthread_cond_wait(&fe->changed, &fe->lock);
	else if (timeout_ms)
		pthread_cond_timedwait(&fe->changed, &fe->lock, &end);
	fe->n_waiting--;
}

/* All that the main channel has first: what is awaited may be what makes room for more. */
static void deal_with(struct vhu_frontend *fe, const uint32_t events[])
{
	if (events[PUMP_WAKE] && !fe->lost)
		fd_drain(fe->wake);
	if (events[PUMP_TIMER])
		fe->timer_due = true;
	if (events[PUMP_MAIN])
		exchange_receive(fe);
	if (events[PUMP_BACK])
		backchannel_receive(fe, events[PUMP_BACK]);
	backchannel_resume(fe);
	exchange_flush(fe);
	backchannel_settle(fe);
}

/* Sleeps without the lock. The number of @events, or -errno. */
static int look(struct vhu_frontend *fe, struct epoll_event *events, int timeout_ms)
{
	int n;

	pthread_mutex_unlock(&fe->lock);
	n = epoll_wait(fe->epoll, events, EVENTS_MAX, timeout_ms);
	if (n < 0)
		n = errno == EINTR ? 0 : -errno;
	pthread_mutex_lock(&fe->lock);
	return n;
}

int frontend_round(struct vhu_frontend *fe, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	uint32_t ready[EVENTS_MAX] = { 0 };
	int n;

	if (fe->pumping) {
		frontend_sleep(fe, timeout_ms);
		return 0;
	}
	fe->pumping = true;
	n = look(fe, events, timeout_ms);
	for (int i = 0; i < n; i++)
		ready[events[i].data.u32] = events[i].events;
	if (n > 0)
		deal_with(fe, ready);
	fe->pumping = false;
	if (fe->n_waiting)
		pthread_cond_broadcast(&fe->changed);
	run_callbacks(fe);
	return n < 0 ? n : 0;
}
