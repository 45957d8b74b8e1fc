/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another back-end in the place of one that has gone: all that the first was told
 * is told again, in the order in which a front-end tells it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/export.h"
#include "base/fd.h"
#include "base/log.h"
#include "frontend/frontend.h"
#include "frontend/meet.h"
#include "transport/socket.h"

/* A connection as it came to be the first time; waits without the lock. */
static int meet_again(const struct vhu_frontend *fe, int *ret_fd, struct socket_fault *why)
{
	int error;

	*why = (struct socket_fault){ "no fd, and no path to meet a back-end at" };
	if (!fe->path)
		return -EINVAL;
	if (fe->listener < 0)
		return socket_connect(fe->path, fe->config.timeout_ms, ret_fd, why);
	error = meet_accept(fe->listener, fe->config.timeout_ms, ret_fd);
	if (error)
		snprintf(why->text, sizeof(why->text), "%.100s: no back-end has connected: %s",
		         fe->path, strerror(-error));
	return error;
}

static int check_fd(int fd, struct socket_fault *why)
{
	int error = meet_check(fd);

	if (error)
		snprintf(why->text, sizeof(why->text), "fd %d will not do: %s", fd,
		         strerror(-error));
	return error;
}

/* Who waits for it has nothing to wait for. It is no loss to who has wanted that. */
static void leave(struct vhu_frontend *fe)
{
	frontend_lose(fe, -ENOTCONN, "left for another back-end");
	fe->lost_due = false;
}

/* The process of the last one is dead: whatever it was given is in nobody's hands. */
static int replace(struct vhu_frontend *fe, int fd)
{
	struct channel *before = fe->main;
	int error = exchange_open(fe, fd);

	if (error)
		return frontend_fault(fe, error, "reconnecting: %s", strerror(-error));
	fe->stats.sends += channel_stats(before).sends;
	channel_free(before);
	fe->connections++;
	iommu_device_died(&fe->device);
	fe->gave = false;
	fe->lost = fe->lost_due = false;
	fd_drain(fe->wake);
	return 0;
}

/* Features count as none before they are set, so that no miss is believed. */
static int replay(struct vhu_frontend *fe)
{
	const uint64_t features = fe->features;
	int error;

	fe->features = 0;
	error = negotiate(fe);
	if (!error)
		error = negotiate_features(fe, features & ~VHU_BIT(VHU_F_PROTOCOL_FEATURES));
	if (error) {
		fe->features = features;
		return error;
	}
	error = memory_share_again(fe);
	if (!error)
		error = vrings_start_again(fe);
	/* Last, as a driver does that is ready when its rings are. */
	if (!error)
		error = config_restore(fe);
	return error;
}

static int reconnect(struct vhu_frontend *fe, int fd)
{
	int error = replace(fe, fd);

	if (error) {
		fd_close(&fd);
		return error;
	}
	if (fe->negotiated) {
		fe->replaying = true;
		error = replay(fe);
		fe->replaying = false;
	}
	if (error) {
		char why[sizeof(fe->error)];

		memcpy(why, fe->error, sizeof(why));
		frontend_lose(fe, -ENOTCONN, "not brought to where the last one was: %s", why);
		fe->lost_due = false;
		return error;
	}
	fe->stats.reconnects++;
	return 0;
}

/* Nobody is left before there is somebody to go to. */
VHU_EXPORT int vhu_frontend_reconnect(struct vhu_frontend *fe, int fd)
{
	struct socket_fault why = { "called from a callback, which must not wait" };
	int error = -EDEADLK;

	if (!pump_in_callback())
		error = fd < 0 ? meet_again(fe, &fd, &why) : check_fd(fd, &why);
	pthread_mutex_lock(&fe->lock);
	if (error) {
		fd_close(&fd);
		return frontend_leave(fe, frontend_fault(fe, error, "reconnecting: %s", why.text));
	}
	leave(fe);
	error = memory_begin_change(fe);
	if (error) {
		fd_close(&fd);
		return frontend_leave(fe, error);
	}
	error = reconnect(fe, fd);
	memory_end_change(fe);
	return frontend_leave(fe, error);
}
