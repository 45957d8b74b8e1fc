/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhu demo: the main job on an embedded default. vhu-blk runs as a process of
 * its own on a temporary disk; this one is its front-end, maps each request's
 * memory, has it done, and takes it back. No VM, no privilege.
 */
#include "demo.h"

#include <argp.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "cli.h"
#include "option.h"
#include "say.h"

#define MIB             (UINT64_C(1) << 20)
#define SIZE_DEFAULT    (256 * MIB)
#define SIZE_MOST       (UINT64_C(1) << 40)
#define MEMORY          (32 * MIB)
#define IOVA            UINT64_C(0x100000000)
#define CHILD_END_MS    3000
#define RING_SIZE       64u
#define ACCESS_PLATFORM (UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM)

struct options {
	char daemon[4096];
	uint64_t size;
	bool json;
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	stop = number;
}

enum { OPTION_DAEMON = 256, OPTION_SIZE, OPTION_JSON };

static const struct argp_option option_table[] = {
	{ "blk-daemon", OPTION_DAEMON, "PATH", 0,
	  "The vhu-blk to run (default: the one built or installed beside this program)", 0 },
	{ "size", OPTION_SIZE, "SIZE", 0, "Bytes to write and verify; K, M, G (default: 256M)", 0 },
	{ "json", OPTION_JSON, NULL, 0, "Print one JSON object instead of a table", 0 },
	{ 0 }
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case OPTION_DAEMON: snprintf(options->daemon, sizeof(options->daemon), "%s", arg); return 0;
	case OPTION_SIZE:
		options->size = option_size(state, "size", arg, DEMO_SIZE_LEAST, SIZE_MOST);
		return 0;
	case OPTION_JSON: options->json = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "%s: not an option; see --help", arg); return 0;
	case ARGP_KEY_END:
		/* Whole requests. */
		options->size = (options->size + DEMO_IO_BYTES - 1) / DEMO_IO_BYTES * DEMO_IO_BYTES;
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_table,
	.parser = parse_option,
	.doc = "Drive a vhu-blk through its device IOTLB: write and verify a temporary disk, each "
	       "request mapped, done and unmapped, and show that what is not mapped is refused.\v"
	       "Examples:\n\n"
	       "  vhu demo\n"
	       "  vhu demo --size=1G --json\n"
	       "  TMPDIR=/var/tmp vhu demo --size=8G\n\n"
	       "Exit status: 0 fine, 1 something failed or differs, 2 a command line that makes "
	       "no sense, 130 interrupted.",
};

/* Beside this program, or in the build tree's folder of daemons. */
static void find_daemon(char *ret, size_t size)
{
	static const char *const places[] = { "vhu-blk", "../daemons/vhu-blk" };
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		n = 0;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash)
		slash[1] = 0;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(ret, size, "%s%s", self, places[i]);
		if (!access(ret, X_OK))
			return;
	}
}

static void on_fault(const struct vhu_iommu_fault *fault, void *opaque)
{
	struct demo *demo = opaque;

	demo->fault = *fault;
	demo->faults++;
}

static int explain(struct demo *demo, const char *what, int error)
{
	return say_failure(DEMO_NAME, demo->frontend, what, error, NULL);
}

static int make_parts(struct demo *demo, struct child *child)
{
	const struct vhu_iommu_config iommu = { .fault = on_fault, .opaque = demo };
	/* Two regions, as a machine with two memory nodes has. */
	const uint64_t sizes[] = { MEMORY / 2, MEMORY / 2 };
	struct vhu_frontend_config config = { .name = "demo" };
	int error = vhu_iommu_new(&iommu, &demo->iommu);

	if (!error)
		error = vhu_guestmem_new(sizes, 2, &demo->mem);
	config.iommu = demo->iommu;
	if (!error)
		error = vhu_frontend_new(&config, child->fd, &demo->frontend);
	if (!error)
		child->fd = -1;
	return explain(demo, "setting up", error);
}

static int negotiate(struct demo *demo)
{
	const struct vhu_region *regions;
	uint64_t offered;
	unsigned n;
	int error = vhu_frontend_negotiate(demo->frontend);

	if (error)
		return explain(demo, "negotiating", error);
	offered = vhu_frontend_features_offered(demo->frontend);
	if (!(offered & ACCESS_PLATFORM)) {
		say(DEMO_NAME, "the back-end has no device IOTLB; give a vhu-blk by --blk-daemon");
		return -EOPNOTSUPP;
	}
	demo->features = blk_driver_features(offered);
	error = vhu_frontend_set_features(demo->frontend, demo->features);
	regions = vhu_guestmem_regions(demo->mem, &n);
	if (!error)
		error = vhu_frontend_add_memory(demo->frontend, regions, n);
	return explain(demo, "negotiating", error);
}

static int start_driver(struct demo *demo)
{
	const struct blk_driver_config config = {
		.frontend = demo->frontend,
		.iommu = demo->iommu,
		.mem = demo->mem,
		.features = demo->features,
		.num = RING_SIZE,
		.depth = DEMO_DEPTH,
		.pages = DEMO_PAGES,
		.mem_size = MEMORY,
		.iova = IOVA,
	};

	return explain(demo, "starting the queue", blk_driver_new(&config, &demo->driver));
}

