/* SPDX-License-Identifier: BSD-3-Clause */
#include "support/census.h"

#include <dirent.h>
#include <time.h>

#include "support/check.h"
#include "support/peer.h"

/* Entries of a directory of /proc, the one that reading it opens included. */
static unsigned count(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

struct census census_take(void)
{
	return (struct census){ count("/proc/self/fd"), count("/proc/self/task") };
}

void census_check(struct census before)
{
	struct census now = census_take();

	for (int ms = 0; ms < PEER_PATIENCE && now.threads > before.threads; ms++) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		now = census_take();
	}
	if (now.fds != before.fds || now.threads != before.threads)
		fail_msg("%u fds and %u threads became %u and %u", before.fds, before.threads,
		         now.fds, now.threads);
}
