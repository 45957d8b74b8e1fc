/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 20

static int connect_once(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int peer_connect(const char *path, int timeout_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	for (int ms = 0;; ms += RETRY_MS) {
		fd = connect_once(&address);
		if ((fd != -ENOENT && fd != -ECONNREFUSED) || ms >= timeout_ms)
			return fd;
		nanosleep(&(struct timespec){ 0, RETRY_MS * 1000000L }, NULL);
	}
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
