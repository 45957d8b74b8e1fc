/* SPDX-License-Identifier: BSD-3-Clause */
/* A front-end's life: how it meets its back-end, and how it loses it. */
#include "frontend/frontend.h"

#include <errno.h>
#include <limits.h>
#include <linux/virtio_config.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/export.h"
#include "base/fd.h"
#include "base/log.h"
#include "frontend/meet.h"
#include "transport/socket.h"

#define TIMEOUT_DEFAULT_MS 5000
/* Longer is for ever, and a little more than this must not wrap. */
#define TIMEOUT_MAX_MS (INT_MAX / 2)

pthread_mutex_t *frontend_lock_of(const struct vhu_frontend *fe)
{
	return (pthread_mutex_t *)(uintptr_t)&fe->lock;
}

bool frontend_has_protocol(const struct vhu_frontend *fe, unsigned bit)
{
	return fe->protocol_features & VHU_BIT(bit);
}

bool frontend_translates(const struct vhu_frontend *fe)
{
	return fe->features & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

int frontend_fault(struct vhu_frontend *fe, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fe->error, sizeof(fe->error), format, args);
	va_end(args);
	log_info(fe->name, "%s", fe->error);
	return error;
}

/* For those who sleep, and for those who poll: it stays readable from here on. */
static void wake_all(struct vhu_frontend *fe)
{
	struct list *node;

	fd_signal(fe->wake);
	list_for_each (node, &fe->vqs)
		fd_signal(container_of(node, struct vq_node, node)->call_fd);
	if (fe->n_waiting)
		pthread_cond_broadcast(&fe->changed);
}

void frontend_lose(struct vhu_frontend *fe, int head_error, const char *format, ...)
{
	va_list args;

	if (fe->lost)
		return;
	fe->lost = true;
	va_start(args, format);
	vsnprintf(fe->lost_reason, sizeof(fe->lost_reason), format, args);
	va_end(args);
	snprintf(fe->error, sizeof(fe->error), "connection lost: %s", fe->lost_reason);
	log_warning(fe->name, "%s", fe->error);
	pump_remove(fe, channel_fd(fe->main));
	shutdown(channel_fd(fe->main), SHUT_RDWR);
	backchannel_close(fe);
	exchange_end(fe, head_error);
	wake_all(fe);
	/* Whoever replays is told by the result. */
	fe->lost_due = !fe->replaying;
}

static void release(struct vhu_frontend *fe)
{
	rings_forget(fe, 0, RINGS_MAX);
	memory_close(fe);
	if (fe->listener >= 0)
		unlink(fe->path);
	fd_close(&fe->listener);
	free(fe->path);
	pump_close(fe);
	free(fe);
}

static int timeout_of(const struct vhu_frontend_config *config)
{
	if (!config->timeout_ms)
		return TIMEOUT_DEFAULT_MS;
	return config->timeout_ms < TIMEOUT_MAX_MS ? config->timeout_ms : TIMEOUT_MAX_MS;
}

static int frontend_alloc(const struct vhu_frontend_config *config, struct vhu_frontend **ret)
{
	struct vhu_frontend *fe = calloc(1, sizeof(*fe));
	int error;

	if (!fe)
		return -ENOMEM;
	fe->config = *config;
	fe->config.timeout_ms = timeout_of(config);
	snprintf(fe->name, sizeof(fe->name), "%s", config->name ? config->name : "frontend");
	fe->listener = -1;
	fe->status = -1;
	fe->lost = true;
	list_init(&fe->deferred);
	list_init(&fe->tickets);
	list_init(&fe->vqs);
	fe->device.ops = &frontend_iommu_ops;
	fe->device.opaque = config->opaque;
	error = pump_open(fe);
	if (error)
		free(fe);
	else
		*ret = fe;
	return error;
}

/* Once attached it is seen by other threads; it is lost until it has a connection. */
static int frontend_begin(struct vhu_frontend *fe, int fd)
{
	int error = fe->config.iommu ? iommu_attach(fe->config.iommu, &fe->device) : 0;

	if (error)
		return error;
	pthread_mutex_lock(&fe->lock);
	error = exchange_open(fe, fd);
	fe->lost = error != 0;
	pthread_mutex_unlock(&fe->lock);
	if (error)
		iommu_detach(&fe->device);
	return error;
}

