/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of "vhu bench blk". */
#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "bench_blk.h"
#include "cli.h"
#include "number.h"

#define SECONDS_DEFAULT 5.0
#define SECONDS_MOST    1e6
#define BYTES_MOST      (UINT64_C(4) << 20)
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
	"  vhu bench blk --socket-path=/tmp/disk --rw=randrw --verify\n"
	"\n"
	"Exit status: 0 fine, 1 something failed or differs, 2 a command line that makes no sense, "
	"130 interrupted.";

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

struct word {
	const char *name;
	int value;
};

static const struct word iommus[] = {
	{ "off", BENCH_IOMMU_OFF },
	{ "static", BENCH_IOMMU_STATIC },
	{ "strict", BENCH_IOMMU_STRICT },
	{ "lazy", BENCH_IOMMU_LAZY },
	{ 0 },
};

static const struct word policies[] = {
	{ "page", VHU_IOMMU_PAGE }, { "leaf", VHU_IOMMU_LEAF }, { "range", VHU_IOMMU_RANGE },
	{ "hint", VHU_IOMMU_HINT }, { "push", VHU_IOMMU_PUSH }, { 0 },
};

static const struct pattern {
	const char *name;
	bool random;
	unsigned reads;
} patterns[] = {
	{ "randread", true, 100 }, { "randwrite", true, 0 }, { "randrw", true, 50 },
	{ "read", false, 100 },    { "write", false, 0 },
};

static const char *name_of(const struct word *words, int value)
{
	for (; words->name; words++)
		if (words->value == value)
			return words->name;
	return "?";
}

const char *bench_iommu_name(enum bench_iommu iommu)
{
	return name_of(iommus, (int)iommu);
}

const char *bench_policy_name(enum vhu_iommu_policy policy)
{
	return name_of(policies, (int)policy);
}

/* Exits where there is no such word. */
static int take_word(struct argp_state *state, const char *option, const char *text,
                     const struct word *words)
{
	char known[128] = "";

	for (const struct word *word = words; word->name; word++) {
		if (!strcmp(word->name, text))
			return word->value;
		strcat(strcat(known, word == words ? "" : ", "), word->name);
	}
	argp_error(state, "--%s=%s: no such value; give one of %s", option, text, known);
	return 0;
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

static unsigned take_number(struct argp_state *state, const char *option, const char *text,
                            unsigned least, unsigned most)
{
	uint64_t value = least;

	if (number_parse(text, least, most, &value))
		argp_error(state, "--%s=%s: not a number from %u to %u; give one", option, text,
		           least, most);
	return (unsigned)value;
}

static uint64_t take_size(struct argp_state *state, const char *option, const char *text,
                          uint64_t most)
{
	uint64_t value = 0;

	if (number_parse_size(text, 512, most, &value))
		argp_error(state,
		           "--%s=%s: not a size from 512 to %lluM; give one such as 64K or 1G",
		           option, text, (unsigned long long)most >> 20);
	return value;
}

/* Multiples of a sector. */
static uint32_t take_bytes(struct argp_state *state, const char *option, const char *text)
{
	uint64_t value = take_size(state, option, text, BYTES_MOST);

	if (value % 512)
		argp_error(state, "--%s=%s: not a multiple of 512; give one", option, text);
	return (uint32_t)value;
}

static double take_seconds(struct argp_state *state, const char *option, const char *text)
{
	double value = 1;

	if (number_parse_seconds(text, SECONDS_MOST, &value))
		argp_error(state, "--%s=%s: not a time; give seconds, such as 10 or 0.5", option,
		           text);
	return value;
}

static error_t take_work(int key, char *arg, struct argp_state *state)
{
	struct bench_options *options = state->input;

	switch (key) {
	case KEY_RW: take_rw(state, arg, options); return 0;
	case KEY_BS: options->bytes = take_bytes(state, "bs", arg); return 0;
	case KEY_SEGMENT: options->segment = take_bytes(state, "segment", arg); return 0;
	case KEY_IODEPTH:
		options->depth = take_number(state, "iodepth", arg, 1, BENCH_DEPTH_MAX);
		return 0;
	case KEY_NUM_QUEUES:
		options->queues = take_number(state, "num-queues", arg, 1, BENCH_QUEUES_MAX);
		return 0;
	case KEY_TIME: options->seconds = take_seconds(state, "time", arg); return 0;
	case KEY_SIZE: options->size = take_size(state, "size", arg, UINT64_C(1) << 50); return 0;
	case KEY_AREA: options->area = take_size(state, "area", arg, UINT64_C(1) << 50); return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	static unsigned mix;
	struct bench_options *options = state->input;

	switch (key) {
	case KEY_SOCKET_PATH: options->socket_path = arg; return 0;
	case KEY_MIX: mix = 1 + take_number(state, "rwmixread", arg, 0, 100); return 0;
	case KEY_IOMMU:
		options->iommu = (enum bench_iommu)take_word(state, "iommu", arg, iommus);
		return 0;
	case KEY_POLICY:
		options->policy = (enum vhu_iommu_policy)take_word(state, "policy", arg, policies);
		return 0;
	case KEY_SEED: options->seed = take_number(state, "seed", arg, 0, UINT32_MAX); return 0;
	case KEY_TIMEOUT:
		options->timeout_ms = 1000 * (int)take_number(state, "timeout", arg, 1, 86400);
		return 0;
	case KEY_POLL: options->poll = true; return 0;
	case KEY_VERIFY: options->verify = true; return 0;
	case KEY_JSON: options->json = true; return 0;
	case ARGP_KEY_ARG: argp_error(state, "%s: not an option; see --help", arg); return 0;
	case ARGP_KEY_END:
		if (mix && !strcmp(options->rw, "randrw"))
			options->reads = mix - 1;
		return 0;
	default: return take_work(key, arg, state);
	}
}

static void complete(struct bench_options *options, const struct argp *argp, char *name)
{
	const char *wrong = NULL;

	if (!options->socket_path || !*options->socket_path)
		wrong = "--socket-path: not given; give the path where the back-end listens";
	if (!options->segment || options->segment > options->bytes)
		options->segment = options->bytes;
	if (options->bytes / options->segment > SEGMENTS_MOST)
		wrong = "--segment: more than 1024 of them to a request; give a larger one";
	if (options->seconds == 0 && options->size == 0)
		options->seconds = SECONDS_DEFAULT;
	if (!wrong)
		return;
	fprintf(stderr, "%s: %s\n", name, wrong);
	argp_help(argp, stderr, ARGP_HELP_SEE, name);
	exit(EXIT_USAGE);
}

void bench_blk_parse(int argc, char **argv, struct bench_options *ret)
{
	const struct argp argp = { table, take, NULL, help_top };

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
	argp_parse(&argp, argc, argv, 0, NULL, ret);
	complete(ret, &argp, argv[0]);
}
