/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue driven by this process: lays the ring out, owns its eventfds, and
 * leaves the ring's content to vring/driver.h.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <vhu/frontend.h>

#include "base/export.h"
#include "base/fd.h"
#include "frontend/frontend.h"
#include "vring/driver.h"

#define PAGE 4096u

struct vhu_vq {
	struct vq_node node; /* of the front-end's */
	struct vhu_frontend *frontend;
	struct vhu_vq_config config;
	struct vring_driver *driver;
	int kick_fd, call_fd, err_fd;
	bool broken;
};

/* Offsets of the parts from the start of the ring's memory. */
struct layout {
	size_t avail, used, tables, end;
};

static_assert(sizeof(struct vhu_buffer) == sizeof(struct vring_buffer) &&
                      offsetof(struct vhu_buffer, addr) == offsetof(struct vring_buffer, addr) &&
                      offsetof(struct vhu_buffer, len) == offsetof(struct vring_buffer, len) &&
                      offsetof(struct vhu_buffer, writable) ==
                              offsetof(struct vring_buffer, writable),
              "the public buffer is the ring's buffer");

static size_t page_up(size_t bytes)
{
	return (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
}

/* What the device writes has pages of its own. */
static struct layout lay_out(uint16_t num, uint16_t table_entries)
{
	struct layout layout;

	layout.avail = 16u * (size_t)num;
	layout.used = page_up(layout.avail + 6 + 2 * (size_t)num);
	layout.tables = layout.used + page_up(6 + 8 * (size_t)num);
	layout.end = layout.tables + page_up(16u * (size_t)num * table_entries);
	return layout;
}

VHU_EXPORT size_t vhu_vq_bytes(uint16_t num, uint16_t table_entries)
{
	return lay_out(num, table_entries).end;
}

static int make_driver(struct vhu_vq *vq, struct layout layout)
{
	const struct vhu_vq_config *config = &vq->config;
	char *mem = config->mem;
	const struct vring_driver_config driver = {
		.num = config->num,
		.event_idx = config->event_idx,
		.desc = mem,
		.avail = mem + layout.avail,
		.used = mem + layout.used,
		.tables = config->table_entries ? mem + layout.tables : NULL,
		.tables_addr = config->buffer_addr + layout.tables,
		.table_entries = config->table_entries,
	};

	return vring_driver_new(&driver, &vq->driver);
}

/* There are back-ends that do nothing before. */
static int say_driver_ok(struct vhu_frontend *fe)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, config_driver_ok(fe));
}

static int hand_over(struct vhu_vq *vq, uint16_t base)
{
	struct layout layout = lay_out(vq->config.num, vq->config.table_entries);
	const struct vhu_vring_setup setup = {
		.num = vq->config.num,
		.base = base,
		.desc = vq->config.addr,
		.avail = vq->config.addr + layout.avail,
		.used = vq->config.addr + layout.used,
		.kick_fd = vq->kick_fd,
		.call_fd = vq->call_fd,
		.err_fd = vq->err_fd,
		.used_ptr = (char *)vq->config.mem + layout.used,
	};
	int error = vhu_frontend_vring_start(vq->frontend, vq->config.index, &setup);

	if (!error)
		error = vhu_frontend_vring_enable(vq->frontend, vq->config.index, true);
	return error ? error : say_driver_ok(vq->frontend);
}

/* Nothing is held by who drives a queue. */
static int vq_fault(struct vhu_vq *vq, int error, const char *what)
{
	pthread_mutex_lock(&vq->frontend->lock);
	frontend_fault(vq->frontend, error, "ring %u: %s", vq->config.index, what);
	pthread_mutex_unlock(&vq->frontend->lock);
	return error;
}

static int requeue(struct vq_node *node, uint16_t *ret_base)
{
	struct vhu_vq *vq = container_of(node, struct vhu_vq, node);

	fd_drain(vq->err_fd);
	vq->broken = false;
	return vring_driver_requeue(vq->driver, ret_base);
}

static bool is_taken(struct vhu_frontend *fe, unsigned index)
{
	struct list *node;

	list_for_each (node, &fe->vqs)
		if (container_of(node, struct vq_node, node)->index == index)
			return true;
	return fe->rings[index].started;
}

/* Before anything is written to its memory, or said of it. */
static int join(struct vhu_vq *vq)
{
	struct vhu_frontend *fe = vq->frontend;
	int error = 0;

	vq->node.index = vq->config.index;
	vq->node.call_fd = vq->call_fd;
	vq->node.requeue = requeue;
	pthread_mutex_lock(&fe->lock);
	if (vq->config.index >= RINGS_MAX)
		error = frontend_fault(fe, -EINVAL, "ring %u: no such queue", vq->config.index);
	else if (is_taken(fe, vq->config.index))
		error = frontend_fault(fe, -EBUSY, "ring %u: started already", vq->config.index);
	else
		list_append(&fe->vqs, &vq->node.node);
	pthread_mutex_unlock(&fe->lock);
	return error;
}

/* Whether the back-end has it, or is about to have it again. */
static bool is_started(struct vhu_vq *vq)
{
	bool started;

	pthread_mutex_lock(&vq->frontend->lock);
	started = vq->frontend->rings[vq->config.index].started;
	pthread_mutex_unlock(&vq->frontend->lock);
	return started;
}

/* Nobody hands the ring over once more whose memory goes. */
static void part(struct vhu_vq *vq)
{
	pthread_mutex_lock(&vq->frontend->lock);
	list_remove(&vq->node.node);
	rings_forget(vq->frontend, vq->config.index, 1);
	pthread_mutex_unlock(&vq->frontend->lock);
}

