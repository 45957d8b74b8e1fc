/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of "vhu bench blk". */
#include <argp.h>
#include <string.h>

#include "bench_blk.h"
#include "cli.h"
#include "option.h"

#define SECONDS_DEFAULT 5.0
#define BYTES_MOST      (UINT64_C(4) << 20)
#define SIZE_MOST       (UINT64_C(1) << 50)
#define SEGMENTS_MOST   1024u

enum key {
	KEY_SOCKET_PATH = 256,
	KEY_RW,
	KEY_BS,
	KEY_IODEPTH,
	KEY_NUM_QUEUES,
	KEY_TIME,
	KEY_SIZE,
	KEY_AREA,
	KEY_SEGMENT,
	KEY_MIX,
	KEY_IOMMU,
	KEY_POLICY,
	KEY_VERIFY,
	KEY_POLL,
	KEY_SEED,
	KEY_TIMEOUT,
	KEY_JSON,
};

static const char help_top[] =
	"Drive a vhost-user-blk back-end as a virtual machine would, and say how fast it is."
	"\vWrites, and --verify, destroy what is on the disk.\n"
	"\n"
	"Examples:\n"
	"  vhu-blk --socket-path=/tmp/disk --memory=1G &\n"
	"  vhu bench blk --socket-path=/tmp/disk\n"
	"  vhu bench blk --socket-path=/tmp/disk --rw=randwrite --bs=64K\n"
	"  vhu bench blk --socket-path=/tmp/disk --iommu=strict --json\n"
	"  vhu bench blk --socket-path=/tmp/disk --rw=randrw --area=256M --verify\n"
	"\n"
	"Exit status: 0 fine, 1 something failed or differs, 2 a command line that makes no sense, "
	"130 interrupted. 'man vhu' tells what the figures are.";

static const struct argp_option table[] = {
	{ "socket-path", KEY_SOCKET_PATH, "PATH", 0, "Where the back-end listens", 1 },
	{ NULL, 0, NULL, 0, "What is done:", 2 },
	{ "rw", KEY_RW, "HOW", 0,
	  "randread, randwrite, randrw, read or write (default: randread)" },
	{ "bs", KEY_BS, "BYTES", 0, "Data of a request (default: 4K)" },
	{ "iodepth", KEY_IODEPTH, "N", 0, "Requests in flight per queue (default: 32)" },
	{ "num-queues", KEY_NUM_QUEUES, "N", 0, "Queues, all driven by one thread (default: 1)" },
	{ "time", KEY_TIME, "SECONDS", 0, "How long (default: 5, or until --size is done)" },
	{ "size", KEY_SIZE, "SIZE", 0,
	  "How much is moved (default: as much as there is time for)" },
	{ "area", KEY_AREA, "SIZE", 0, "Use only the first SIZE of the disk (default: all of it)" },
	{ "segment", KEY_SEGMENT, "BYTES", 0,
	  "Cut data into descriptors of that size, as the pages of a machine are (default: not)" },
	{ "rwmixread", KEY_MIX, "PERCENT", 0, "Reads of randrw (default: 50)" },
	{ NULL, 0, NULL, 0, "The IOMMU in front of the disk:", 3 },
	{ "iommu", KEY_IOMMU, "HOW", 0,
	  "off; static: all is mapped once; strict: each request is mapped, and is done when it "
	  "is unmapped again; lazy: it is unmapped some time later, with others (default: off)" },
	{ "policy", KEY_POLICY, "NAME", 0,
	  "What a miss is answered with: page, leaf, range or hint; or push: translations are sent "
	  "before they are missed (default: page)" },
	{ NULL, 0, NULL, 0, "How it is driven and told:", 4 },
	{ "poll", KEY_POLL, NULL, 0, "Look at the rings all the time and never sleep" },
	{ "verify", KEY_VERIFY, NULL, 0,
	  "Fill the area with a pattern first, compare all that is read, and at the end read back "
	  "what was written" },
	{ "seed", KEY_SEED, "N", 0, "Of all that is random (default: 1)" },
	{ "timeout", KEY_TIMEOUT, "SECONDS", 0,
	  "How long the back-end may be silent (default: 10)" },
	{ "json", KEY_JSON, NULL, 0, "Print one JSON object instead of a table" },
	{ 0 },
};

static const char *const iommus[] = { "off", "static", "strict", "lazy", NULL };

static const struct pattern {
	const char *name;
	bool random;
	unsigned reads;
} patterns[] = {
	{ "randread", true, 100 }, { "randwrite", true, 0 }, { "randrw", true, 50 },
	{ "read", false, 100 },    { "write", false, 0 },
};

/* What the parser alone needs to know. */
struct taking {
	struct bench_options *options;
	int mix; /* per cent; -1: not given */
	bool has_iommu, has_policy;
};

const char *bench_iommu_name(enum bench_iommu iommu)
{
	return iommus[iommu];
}

