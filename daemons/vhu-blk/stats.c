/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

struct figure {
	const char *key;
	uint64_t value;
};

static void print_figures(FILE *file, const char *indent, const struct figure *figures, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fprintf(file, "%s\"%s\": %" PRIu64 "%s\n", indent, figures[i].key, figures[i].value,
		        i + 1 < n ? "," : "");
}

static void print_iotlb(FILE *file, const struct vhu_stats *s)
{
	const struct figure figures[] = {
		{ "entries", s->iotlb_entries },
		{ "hits", s->iotlb_hits },
		{ "walks", s->iotlb_walks },
		{ "misses", s->misses },
		{ "pages_needed", s->pages_needed },
		{ "updates", s->updates },
		{ "invalidations", s->invalidations },
		{ "refused", s->refused },
		{ "unsatisfied", s->unsatisfied },
		{ "evicted", s->evicted },
		{ "flushes", s->flushes },
	};

	fprintf(file, "  \"iotlb\": {\n");
	print_figures(file, "    ", figures, sizeof(figures) / sizeof(figures[0]));
	fprintf(file, "  },\n");
}

static void print_all(FILE *file, const struct vhu_stats *s, const struct blk_counters *blk,
                      uint64_t sessions)
{
	const struct figure figures[] = {
		{ "requests", s->requests },
		{ "refused_requests", s->refused_requests },
		{ "bytes_read", blk->bytes_read },
		{ "bytes_written", blk->bytes_written },
		{ "errors", blk->errors },
		{ "unsupported", blk->unsupported },
		{ "kicks", s->kicks },
		{ "calls", s->calls },
		{ "ring_errors", s->ring_errors },
		{ "sessions", sessions },
	};

	fprintf(file, "{\n");
	print_iotlb(file, s);
	print_figures(file, "  ", figures, sizeof(figures) / sizeof(figures[0]));
	fprintf(file, "}\n");
}

/* A new file beside the one to be replaced; readable as the umask allows. */
static FILE *open_beside(const char *path, char **ret_name)
{
	mode_t mask = umask(0);
	FILE *file = NULL;
	int fd, saved;

	umask(mask);
	if (asprintf(ret_name, "%s.XXXXXX", path) < 0) {
		errno = ENOMEM;
		return NULL;
	}
	fd = mkostemp(*ret_name, O_CLOEXEC);
	if (fd >= 0 && fchmod(fd, 0666 & ~mask) == 0)
		file = fdopen(fd, "w");
	if (file)
		return file;
	saved = errno;
	if (fd >= 0) {
		unlink(*ret_name);
		close(fd);
	}
	free(*ret_name);
	errno = saved;
	return NULL;
}

/* What is there would be no more: a device, a folder, the disk. */
static int check_place(const char *path, int storage_fd)
{
	struct stat there, disk;

	if (stat(path, &there) < 0)
		return 0;
	if (storage_fd >= 0 && fstat(storage_fd, &disk) == 0 && there.st_dev == disk.st_dev &&
	    there.st_ino == disk.st_ino)
		complain("--stats-json=%s: this is the disk; give another path", path);
	else if (!S_ISREG(there.st_mode))
		complain("--stats-json=%s: no regular file, so it is not replaced; give another "
		         "path",
		         path);
	else
		return 0;
	return -EEXIST;
}

int stats_init(struct stats *stats, const char *path, const struct blk *blk, int storage_fd)
{
	FILE *file;
	char *name;
	int error;

	*stats = (struct stats){ .path = path, .blk = blk };
	if (!path)
		return 0;
	error = check_place(path, storage_fd);
	if (error)
		return error;
	file = open_beside(path, &name);
	if (!file) {
		error = -errno;
		complain("--stats-json=%s: can't write there: %s; give another path", path,
		         strerror(-error));
		return error;
	}
	fclose(file);
	unlink(name);
	free(name);
	return 0;
}

static struct blk_counters since(const struct blk_counters *now, const struct blk_counters *before)
{
	return (struct blk_counters){
		.bytes_read = now->bytes_read - before->bytes_read,
		.bytes_written = now->bytes_written - before->bytes_written,
		.errors = now->errors - before->errors,
		.unsupported = now->unsupported - before->unsupported,
	};
}

static int write_file(const struct stats *stats, const struct vhu_stats *s,
                      const struct blk_counters *blk)
{
	char *name;
	FILE *file = open_beside(stats->path, &name);
	int error = 0;

	if (!file)
		return -errno;
	print_all(file, s, blk, stats->sessions);
	if (ferror(file))
		error = -EIO;
	if (fclose(file) && !error)
		error = -errno;
	if (!error && rename(name, stats->path) < 0)
		error = -errno;
	if (error)
		unlink(name);
	free(name);
	return error;
}

static void write_or_warn(const struct stats *stats, const struct vhu_stats *s,
                          const struct blk_counters *blk)
{
	int error = stats->path ? write_file(stats, s, blk) : 0;

	if (error)
		say(VHU_LOG_WARNING, "%s: statistics were not written: %s", stats->path,
		    strerror(-error));
}

void stats_end_session(struct stats *stats, const struct vhu_stats *now)
{
	struct blk_counters counters;
	char of_them[48] = "";

	blk_count(stats->blk, &counters);
	stats->ended = *now;
	stats->ended_blk = since(&counters, &stats->before);
	stats->before = counters;
	if (stats->ended_blk.unsupported)
		snprintf(of_them, sizeof(of_them), " (%" PRIu64 " unsupported)",
		         stats->ended_blk.unsupported);
	stats->sessions++;
	say(VHU_LOG_INFO,
	    "session %" PRIu64 " ended: %" PRIu64 " requests, %" PRIu64 " bytes read, %" PRIu64
	    " written, %" PRIu64 " errors%s, %" PRIu64 " misses, %" PRIu64 " invalidations",
	    stats->sessions, now->requests, stats->ended_blk.bytes_read,
	    stats->ended_blk.bytes_written, stats->ended_blk.errors, of_them, now->misses,
	    now->invalidations);
	write_or_warn(stats, &stats->ended, &stats->ended_blk);
}

/*
 * The library shows a session's counters until the next begins. So they are those
 * of the session that has ended if they equal them and the device has done nothing
 * since.
 */
void stats_write(const struct stats *stats, const struct vhu_stats *now)
{
	static const struct blk_counters nothing;
	struct blk_counters counters, own;

	blk_count(stats->blk, &counters);
	own = since(&counters, &stats->before);
	if (memcmp(&own, &nothing, sizeof(own)) == 0 &&
	    memcmp(now, &stats->ended, sizeof(*now)) == 0)
		own = stats->ended_blk;
	write_or_warn(stats, now, &own);
}
