/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration space and the back-channel's fd. Thread: the session's. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/session.h"
#include "base/fd.h"
#include "base/log.h"
#include "transport/socket.h"

static int check(const struct session *session, const struct vhu_config *config)
{
	if (config->offset <= VHU_CONFIG_MAX && config->size <= VHU_CONFIG_MAX - config->offset)
		return 0;
	log_warning(session->subject, "%u bytes of configuration at %u are not within %u",
	            config->size, config->offset, VHU_CONFIG_MAX);
	return -EINVAL;
}

int on_get_config(struct session *session, struct message *message)
{
	const struct vhu_config *config = &message->payload.config;
	struct message reply;
	int error = check(session, config);

	if (error)
		return error;
	message_init(&reply, message->header.request);
	reply.payload.config.offset = config->offset;
	reply.payload.config.size = config->size;
	reply.payload.config.flags = config->flags;
	error = session->config->ops->config_get(session->config->dev, config->offset,
	                                         reply.payload.config.bytes, config->size);
	if (error)
		return error;
	session_reply(session, &reply, VHU_CONFIG_HEADER + config->size);
	return HANDLER_REPLIES;
}

int on_set_config(struct session *session, struct message *message)
{
	const struct vhu_config *config = &message->payload.config;
	int error = check(session, config);

	if (error)
		return error;
	if (!session->config->ops->config_set)
		return -EOPNOTSUPP;
	return session->config->ops->config_set(session->config->dev, config->offset, config->bytes,
	                                        config->size, config->flags & VHU_CONFIG_MIGRATION);
}

/* Whatever is wrong with it must not be found out by the first miss. */
static int back_channel_new(int fd, struct channel **ret)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	bool listening;
	int error = socket_kind(fd, &listening);

	if (error)
		return error;
	if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
		return -errno;
	return channel_new(fd, MESSAGE_BACK, ret);
}

int on_set_backend_req_fd(struct session *session, struct message *message)
{
	int fd = message_take_fd(message, 0);
	struct channel *channel;
	int error = back_channel_new(fd, &channel);

	if (error) {
		log_warning(session->subject, "the back-channel's fd can't be used: %s",
		            strerror(-error));
		fd_close(&fd);
		return error;
	}
	return misses_open(session, channel);
}
