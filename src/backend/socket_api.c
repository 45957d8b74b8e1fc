/* SPDX-License-Identifier: BSD-3-Clause */
/* The public face of transport/socket.h. Any thread. */
#include <stdio.h>
#include <vhu/socket.h>

#include "base/export.h"
#include "transport/socket.h"

static int tell(int error, const struct socket_fault *fault, char *why, size_t why_size)
{
	if (error && why)
		snprintf(why, why_size, "%s", fault->text);
	return error;
}

VHU_EXPORT int vhu_socket_listen(const char *path, int *ret_fd, char *why, size_t why_size)
{
	struct socket_fault fault;

	return tell(socket_listen(path, ret_fd, &fault), &fault, why, why_size);
}

VHU_EXPORT int vhu_socket_connect(const char *path, int timeout_ms, int *ret_fd, char *why,
                                  size_t why_size)
{
	struct socket_fault fault;

	return tell(socket_connect(path, timeout_ms, ret_fd, &fault), &fault, why, why_size);
}