VHU_EXPORT int vhu_frontend_new(const struct vhu_frontend_config *config, int fd,
                                struct vhu_frontend **ret)
{
	struct vhu_frontend *fe;
	int error = config->timeout_ms < 0 ? -EINVAL : meet_check(fd);

	if (!error)
		error = frontend_alloc(config, &fe);
	if (error)
		return error;
	error = frontend_begin(fe, fd);
	if (error)
		release(fe);
	else
		*ret = fe;
	return error;
}

static const char *name_of(const struct vhu_frontend_config *config)
{
	return config->name ? config->name : "frontend";
}

/* The front-end of a connection that has just been made, at @path. */
static int new_at(const struct vhu_frontend_config *config, int fd, const char *path,
                  struct vhu_frontend **ret)
{
	char *copy = strdup(path);
	int error = copy ? vhu_frontend_new(config, fd, ret) : -ENOMEM;

	if (error) {
		fd_close(&fd);
		free(copy);
		return error;
	}
	(*ret)->path = copy;
	return 0;
}

VHU_EXPORT int vhu_frontend_connect(const struct vhu_frontend_config *config, const char *path,
                                    struct vhu_frontend **ret)
{
	struct socket_fault why;
	int fd, error;

	if (config->timeout_ms < 0)
		return -EINVAL;
	error = socket_connect(path, timeout_of(config), &fd, &why);
	if (!error)
		return new_at(config, fd, path, ret);
	log_error(name_of(config), "%s", why.text);
	return error;
}

VHU_EXPORT int vhu_frontend_listen(const struct vhu_frontend_config *config, const char *path,
                                   struct vhu_frontend **ret)
{
	struct socket_fault why;
	int listener, fd, error;

	if (config->timeout_ms < 0)
		return -EINVAL;
	error = socket_listen(path, &listener, &why);
	if (error) {
		log_error(name_of(config), "%s", why.text);
		return error;
	}
	error = meet_accept(listener, timeout_of(config), &fd);
	if (error)
		log_error(name_of(config), "%s: no back-end has connected: %s", path,
		          strerror(-error));
	else
		error = new_at(config, fd, path, ret);
	if (error) {
		fd_close(&listener);
		unlink(path);
		return error;
	}
	(*ret)->listener = listener;
	return 0;
}

VHU_EXPORT void vhu_frontend_free(struct vhu_frontend *fe)
{
	if (!fe)
		return;
	pthread_mutex_lock(&fe->lock);
	/* Who waits for it is told; the user knows. */
	fe->lost = true;
	fe->lost_due = false;
	exchange_end(fe, -ENOTCONN);
	wake_all(fe);
	frontend_leave(fe, 0);
	iommu_detach(&fe->device);
	/* In this order: a back-channel that ends alone is a fault to a back-end. */
	channel_free(fe->main);
	backchannel_close(fe);
	release(fe);
}

VHU_EXPORT int vhu_frontend_fd(const struct vhu_frontend *fe)
{
	return fe->epoll;
}

VHU_EXPORT int vhu_frontend_run(struct vhu_frontend *fe, int timeout_ms)
{
	int error = pump_enter(fe);

	if (error)
		return error;
	if (!fe->lost)
		error = frontend_round(fe, timeout_ms);
	else if (fe->config.iommu)
		fe->timer_due = true; /* what it is for ends all the same */
	return frontend_leave(fe, error ? error : fe->lost ? -ENOTCONN : 0);
}

VHU_EXPORT void vhu_frontend_wake(struct vhu_frontend *fe)
{
	fd_signal(fe->wake);
}

/* A copy, since other threads write the original. */
VHU_EXPORT const char *vhu_frontend_error(const struct vhu_frontend *fe)
{
	static _Thread_local char text[sizeof(fe->error)];

	pthread_mutex_lock(frontend_lock_of(fe));
	memcpy(text, fe->error, sizeof(text));
	pthread_mutex_unlock(frontend_lock_of(fe));
	return text;
}

VHU_EXPORT void vhu_frontend_stats(const struct vhu_frontend *fe, struct vhu_frontend_stats *ret)
{
	pthread_mutex_lock(frontend_lock_of(fe));
	*ret = fe->stats;
	ret->sends += channel_stats(fe->main).sends;
	if (fe->back)
		ret->reply_sends += channel_stats(fe->back).sends;
	pthread_mutex_unlock(frontend_lock_of(fe));
}