/* Who has refused the rest still answers, and may have begun. */
static int give_up(struct vhu_vq *vq, int error)
{
	int stopped = vhu_frontend_vring_stop(vq->frontend, vq->config.index, NULL);

	return stopped ? stopped : error;
}

VHU_EXPORT int vhu_vq_start(struct vhu_frontend *frontend, const struct vhu_vq_config *config,
                            struct vhu_vq **ret)
{
	struct layout layout = lay_out(config->num, config->table_entries);
	struct vhu_vq *vq = calloc(1, sizeof(*vq));
	int error;

	if (!vq)
		return -ENOMEM;
	*vq = (struct vhu_vq){
		.frontend = frontend, .config = *config, .kick_fd = -1, .call_fd = -1, .err_fd = -1
	};
	list_init(&vq->node.node);
	error = fd_event(&vq->kick_fd);
	if (!error)
		error = fd_event(&vq->call_fd);
	if (!error)
		error = fd_event(&vq->err_fd);
	if (!error)
		error = join(vq);
	if (!error)
		error = make_driver(vq, layout);
	if (!error)
		error = hand_over(vq, 0);
	if (error == -EREMOTEIO && is_started(vq))
		error = give_up(vq, error);
	if (error)
		vhu_vq_free(vq);
	else
		*ret = vq;
	return error;
}

VHU_EXPORT int vhu_vq_stop(struct vhu_vq *vq)
{
	return vhu_frontend_vring_stop(vq->frontend, vq->config.index, NULL);
}

VHU_EXPORT int vhu_vq_restart(struct vhu_vq *vq)
{
	uint16_t base;
	int error;

	if (is_started(vq))
		return vq_fault(vq, -EBUSY, "not stopped");
	error = requeue(&vq->node, &base);
	if (error)
		return vq_fault(vq, error, "can't be gone on with");
	error = hand_over(vq, base);
	return error ? error : fd_signal(vq->kick_fd);
}

VHU_EXPORT void vhu_vq_free(struct vhu_vq *vq)
{
	if (!vq)
		return;
	if (!list_is_empty(&vq->node.node))
		part(vq);
	vring_driver_free(vq->driver);
	fd_close(&vq->kick_fd);
	fd_close(&vq->call_fd);
	fd_close(&vq->err_fd);
	free(vq);
}

VHU_EXPORT int vhu_vq_add(struct vhu_vq *vq, const struct vhu_buffer *buffers, unsigned n,
                          void *token)
{
	return vring_driver_add(vq->driver, (const struct vring_buffer *)buffers, n, token);
}

VHU_EXPORT int vhu_vq_kick(struct vhu_vq *vq)
{
	return vring_driver_kick_needed(vq->driver) ? fd_signal(vq->kick_fd) : 0;
}

VHU_EXPORT int vhu_vq_get(struct vhu_vq *vq, void **ret_token, uint32_t *ret_written)
{
	int error = 0;

	if (vring_driver_get(vq->driver, ret_token, ret_written, &error))
		return 1;
	return error ? vq_fault(vq, error, "the device wrote nonsense into the used ring") : 0;
}

VHU_EXPORT bool vhu_vq_arm(struct vhu_vq *vq)
{
	return vring_driver_arm(vq->driver);
}

VHU_EXPORT int vhu_vq_call_fd(const struct vhu_vq *vq)
{
	return vq->call_fd;
}

VHU_EXPORT bool vhu_vq_broken(const struct vhu_vq *vq)
{
	return vq->broken;
}

static bool is_lost(struct vhu_frontend *fe)
{
	bool lost;

	pthread_mutex_lock(&fe->lock);
	lost = fe->lost;
	pthread_mutex_unlock(&fe->lock);
	return lost;
}

/*
 * Sleeps once on everything that may happen. 0 or -errno. The call fd tells of the
 * back-end's end, but only who sleeps by then.
 */
static int sleep_once(struct vhu_vq *vq, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = vq->call_fd, .events = POLLIN },
		{ .fd = vq->err_fd, .events = POLLIN },
		{ .fd = vhu_frontend_fd(vq->frontend), .events = POLLIN },
	};

	if (pump_in_callback())
		return -EDEADLK;
	if (vq->config.run_elsewhere && is_lost(vq->frontend))
		return -ENOTCONN;
	if (poll(fds, vq->config.run_elsewhere ? 2 : 3, timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[0].revents)
		fd_drain(vq->call_fd);
	if (fds[1].revents && fd_drain(vq->err_fd))
		vq->broken = true;
	if (vq->config.run_elsewhere)
		return is_lost(vq->frontend) ? -ENOTCONN : 0;
	return fds[2].revents ? vhu_frontend_run(vq->frontend, 0) : 0;
}

VHU_EXPORT int vhu_vq_wait(struct vhu_vq *vq, int timeout_ms)
{
	const int64_t deadline = frontend_now_ms() + timeout_ms;

	for (;;) {
		int64_t left = timeout_ms < 0 ? -1 : deadline - frontend_now_ms();
		int error;

		if (vring_driver_arm(vq->driver)) {
			vring_driver_quiet(vq->driver);
			return 1;
		}
		if (vq->broken)
			return vq_fault(vq, -EPROTO, "the device has declared it broken");
		if (timeout_ms >= 0 && left <= 0)
			return 0;
		error = sleep_once(vq, (int)left);
		if (error)
			return error;
	}
}
