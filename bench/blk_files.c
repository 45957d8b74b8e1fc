/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhu-blk without options on a file in memory and on one in the page cache,
 * against qemu-storage-daemon in whichever of its three ways is the fastest there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "blk_peer.h"
#include "blk_sections.h"
#include "figures.h"
#include "results.h"

#define QSD  "qemu-storage-daemon"
#define SIZE (UINT64_C(128) << 20)
#define WAYS 3u
#define US   1e-3 /* of a ns */

static const char *const way_names[WAYS] = { QSD " (threads)", QSD " (io_uring)",
	                                     QSD " (native, direct)" };
static const char *const way_options[WAYS] = { "aio=threads,cache.direct=off",
	                                       "aio=io_uring,cache.direct=off",
	                                       "aio=native,cache.direct=on" };

/* A file for each: what goes past the page cache takes away what others have there. */
struct place {
	const char *name;
	char paths[WAYS + 1][4200]; /* the last is ours */
	struct blk_peer ours, theirs[WAYS];
	bool usable[WAYS];
};

/* Who is asked for what. */
static const struct kind {
	const char *name;
	unsigned reads, depth;
	pairs_fn *run;
	struct bar bar;
	bool speed;
	const char *unit;
} kinds[] = {
	{ "random read, 32 in flight", 100, 32, blk_run, { BAR_LEAST, 2.0 }, true, "us" },
	{ "random write, 32 in flight", 0, 32, blk_run, { BAR_LEAST, 1.5 }, true, "us" },
	{ "random read, 1 in flight, median",
	  100,
	  1,
	  blk_run_median,
	  { BAR_MOST, 0.8 },
	  false,
	  "us" },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool is_in_memory(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* Full of data, and in the page cache. 0 or -errno. */
static int make_file(char *path, size_t size, const char *folder)
{
	static char bytes[4096]; /* as a machine writes: in small pages of the cache */
	int fd, error = 0;

	snprintf(path, size, "%s/vhu-bench-XXXXXX", folder);
	fd = mkstemp(path);
	if (fd < 0) {
		error = -errno;
		path[0] = 0;
		return error;
	}
	memset(bytes, 0xa5, sizeof(bytes));
	for (uint64_t done = 0; done < SIZE && !error; done += sizeof(bytes))
		if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
			error = errno ? -errno : -ENOSPC;
	if (!error && fdatasync(fd))
		error = -errno;
	close(fd);
	return error;
}

static int make_files(struct place *place, const char *folder)
{
	int error = 0;

	for (unsigned i = 0; i <= WAYS && !error; i++)
		error = make_file(place->paths[i], sizeof(place->paths[i]), folder);
	return error;
}

static void remove_files(struct place *place)
{
	for (unsigned i = 0; i <= WAYS; i++)
		if (place->paths[i][0])
			unlink(place->paths[i]);
}

static int start_ours(struct place *place)
{
	char file[4300];
	const char *const args[] = { "--socket-path=%s", file, "--locking=off", NULL };

	snprintf(file, sizeof(file), "--blk-file=%s", place->paths[WAYS]);
	return blk_peer_start(&place->ours, blk_daemon(), args);
}

static void start_theirs(struct place *place, unsigned way)
{
	char disk[4500];
	const char *const args[] = {
		"--object",
		"iothread,id=thread",
		"--blockdev",
		disk,
		"--export",
		"type=vhost-user-blk,id=export,node-name=disk,writable=on,iothread=thread,"
		"addr.type=unix,addr.path=%s",
		NULL
	};

	snprintf(disk, sizeof(disk), "driver=file,node-name=disk,locking=off,filename=%s,%s",
	         place->paths[way], way_options[way]);
	place->usable[way] = blk_peer_start(&place->theirs[way], QSD, args) == 0;
	if (!place->usable[way])
		printf("%s does not work on %s\n", way_names[way], place->name);
}

/* A session for a kind with each of them. */
static int open_all(struct place *place, const struct kind *kind)
{
	struct bench_options options = blk_options_default();
	int error;

	options.reads = kind->reads;
	options.depth = kind->depth;
	error = blk_peer_open(&place->ours, &options);
	for (unsigned i = 0; i < WAYS && !error; i++)
		if (place->usable[i])
			error = blk_peer_open(&place->theirs[i], &options);
	return error;
}

static void close_all(struct place *place)
{
	blk_peer_close(&place->ours);
	for (unsigned i = 0; i < WAYS; i++)
		blk_peer_close(&place->theirs[i]);
}

/* The fastest for a kind, by one short run each after a shorter one to warm up. */
static unsigned find_best(struct place *place, const struct kind *kind)
{
	unsigned best = WAYS;
	double least = 0;

	for (unsigned i = 0; i < WAYS; i++) {
		const struct contender one = { way_names[i], kind->run, &place->theirs[i], true };
		struct turns turns;
		double ns;

		if (!place->usable[i])
			continue;
		pairs_turns(&one, 1, pairs_seconds() / 30, &turns);
		ns = turns_ns(&turns, 0).median;
		printf("  %s, %s: %s: %.2f us\n", place->name, kind->name, way_names[i], ns * US);
		if (best == WAYS || ns < least) {
			best = i;
			least = ns;
		}
	}
	return best;
}

static int report_cpu(const struct blk_peer *peer, const char *kind, const char *whose)
{
	char name[128];

	snprintf(name, sizeof(name), "%s: CPU of %s", kind, whose);
	return result_add(&(struct result){
		.bench = BLK_BENCH,
		.name = name,
		.value = (double)peer->peer_cpu_ns / (double)peer->requests * US,
		.unit = "us",
	});
}

static int measure(struct place *place, const struct kind *kind)
{
	char name[96];
	unsigned best = find_best(place, kind);
	struct blk_peer *theirs = &place->theirs[best < WAYS ? best : 0];
	const struct contender contenders[] = {
		{ "vhu-blk", kind->run, &place->ours, true },
		{ best < WAYS ? way_names[best] : QSD, kind->run, theirs, true },
	};
	const struct figure figure = { name, 0, 1, kind->bar, kind->unit, US, kind->speed };
	int err;

	snprintf(name, sizeof(name), "%s, %s", place->name, kind->name);
	if (best == WAYS)
		return result_skip(BLK_BENCH, name, QSD " does not work here");
	err = figures_measure(BLK_BENCH, contenders, 2, &figure, 1);
	if (err || place->ours.error || theirs->error)
		return 1;
	err = report_cpu(&place->ours, name, "vhu-blk");
	return err ? err : report_cpu(theirs, name, way_names[best]);
}

static int measure_place(struct place *place)
{
	int err = start_ours(place);

	for (unsigned i = 0; i < WAYS && !err; i++)
		start_theirs(place, i);
	for (unsigned i = 0; i < N_KINDS && !err; i++) {
		err = open_all(place, &kinds[i]);
		if (!err)
			err = measure(place, &kinds[i]);
		close_all(place);
	}
	blk_peer_end(&place->ours);
	for (unsigned i = 0; i < WAYS; i++)
		if (place->usable[i])
			blk_peer_end(&place->theirs[i]);
	return err;
}

static int bench_place(const char *name, const char *folder, const char *unfit)
{
	static struct place place;
	int err = 0;

	memset(&place, 0, sizeof(place));
	place.name = name;
	if (!blk_is_installed(QSD))
		unfit = QSD " is not installed: package qemu-system-common";
	if (unfit)
		return result_skip(BLK_BENCH, name, unfit);
	err = make_files(&place, folder);
	if (err)
		fprintf(stderr, "blk: %s: %s\n", folder, strerror(-err));
	else
		err = measure_place(&place);
	remove_files(&place);
	return err;
}

int bench_blk_files(void)
{
	char folder[4096];
	int err;

	snprintf(folder, sizeof(folder), "%s", blk_daemon());
	*strrchr(folder, '/') = 0;
	err = bench_place("tmpfs", "/dev/shm",
	                  is_in_memory("/dev/shm") ? NULL : "/dev/shm is no tmpfs");
	return err | bench_place("page cache", folder,
	                         is_in_memory(folder) ? "the build folder is in memory" : NULL);
}
