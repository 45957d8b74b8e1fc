/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/message.h"

#include <string.h>

#include "base/fd.h"

void message_init(struct message *message, uint32_t request)
{
	memset(message, 0, sizeof(*message));
	message->header.request = request;
	message->header.flags = VHU_FLAG_VERSION;
	for (unsigned i = 0; i < MESSAGE_FDS_MAX; i++)
		message->fds[i] = -1;
}

int message_take_fd(struct message *message, unsigned i)
{
	int fd;

	if (i >= message->n_fds)
		return -1;
	fd = message->fds[i];
	message->fds[i] = -1;
	return fd;
}

void message_close_fds(struct message *message)
{
	for (unsigned i = 0; i < message->n_fds; i++)
		fd_close(&message->fds[i]);
	message->n_fds = 0;
}
