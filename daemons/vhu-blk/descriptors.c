/* SPDX-License-Identifier: BSD-3-Clause */
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "number.h"
#include "say.h"

#define FIRST_PASSED 3 /* where a service manager begins */

/* Ours, a message's, and some that come and go. */
#define FDS_BASE 48
/* Kick, call and error of the driver, a kernel ring or what threads wake us by. */
#define FDS_A_QUEUE  4
#define FDS_A_THREAD 2

/* A table of 509 slots, rings and buffers of a queue, stacks of its pool with guards. */
#define MAPS_BASE    1024
#define MAPS_A_QUEUE 24

int descriptors_open_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* The lowest number that is free, which is this one. */
		if (open("/dev/null", flags) < 0)
			return -errno;
	}
	return 0;
}

/* What the service manager has passed, if that is for this process. -1: it can't be told. */
static int passed(void)
{
	const char *process = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	uint64_t number, n = 0;

	if (!process || !count || number_parse(process, &number) || number != (uint64_t)getpid())
		return 0;
	if (number_parse(count, &n) == 0 && n <= 1)
		return (int)n;
	complain("LISTEN_FDS=%s: one socket is served; give the unit one ListenStream=", count);
	return -1;
}

int descriptors_activation(void)
{
	int n = passed();

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (n < 0)
		return -2;
	return n ? FIRST_PASSED : -1;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void descriptors_close_others(const int *keep, unsigned n)
{
	int sorted[8];
	unsigned first = STDERR_FILENO + 1;

	memcpy(sorted, keep, n * sizeof(*keep));
	qsort(sorted, n, sizeof(*sorted), compare);
	for (unsigned i = 0; i < n; i++) {
		if (sorted[i] < (int)first)
			continue;
		if (sorted[i] > (int)first)
			close_range(first, (unsigned)sorted[i] - 1, 0);
		first = (unsigned)sorted[i] + 1;
	}
	close_range(first, ~0u, 0);
}

static void check_maps(unsigned queues)
{
	unsigned needed = MAPS_BASE + MAPS_A_QUEUE * queues, most;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

	if (!file)
		return;
	if (fscanf(file, "%u", &most) == 1 && most < needed)
		say(VHU_LOG_WARNING,
		    "vm.max_map_count is %u and %u queues may need %u: memory of the front-end "
		    "may not find room; raise it with sysctl, or ask for fewer by --num-queues",
		    most, queues, needed);
	fclose(file);
}

void descriptors_make_room(unsigned queues, unsigned threads)
{
	rlim_t needed = FDS_BASE + FDS_A_QUEUE * queues + FDS_A_THREAD * threads;
	struct rlimit limit;

	check_maps(queues);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < needed)
		say(VHU_LOG_WARNING,
		    "%llu open files are allowed and %u queues may need %llu: some may not "
		    "start; raise the limit (ulimit -n, LimitNOFILE=), or ask for fewer by "
		    "--num-queues",
		    (unsigned long long)limit.rlim_cur, queues, (unsigned long long)needed);
}
