/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhu bench net: sends and receives frames through a vhost-user-net back-end and
 * counts what that takes, with and without an IOMMU. This process is front-end
 * and driver.
 */
#include "bench_net.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "cli.h"
#include "interrupt.h"
#include "option.h"
#include "say.h"

#define SECONDS_MOST    86400.0
#define SECONDS_DEFAULT 5
#define FRAMES_MOST     (UINT64_C(1) << 50)

enum {
	OPTION_PATH = 256,
	OPTION_LISTEN,
	OPTION_MODE,
	OPTION_IOMMU,
	OPTION_POLICY,
	OPTION_PAGES,
	OPTION_SIZE,
	OPTION_TIME,
	OPTION_FRAMES,
	OPTION_WARMUP,
	OPTION_RING,
	OPTION_TIMEOUT,
	OPTION_NO_MERGEABLE,
	OPTION_EVENT_IDX,
	OPTION_LEAST,
	OPTION_NO_VERIFY,
	OPTION_JSON,
};

static const struct argp_option option_table[] = {
	{ "socket-path", OPTION_PATH, "PATH", 0, "Where the back-end listens", 0 },
	{ "listen", OPTION_LISTEN, NULL, 0, "Listen there; the back-end connects", 0 },
	{ "mode", OPTION_MODE, "MODE", 0,
	  "What the back-end does: loop (frames come back), tx (they are swallowed), rx (it sends "
	  "frames itself); default: loop",
	  0 },
	{ "iommu", OPTION_IOMMU, "MODE", 0,
	  "off, static (all pages stay mapped), strict (mapped before each frame and unmapped "
	  "after "
	  "it); default: off",
	  0 },
	{ "policy", OPTION_POLICY, "NAME", 0,
	  "What a miss is answered with: page, leaf, range, hint, or push (default: page)", 0 },
	{ "pages", OPTION_PAGES, "N", 0,
	  "Distinct pages for buffers, of both directions, used in turn (default: 256)", 0 },
	{ "size", OPTION_SIZE, "BYTES", 0, "Of a frame, 64 to 65536 or 64K (default: 64)", 0 },
	{ "time", OPTION_TIME, "SECONDS", 0, "How long to measure (default: 5, without --frames)",
	  0 },
	{ "frames", OPTION_FRAMES, "N", 0,
	  "End when so many frames have come back or, by mode, were taken or received", 0 },
	{ "warmup", OPTION_WARMUP, "SECONDS", 0, "Before that, uncounted (default: 0.5)", 0 },
	{ "ring-size", OPTION_RING, "N", 0, "Descriptors, 16 to 1024 (default: 256)", 0 },
	{ "timeout", OPTION_TIMEOUT, "SECONDS", 0,
	  "Wait no longer for the back-end, at any point (default: 5)", 0 },
	{ "no-mergeable", OPTION_NO_MERGEABLE, NULL, 0,
	  "A receive buffer holds a whole frame; without VIRTIO_NET_F_MRG_RXBUF", 0 },
	{ "event-idx", OPTION_EVENT_IDX, NULL, 0, "Use VIRTIO_F_EVENT_IDX where offered", 0 },
	{ "strict-perm", OPTION_LEAST, NULL, 0,
	  "Map buffers for reading or for writing only, instead of for both, as dpdk-testpmd "
	  "wants them",
	  0 },
	{ "no-verify", OPTION_NO_VERIFY, NULL, 0, "Neither fill frames nor look at them", 0 },
	{ "json", OPTION_JSON, NULL, 0, "Print one JSON object instead of a table", 0 },
	{ 0 }
};

static void parse_words(int key, const char *arg, struct argp_state *state)
{
	static const char *const modes[] = { "loop", "tx", "rx", NULL };
	static const char *const iommus[] = { "off", "static", "strict", NULL };
	struct net_options *options = state->input;

	switch (key) {
	case OPTION_MODE:
		options->mode = (enum net_mode)option_word(state, "mode", arg, modes);
		break;
	case OPTION_IOMMU:
		options->iommu = (enum net_iommu)option_word(state, "iommu", arg, iommus);
		options->has_iommu = true;
		break;
	default:
		options->policy = (enum vhu_iommu_policy)option_word(state, "policy", arg,
		                                                     option_policies);
		options->has_policy = true;
	}
}

static void parse_number(int key, const char *arg, struct argp_state *state)
{
	struct net_options *options = state->input;

	switch (key) {
	case OPTION_PAGES:
		options->pages = (unsigned)option_size(state, "pages", arg, 1, NET_PAGES_MOST);
		break;
	case OPTION_SIZE:
		options->size = (uint32_t)option_size(state, "size", arg, NET_FRAME_LEAST,
		                                      NET_FRAME_MOST);
		break;
	case OPTION_FRAMES:
		options->frames = option_size(state, "frames", arg, 1, FRAMES_MOST);
		break;
	default:
		options->ring = option_number(state, "ring-size", arg, 16, NET_RING_MOST);
		if (options->ring & (options->ring - 1))
			argp_error(state, "--ring-size=%s: not a power of two; give one", arg);
		break;
	}
}

