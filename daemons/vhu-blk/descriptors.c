/* SPDX-License-Identifier: BSD-3-Clause */
#include "descriptors.h"

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

static uint64_t number_in(const char *variable)
{
	const char *text = getenv(variable);
	uint64_t value;

	return text && number_parse(text, &value) == 0 ? value : 0;
}

int descriptors_activation(void)
{
	uint64_t process = number_in("LISTEN_PID"), n = number_in("LISTEN_FDS");

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (process != (uint64_t)getpid() || !n)
		return -1;
	if (n == 1)
		return FIRST_PASSED;
	complain("LISTEN_FDS=%u: one socket is served; give the unit one ListenStream=",
	         (unsigned)n);
	return -2;
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
