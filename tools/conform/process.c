/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

pid_t process_of_peer(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ? 0 : peer.pid;
}

static FILE *open_of(pid_t pid, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return fopen(path, "re");
}

void process_name(pid_t pid, char *ret, size_t size)
{
	FILE *file = open_of(pid, "cmdline");
	char line[256] = "", *name;

	if (!file)
		return;
	if (fgets(line, sizeof(line), file)) {
		name = strrchr(line, '/');
		snprintf(ret, size, "%s", name ? name + 1 : line);
	}
	fclose(file);
}

bool process_is_there(pid_t pid)
{
	FILE *file = open_of(pid, "stat");
	char state = 0;

	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'R';
	fclose(file);
	return state != 'Z' && state != 'X';
}