static int drive(struct demo *demo, struct child *child)
{
	int error = make_parts(demo, child);

	if (error)
		return error;
	error = negotiate(demo);
	/* The daemon has the disk open, or the session would not have come so far. */
	child_unlink(child);
	if (!error)
		error = start_driver(demo);
	if (!error)
		error = demo_write(demo);
	if (!error)
		error = demo_verify(demo);
	if (!error)
		error = demo_refusals(demo);
	if (!error)
		error = explain(demo, "stopping the queue", blk_driver_stop(demo->driver));
	return error;
}

static void release(struct demo *demo)
{
	if (demo->frontend)
		vhu_frontend_stats(demo->frontend, &demo->stats);
	blk_driver_free(demo->driver);
	vhu_frontend_free(demo->frontend);
	vhu_iommu_free(demo->iommu);
	vhu_guestmem_free(demo->mem);
}

static double rate(uint64_t bytes, double seconds)
{
	return seconds > 0 ? (double)bytes / (double)MIB / seconds : 0;
}

static void print_table(const struct demo *demo, const char *daemon)
{
	const struct vhu_frontend_stats *stats = &demo->stats;

	printf("vhu-blk behind a software IOMMU, strict: map, request, unmap (%s)\n\n", daemon);
	printf("  requests       %12llu   of up to %u scattered pages, %u in flight\n",
	       (unsigned long long)demo->requests, DEMO_PAGES, DEMO_DEPTH);
	printf("  misses         %12llu   asked by the back-end\n",
	       (unsigned long long)stats->misses);
	printf("  updates        %12llu   translations given\n",
	       (unsigned long long)stats->updates);
	printf("  invalidations  %12llu   taken back, each acknowledged\n",
	       (unsigned long long)stats->invalidations);
	printf("  refusals       %12llu   misses of what is not mapped\n",
	       (unsigned long long)stats->refused);
	printf("  verified bytes %12llu   %llu differ\n", (unsigned long long)demo->verified,
	       (unsigned long long)demo->differing);
	printf("  throughput     %12.0f   MiB/s written, %.0f MiB/s read and compared\n\n",
	       rate(demo->written, demo->write_seconds),
	       rate(demo->verified, demo->verify_seconds));
	for (unsigned i = 0; i < 2; i++) {
		const struct demo_refusal *refusal = &demo->refusals[i];

		printf("  %s (0x%llx): %s, %s, memory %s, disk %s\n", refusal->what,
		       (unsigned long long)refusal->iova,
		       refusal->status_ioerr ? "I/O error" : "NOT REFUSED",
		       refusal->fault_reported ? "fault reported" : "NO FAULT REPORTED",
		       refusal->memory_untouched ? "untouched" : "TOUCHED",
		       refusal->disk_untouched ? "untouched" : "TOUCHED");
	}
}

static void print_json(const struct demo *demo, bool fine)
{
	const struct vhu_frontend_stats *stats = &demo->stats;

	printf("{\"requests\": %llu, \"misses\": %llu, \"updates\": %llu, \"invalidations\": %llu, "
	       "\"refusals\": %llu, \"written_bytes\": %llu, \"verified_bytes\": %llu, "
	       "\"differing_bytes\": %llu, \"write_mib_s\": %.1f, \"verify_mib_s\": %.1f, "
	       "\"unmapped_refused\": %s, \"just_unmapped_refused\": %s, \"ok\": %s}\n",
	       (unsigned long long)demo->requests, (unsigned long long)stats->misses,
	       (unsigned long long)stats->updates, (unsigned long long)stats->invalidations,
	       (unsigned long long)stats->refused, (unsigned long long)demo->written,
	       (unsigned long long)demo->verified, (unsigned long long)demo->differing,
	       rate(demo->written, demo->write_seconds), rate(demo->verified, demo->verify_seconds),
	       demo_refusal_holds(&demo->refusals[0]) ? "true" : "false",
	       demo_refusal_holds(&demo->refusals[1]) ? "true" : "false", fine ? "true" : "false");
}

static bool all_is_well(const struct demo *demo)
{
	return demo->verified == demo->size && !demo->differing && demo->stats.refused == 2 &&
	       !demo->stats.updates_refused && demo_refusal_holds(&demo->refusals[0]) &&
	       demo_refusal_holds(&demo->refusals[1]);
}

static int run(const struct options *options)
{
	static const char *const args[] = { "--log-level=error", NULL };
	struct demo demo = { .size = options->size, .stop = &stop };
	struct child child;
	bool ended_well, fine;
	int error = child_start(&child, options->daemon, options->size, args);

	if (!error)
		error = drive(&demo, &child);
	release(&demo);
	ended_well = child_stop(&child, stop ? 0 : CHILD_END_MS);
	if (stop) {
		say(DEMO_NAME, "interrupted");
		return EXIT_INTERRUPTED;
	}
	if (error)
		return EXIT_DIFFERENT;
	if (!ended_well)
		say(DEMO_NAME, "the daemon did not end well");
	fine = ended_well && all_is_well(&demo);
	if (options->json)
		print_json(&demo, fine);
	else
		print_table(&demo, options->daemon);
	return fine ? EXIT_FINE : EXIT_DIFFERENT;
}

int demo_main(int argc, char **argv)
{
	struct options options = { .size = SIZE_DEFAULT };
	const struct sigaction action = { .sa_handler = on_signal };

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (!options.daemon[0])
		find_daemon(options.daemon, sizeof(options.daemon));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	return run(&options);
}