static void parse_seconds(int key, const char *arg, struct argp_state *state)
{
	struct net_options *options = state->input;

	if (key == OPTION_TIME)
		options->seconds = option_seconds(state, "time", arg);
	else if (key == OPTION_WARMUP)
		options->warmup = strcmp(arg, "0") ? option_seconds(state, "warmup", arg) : 0;
	else
		options->timeout_ms = (int)(option_seconds(state, "timeout", arg) * 1000);
}

/* What depends on more than one option. */
static void check(struct argp_state *state)
{
	struct net_options *options = state->input;
	unsigned least = net_port_least_pages(options->size);
	unsigned ways = options->mode == NET_LOOP ? 2 : 1;

	if (!options->seconds)
		options->seconds = options->frames ? SECONDS_MOST : SECONDS_DEFAULT;
	if (!options->path || !*options->path)
		argp_error(state, "--socket-path: not given; give the path where the back-end is");
	if (options->pages < least * ways)
		argp_error(state, "--pages=%u: frames of %u bytes need %u at least; give more",
		           options->pages, options->size, least * ways);
	if (options->ring < least)
		argp_error(state, "--ring-size=%u: frames of %u bytes need 32 at least; give more",
		           options->ring, options->size);
	if (options->has_policy && !options->has_iommu)
		argp_error(state,
		           "--policy=%s: there is no IOMMU; give --iommu=static or strict, too",
		           net_policy_name(options->policy));
	if (!options->timeout_ms)
		options->timeout_ms = 1;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct net_options *options = state->input;

	switch (key) {
	case OPTION_PATH: options->path = arg; return 0;
	case OPTION_LISTEN: options->listen = true; return 0;
	case OPTION_MODE:
	case OPTION_IOMMU:
	case OPTION_POLICY: parse_words(key, arg, state); return 0;
	case OPTION_PAGES:
	case OPTION_SIZE:
	case OPTION_FRAMES:
	case OPTION_RING: parse_number(key, arg, state); return 0;
	case OPTION_TIME:
	case OPTION_WARMUP:
	case OPTION_TIMEOUT: parse_seconds(key, arg, state); return 0;
	case OPTION_NO_MERGEABLE: options->no_mergeable = true; return 0;
	case OPTION_EVENT_IDX: options->event_idx = true; return 0;
	case OPTION_LEAST: options->least = true; return 0;
	case OPTION_NO_VERIFY: options->no_verify = true; return 0;
	case OPTION_JSON: options->json = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "%s: not an option; see --help", arg); return 0;
	case ARGP_KEY_END: check(state); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_table,
	.parser = parse_option,
	.doc = "Send and receive frames through a vhost-user-net back-end; count frames per "
	       "second, what is lost on the way, and what its IOTLB asks for.\v"
	       "Examples:\n\n"
	       "  vhu bench net --socket-path=/tmp/net.sock\n"
	       "  vhu bench net --socket-path=/tmp/net.sock --iommu=static --pages=2048\n"
	       "  vhu bench net --socket-path=/tmp/net.sock --mode=tx --size=64K --json\n\n"
	       "'man vhu' tells how dpdk-testpmd is started for it, and what the figures are.\n\n"
	       "Exit status: 0 fine, 1 something failed or differs, 2 a command line that makes "
	       "no sense, 130 interrupted.",
};

static int work(struct net_bench *bench)
{
	int error;

	/* The socket to listen at is a file that has to go. */
	if (bench->options->listen)
		bench->stop = interrupt_defer();
	error = net_session_open(bench);
	bench->stop = interrupt_defer();
	if (!error)
		error = net_run(bench);
	if (!error)
		error = net_session_stop(bench);
	net_session_close(bench);
	return error;
}

/* Whether it was done well; says what was not, if nobody has. */
static bool is_fine(const struct net_bench *bench, int error)
{
	const char *fault;

	if (error && !*bench->stop)
		return false;
	/* Who was interrupted may have had no frame yet. */
	if (*bench->stop && !net_frames(bench, &bench->counts))
		return true;
	fault = net_fault(bench);
	if (fault)
		say(NET_NAME, "%s", fault);
	return !fault;
}

static void print(const struct net_bench *bench, bool fine)
{
	if (bench->options->json)
		net_print_json(bench, fine);
	else
		net_print_table(bench);
}

static int run(struct net_bench *bench)
{
	int error = work(bench);
	bool fine;

	if (*bench->stop)
		say(NET_NAME, "interrupted");
	fine = is_fine(bench, error);
	/* What was done until then counts, however it has ended. */
	if (bench->counts.seconds > 0)
		print(bench, fine);
	if (*bench->stop)
		return EXIT_INTERRUPTED;
	return fine ? EXIT_FINE : EXIT_DIFFERENT;
}

int bench_net_main(int argc, char **argv)
{
	struct net_options options = {
		.pages = 256,
		.size = 64,
		.warmup = 0.5,
		.ring = 256,
		.timeout_ms = 5000,
	};
	static struct net_bench bench;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	bench.options = &options;
	interrupt_watch(NET_NAME);
	return run(&bench);
}
