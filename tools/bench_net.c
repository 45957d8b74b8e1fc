/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhu bench net: sends and receives frames through a vhost-user-net back-end and
 * counts what that takes, with and without an IOMMU. This process is front-end
 * and driver.
 */
#include "bench_net.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "cli.h"
#include "number.h"

#define SECONDS_MOST    86400.0
#define SECONDS_DEFAULT 5

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
	  "Map buffers with no permission that is not needed, instead of read-write, which "
	  "dpdk-testpmd asks for",
	  0 },
	{ "no-verify", OPTION_NO_VERIFY, NULL, 0, "Neither fill frames nor look at them", 0 },
	{ "json", OPTION_JSON, NULL, 0, "Print one JSON object instead of a table", 0 },
	{ 0 }
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	stop = number;
}

static int choose(const char *text, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(text, names[i]))
			return (int)i;
	return -1;
}

static void parse_policy(const char *arg, struct argp_state *state)
{
	struct net_options *options = state->input;

	for (int i = VHU_IOMMU_PAGE; i <= VHU_IOMMU_PUSH; i++) {
		options->policy = (enum vhu_iommu_policy)i;
		if (!strcmp(arg, net_policy_name(options->policy)))
			return;
	}
	argp_error(state, "--policy=%s: page, leaf, range, hint or push", arg);
}

static void parse_names(int key, const char *arg, struct argp_state *state)
{
	static const char *const modes[] = { "loop", "tx", "rx" };
	static const char *const iommus[] = { "off", "static", "strict" };
	struct net_options *options = state->input;
	int i = key == OPTION_MODE ? choose(arg, modes, 3) : choose(arg, iommus, 3);

	if (i < 0)
		argp_error(state,
		           key == OPTION_MODE ? "--mode=%s: loop, tx or rx"
		                              : "--iommu=%s: off, static or strict",
		           arg);
	else if (key == OPTION_MODE)
		options->mode = (enum net_mode)i;
	else
		options->iommu = (enum net_iommu)i;
}

static void parse_number(int key, const char *arg, struct argp_state *state)
{
	struct net_options *options = state->input;
	uint64_t n = 0;

	switch (key) {
	case OPTION_PAGES:
		if (number_parse_size(arg, 1, NET_PAGES_MOST, &n))
			argp_error(state, "--pages=%s: 1 to %u", arg, NET_PAGES_MOST);
		options->pages = (unsigned)n;
		break;
	case OPTION_SIZE:
		if (number_parse_size(arg, NET_FRAME_LEAST, NET_FRAME_MOST, &n))
			argp_error(state, "--size=%s: %u to %u bytes", arg, NET_FRAME_LEAST,
			           NET_FRAME_MOST);
		options->size = (uint32_t)n;
		break;
	case OPTION_FRAMES:
		if (number_parse_size(arg, 1, UINT64_MAX >> 1, &options->frames))
			argp_error(state, "--frames=%s: not a number above 0", arg);
		break;
	default:
		if (number_parse(arg, 16, NET_RING_MOST, &n) || (n & (n - 1)))
			argp_error(state, "--ring-size=%s: a power of two from 16 to %u", arg,
			           NET_RING_MOST);
		options->ring = (unsigned)n;
		break;
	}
}

static void parse_seconds(int key, const char *arg, struct argp_state *state)
{
	struct net_options *options = state->input;
	double seconds = 0;

	if (key == OPTION_WARMUP && !strcmp(arg, "0"))
		options->warmup = 0;
	else if (number_parse_seconds(arg, SECONDS_MOST, &seconds))
		argp_error(state, "%s: not a number of seconds above 0", arg);
	else if (key == OPTION_TIME)
		options->seconds = seconds;
	else if (key == OPTION_WARMUP)
		options->warmup = seconds;
	else
		options->timeout_ms = seconds < 0.001 ? 1 : (int)(seconds * 1000);
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
		argp_error(state, "say by --socket-path=PATH where the back-end is");
	if (options->pages < least * ways)
		argp_error(state, "--pages=%u: frames of %u bytes need %u at least", options->pages,
		           options->size, least * ways);
	if (options->ring < least)
		argp_error(state, "--ring-size=%u: frames of %u bytes need 32 at least",
		           options->ring, options->size);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct net_options *options = state->input;

	switch (key) {
	case OPTION_PATH: options->path = arg; return 0;
	case OPTION_LISTEN: options->listen = true; return 0;
	case OPTION_MODE:
	case OPTION_IOMMU: parse_names(key, arg, state); return 0;
	case OPTION_POLICY: parse_policy(arg, state); return 0;
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
	case ARGP_KEY_ARG: argp_error(state, "%s: what for?", arg); return 0;
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
	       "'man vhu' tells how dpdk-testpmd is started for it.",
};

static int run(struct net_bench *bench)
{
	int error = net_session_open(bench);
	const char *fault;

	if (!error)
		error = net_run(bench);
	if (!error)
		error = net_session_stop(bench);
	net_session_close(bench);
	if (stop)
		fputs(NET_SAY "interrupted\n", stderr);
	if (stop && bench->counts.seconds == 0)
		return EXIT_INTERRUPTED;
	if (error && error != -EINTR)
		return EXIT_DIFFERENT;
	fault = net_fault(bench);
	if (bench->options->json)
		net_print_json(bench, !fault);
	else
		net_print_table(bench);
	if (stop)
		return EXIT_INTERRUPTED;
	if (fault)
		fprintf(stderr, NET_SAY "%s\n", fault);
	return fault ? EXIT_DIFFERENT : EXIT_FINE;
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
	const struct sigaction action = { .sa_handler = on_signal };
	static struct net_bench bench;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	bench.options = &options;
	bench.stop = &stop;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	return run(&bench);
}