const char *bench_policy_name(enum vhu_iommu_policy policy)
{
	return option_policies[policy];
}

static void take_rw(struct argp_state *state, const char *text, struct bench_options *options)
{
	for (unsigned i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (strcmp(patterns[i].name, text))
			continue;
		options->rw = patterns[i].name;
		options->random = patterns[i].random;
		options->reads = patterns[i].reads;
		return;
	}
	argp_error(state,
	           "--rw=%s: no such value; give one of randread, randwrite, randrw, read, write",
	           text);
}

/* Multiples of a sector. */
static uint32_t take_bytes(struct argp_state *state, const char *option, const char *text)
{
	uint64_t value = option_size(state, option, text, 512, BYTES_MOST);

	if (value % 512)
		argp_error(state, "--%s=%s: not a multiple of 512; give one", option, text);
	return (uint32_t)value;
}

static error_t take_work(int key, char *arg, struct argp_state *state)
{
	struct bench_options *options = ((struct taking *)state->input)->options;

	switch (key) {
	case KEY_RW: take_rw(state, arg, options); return 0;
	case KEY_BS: options->bytes = take_bytes(state, "bs", arg); return 0;
	case KEY_SEGMENT: options->segment = take_bytes(state, "segment", arg); return 0;
	case KEY_IODEPTH:
		options->depth = option_number(state, "iodepth", arg, 1, BENCH_DEPTH_MAX);
		return 0;
	case KEY_NUM_QUEUES:
		options->queues = option_number(state, "num-queues", arg, 1, BENCH_QUEUES_MAX);
		return 0;
	case KEY_TIME: options->seconds = option_seconds(state, "time", arg); return 0;
	case KEY_SIZE: options->size = option_size(state, "size", arg, 512, SIZE_MOST); return 0;
	case KEY_AREA: options->area = option_size(state, "area", arg, 512, SIZE_MOST); return 0;
	case KEY_SEED: options->seed = option_number(state, "seed", arg, 0, UINT32_MAX); return 0;
	case KEY_TIMEOUT:
		options->timeout_ms = (int)(option_seconds(state, "timeout", arg) * 1000);
		return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

/* What depends on more than one option. */
static void complete(struct argp_state *state)
{
	const struct taking *taking = state->input;
	struct bench_options *options = taking->options;

	if (!options->socket_path || !*options->socket_path)
		argp_error(state, "--socket-path: not given; give the path where the back-end "
		                  "listens");
	if (taking->mix >= 0 && strcmp(options->rw, "randrw") != 0)
		argp_error(state, "--rwmixread: --rw=%s is no mix; give --rw=randrw, too",
		           options->rw);
	if (taking->mix >= 0)
		options->reads = (unsigned)taking->mix;
	if (taking->has_policy && !taking->has_iommu)
		argp_error(state,
		           "--policy=%s: there is no IOMMU; give --iommu=static, strict or "
		           "lazy, too",
		           bench_policy_name(options->policy));
	if (!options->segment || options->segment > options->bytes)
		options->segment = options->bytes;
	if (options->bytes / options->segment > SEGMENTS_MOST)
		argp_error(state,
		           "--segment=%u: more than %u of them to a request; give a larger "
		           "one",
		           options->segment, SEGMENTS_MOST);
	if (!options->timeout_ms)
		options->timeout_ms = 1;
	if (options->seconds == 0 && options->size == 0)
		options->seconds = SECONDS_DEFAULT;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct taking *taking = state->input;
	struct bench_options *options = taking->options;

	switch (key) {
	case KEY_SOCKET_PATH: options->socket_path = arg; return 0;
	case KEY_MIX: taking->mix = (int)option_number(state, "rwmixread", arg, 0, 100); return 0;
	case KEY_IOMMU:
		taking->has_iommu = true;
		options->iommu = (enum bench_iommu)option_word(state, "iommu", arg, iommus);
		return 0;
	case KEY_POLICY:
		taking->has_policy = true;
		options->policy = (enum vhu_iommu_policy)option_word(state, "policy", arg,
		                                                     option_policies);
		return 0;
	case KEY_POLL: options->poll = true; return 0;
	case KEY_VERIFY: options->verify = true; return 0;
	case KEY_JSON: options->json = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "%s: not an option; see --help", arg); return 0;
	case ARGP_KEY_END: complete(state); return 0;
	default: return take_work(key, arg, state);
	}
}

void bench_blk_parse(int argc, char **argv, struct bench_options *ret)
{
	const struct argp argp = { table, take, NULL, help_top };
	struct taking taking = { .options = ret, .mix = -1 };

	*ret = (struct bench_options){
		.rw = "randread",
		.random = true,
		.reads = 100,
		.bytes = 4096,
		.depth = 32,
		.queues = 1,
		.seed = 1,
		.timeout_ms = 10000,
	};
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &taking);
}
