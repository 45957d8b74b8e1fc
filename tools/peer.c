/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <vhu/socket.h>

#include "say.h"

/* connect(2) tells of a file, a folder or a device what it tells of a socket nobody listens to. */
static bool is_something_else(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISSOCK(st.st_mode);
}

static const char *remedy_of(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM: return "become a user who may write to it, or change its mode";
	case -EAGAIN: return "the back-end is there and accepts nobody";
	case -EMFILE:
	case -ENFILE: return "raise the limit of open files (ulimit -n)";
	default: return "start a back-end that listens there";
	}
}

int peer_connect(const char *program, const char *path, int timeout_ms, int *ret_fd)
{
	char why[200];
	int error;

	if (is_something_else(path)) {
		say(program,
		    "--socket-path=%s: is no socket; give the path where a back-end listens", path);
		return -ENOTSOCK;
	}
	error = vhu_socket_connect(path, timeout_ms, ret_fd, why, sizeof(why));
	if (error == -ENAMETOOLONG)
		say(program, "--socket-path: %s", why);
	else if (error)
		say(program, "--socket-path=%s: %s; %s", path, strerror(-error), remedy_of(error));
	return error;
}

/* The last part of the path that the program was started by; the kernel keeps but 15 bytes. */
static void find_long_name(struct peer *peer)
{
	char path[64], command[256] = "";
	const char *name;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)peer->pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fread(command, 1, sizeof(command) - 1, file) > 0) {
		name = strrchr(command, '/') ? strrchr(command, '/') + 1 : command;
		if (!strncmp(name, peer->name, strlen(peer->name)))
			snprintf(peer->name, sizeof(peer->name), "%.*s",
			         (int)sizeof(peer->name) - 1, name);
	}
	fclose(file);
}

static void find_name(struct peer *peer)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)peer->pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(peer->name, sizeof(peer->name), file))
		peer->name[0] = 0;
	peer->name[strcspn(peer->name, "\n")] = 0;
	fclose(file);
	find_long_name(peer);
	for (char *c = peer->name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.:+ ", *c))
			*c = '_';
}

void peer_of(int fd, struct peer *ret)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	*ret = (struct peer){ 0 };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) || who.pid <= 1 ||
	    who.pid == getpid())
		return;
	ret->pid = who.pid;
	find_name(ret);
	ret->has_clock = clock_getcpuclockid(who.pid, &ret->clock) == 0;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		return 0;
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t peer_cpu_ns(const struct peer *peer)
{
	return peer->has_clock ? read_clock(peer->clock) : 0;
}

uint64_t own_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
