/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "descriptors.h"
#include "number.h"
#include "say.h"
#include "scan.h"

#define QUEUE_THREADS_MOST 64
#define POLL_US_DEFAULT    50
#define POLL_US_MOST       1000000
#define IOTLB_ENTRIES_MOST (1ull << 32)

/* Keys of options without a short form. */
enum key {
	KEY_SOCKET_PATH = 256,
	KEY_FD,
	KEY_CAPABILITIES,
	KEY_BLK_FILE,
	KEY_READ_ONLY,
	KEY_MEMORY,
	KEY_NUM_QUEUES,
	KEY_BLOCK_SIZE,
	KEY_SERIAL,
	KEY_ENGINE,
	KEY_DIRECT,
	KEY_IOTLB_ENTRIES,
	KEY_POLL_US,
	KEY_QUEUE_THREADS,
	KEY_NO_MISS_HINTS,
	KEY_REPORT_ACCESS_FAILURES,
	KEY_STATS_JSON,
	KEY_LOG_LEVEL,
	KEY_SOCKET_MODE,
	KEY_SOCKET_GROUP,
	KEY_LOCKING,
	KEY_NO_SANDBOX,
};

/* Found by libc under this name. */
__attribute__((visibility("default")))
const char *argp_program_version = "vhu-blk " VHU_BLK_VERSION;

static const char help_top[] =
	"Serve a disk to a virtual machine by vhost-user, behind a virtual IOMMU if it has one."
	"\vExamples:\n"
	"  truncate -s 10G disk.img\n"
	"  vhu-blk --socket-path=/tmp/disk.sock --blk-file=disk.img\n"
	"  vhu-blk --socket-path=/tmp/disk.sock --memory=1G\n"
	"  vhu-blk --socket-path=/tmp/disk.sock --blk-file=/dev/vg0/guest --direct\n"
	"\n"
	"SIGTERM and SIGINT end it when the I/O under way is done; a second one at once. "
	"SIGHUP has it look whether the disk has grown. SIGUSR1 writes the statistics.\n"
	"Exit status: 0 fine, 1 a failure at run time, 2 a command line that makes no sense.";

static const struct argp_option table[] = {
	{ NULL, 0, NULL, 0,
	  "Where front-ends connect (one of the first two, unless a service manager passes a "
	  "socket):",
	  1 },
	{ "socket-path", KEY_SOCKET_PATH, "PATH", 0, "Listen on a Unix socket there" },
	{ "fd", KEY_FD, "FDNUM", 0, "Use this open socket, which listens or is connected" },
	{ "socket-mode", KEY_SOCKET_MODE, "MODE", 0,
	  "Permissions of the socket's file, such as 0660 (default: as the umask says; 0660 "
	  "with a group)" },
	{ "socket-group", KEY_SOCKET_GROUP, "NAME", 0, "Group of the socket's file" },
	{ NULL, 0, NULL, 0, "What is served (one of these):", 2 },
	{ "blk-file", KEY_BLK_FILE, "PATH", 0, "A regular file or a block device" },
	{ "memory", KEY_MEMORY, "SIZE", 0,
	  "A disk in memory, gone when the program ends; K, M, G, T" },
	{ NULL, 0, NULL, 0, "The disk:", 3 },
	{ "read-only", KEY_READ_ONLY, NULL, 0, "Refuse writes; the file is opened for reading" },
	{ "num-queues", KEY_NUM_QUEUES, "N", 0,
	  "Queues a driver may use, 1 to 64 (default: 64; one not used costs nothing)" },
	{ "block-size", KEY_BLOCK_SIZE, "BYTES", 0,
	  "Logical block size, 512 to 4096 (default: 512, or what --direct asks for)" },
	{ "serial", KEY_SERIAL, "TEXT", 0, "Serial number, 20 bytes at most (default: none)" },
	{ NULL, 0, NULL, 0, "How it is served:", 4 },
	{ "engine", KEY_ENGINE, "NAME", 0,
	  "auto, io_uring, threads or inline (default: auto, which looks at the file); null "
	  "moves no data, to measure the rest" },
	{ "direct", KEY_DIRECT, NULL, 0, "Go past the page cache (O_DIRECT)" },
	{ "locking", KEY_LOCKING, "HOW", 0,
	  "auto or off: lock the file, as QEMU does, while it is in use (default: auto)" },
	{ "queue-threads", KEY_QUEUE_THREADS, "N", 0,
	  "Serve queues by N threads (default: 0, one thread does everything)" },
	{ "poll-us", KEY_POLL_US, "N", 0,
	  "Look at the rings for N microseconds before sleeping; 0: not at all (default: 50 "
	  "while that pays, and 0 on a single CPU)" },
	{ "iotlb-entries", KEY_IOTLB_ENTRIES, "N", 0,
	  "Bound of the device IOTLB (default: 1048576)" },
	{ "no-miss-hints", KEY_NO_MISS_HINTS, NULL, 0,
	  "Do not tell the front-end how much is wanted in a miss" },
	{ "report-access-failures", KEY_REPORT_ACCESS_FAILURES, NULL, 0,
	  "Tell the front-end which accesses it refused (not for QEMU)" },
	{ "no-sandbox", KEY_NO_SANDBOX, NULL, 0,
	  "Keep the right to make system calls that are not needed" },
	{ NULL, 0, NULL, 0, "What it tells:", 5 },
	{ "stats-json", KEY_STATS_JSON, "PATH", 0,
	  "Write counters there at the end of each session and on SIGUSR1" },
	{ "log-level", KEY_LOG_LEVEL, "LEVEL", 0, "error, warning, info or debug (default: info)" },
	{ "print-capabilities", KEY_CAPABILITIES, NULL, 0,
	  "Print what this back-end can do as JSON, and nothing else" },
	{ 0 },
};

/* Name of a value, and the value. */
struct word {
	const char *name;
	int value;
};

static const struct word engines[] = {
	{ "auto", ENGINE_AUTO },     { "io_uring", ENGINE_URING }, { "threads", ENGINE_THREADS },
	{ "inline", ENGINE_INLINE }, { "null", ENGINE_NULL },      { 0 },
};

static const struct word lockings[] = {
	{ "auto", true },
	{ "off", false },
	{ 0 },
};

static const struct word levels[] = {
	{ "error", VHU_LOG_ERROR },
	{ "warning", VHU_LOG_WARNING },
	{ "info", VHU_LOG_INFO },
	{ "debug", VHU_LOG_DEBUG },
	{ 0 },
};

/* -1 after a complaint. */
static int take_word(const char *option, const char *text, const struct word *words)
{
	char known[128] = "";

	for (const struct word *word = words; word->name; word++) {
		if (!strcmp(word->name, text))
			return word->value;
		strcat(strcat(known, word == words ? "" : ", "), word->name);
	}
	complain("--%s=%s: no such value; give one of %s", option, text, known);
	return -1;
}

static int take_number(const char *option, const char *text, uint64_t least, uint64_t most,
                       uint64_t *ret)
{
	if (number_parse(text, ret) == 0 && *ret >= least && *ret <= most)
		return 0;
	complain("--%s=%s: not a number from %llu to %llu; give one", option, text,
	         (unsigned long long)least, (unsigned long long)most);
	return EINVAL;
}

static int take_unsigned(const char *option, const char *text, unsigned least, unsigned most,
                         unsigned *ret)
{
	uint64_t value;
	int error = take_number(option, text, least, most, &value);

	if (!error)
		*ret = (unsigned)value;
	return error;
}

static int take_size(const char *text, uint64_t *ret)
{
	if (number_parse_size(text, ret) == 0 && *ret > 0 && *ret <= INT64_MAX)
		return 0;
	complain("--memory=%s: not a size; give a number with K, M, G or T, such as 512M", text);
	return EINVAL;
}

static int take_block_size(const char *text, unsigned *ret)
{
	int error = take_unsigned("block-size", text, 512, 4096, ret);

	if (error || (*ret & (*ret - 1)) == 0)
		return error;
	complain("--block-size=%s: not a power of two; give 512, 1024, 2048 or 4096", text);
	return EINVAL;
}

static int take_serial(const char *text, const char **ret)
{
	*ret = text;
	if (strlen(text) <= BLK_SERIAL_MAX)
		return 0;
	complain("--serial=%s: longer than %d bytes; give a shorter one", text, BLK_SERIAL_MAX);
	return EINVAL;
}

static int take_path(const char *option, const char *text, const char **ret)
{
	*ret = text;
	if (*text)
		return 0;
	complain("--%s: the path is empty; give one", option);
	return EINVAL;
}

static int take_mode(const char *text, int *ret)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	*ret = (int)mode;
	if (*text >= '0' && *text <= '7' && !*end && mode <= 0777)
		return 0;
	complain("--socket-mode=%s: not permissions; give an octal number such as 0660", text);
	return EINVAL;
}

static int take_socket(int key, char *arg, struct options *options)
{
	switch (key) {
	case KEY_SOCKET_MODE: return take_mode(arg, &options->socket_mode);
	case KEY_SOCKET_GROUP:
		options->socket_group = arg;
		if (*arg)
			return 0;
		complain("--socket-group: the name is empty; give one");
		return EINVAL;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static int take_source(int key, char *arg, struct options *options)
{
	unsigned fd = 0;
	int error;

	switch (key) {
	case KEY_SOCKET_PATH: return take_path("socket-path", arg, &options->socket_path);
	case KEY_BLK_FILE: return take_path("blk-file", arg, &options->blk_file);
	case KEY_STATS_JSON: return take_path("stats-json", arg, &options->stats_json);
	case KEY_MEMORY: return take_size(arg, &options->memory);
	case KEY_FD:
		error = take_unsigned("fd", arg, 0, INT32_MAX, &fd);
		options->fd = (int)fd;
		return error;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static int take_choice(int key, char *arg, struct options *options)
{
	int value;

	switch (key) {
	case KEY_ENGINE:
		value = take_word("engine", arg, engines);
		options->engine = (enum engine_kind)value;
		break;
	case KEY_LOCKING:
		value = take_word("locking", arg, lockings);
		options->locking = value == true;
		break;
	case KEY_LOG_LEVEL:
		value = take_word("log-level", arg, levels);
		options->log_level = (enum vhu_log_level)value;
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return value < 0 ? EINVAL : 0;
}

static int take_figure(int key, char *arg, struct options *options)
{
	switch (key) {
	case KEY_NUM_QUEUES:
		return take_unsigned("num-queues", arg, 1, BLK_QUEUES_MAX, &options->num_queues);
	case KEY_BLOCK_SIZE: return take_block_size(arg, &options->block_size);
	case KEY_SERIAL: return take_serial(arg, &options->serial);
	case KEY_QUEUE_THREADS:
		return take_unsigned("queue-threads", arg, 0, QUEUE_THREADS_MOST,
		                     &options->queue_threads);
	case KEY_IOTLB_ENTRIES:
		return take_number("iotlb-entries", arg, 1, IOTLB_ENTRIES_MOST,
		                   &options->iotlb_entries);
	case KEY_POLL_US:
		options->poll_adapts = false;
		return take_unsigned("poll-us", arg, 0, POLL_US_MOST, &options->poll_us);
	default: return ARGP_ERR_UNKNOWN;
	}
}

/* Somebody else wants the only one there is. */
static unsigned default_poll_us(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) == 1)
		return 0;
	return POLL_US_DEFAULT;
}

static error_t take(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	int error;

	switch (key) {
	case KEY_READ_ONLY: options->read_only = true; return 0;
	case KEY_DIRECT: options->direct = true; return 0;
	case KEY_NO_MISS_HINTS: options->no_miss_hints = true; return 0;
	case KEY_REPORT_ACCESS_FAILURES: options->report_access_failures = true; return 0;
	case KEY_NO_SANDBOX: options->sandbox = false; return 0;
	case ARGP_KEY_ARG: complain("%s: not an option; see vhu-blk --help", arg); return EINVAL;
	}
	error = take_source(key, arg, options);
	if (error == ARGP_ERR_UNKNOWN)
		error = take_socket(key, arg, options);
	if (error == ARGP_ERR_UNKNOWN)
		error = take_choice(key, arg, options);
	return error == ARGP_ERR_UNKNOWN ? take_figure(key, arg, options) : error;
}

/* A socket that a service manager has passed stands in for one that is named. */
static int check_socket(struct options *options)
{
	bool by_path = options->socket_path, by_fd = options->fd >= 0;
	bool is_others = getenv("LISTEN_FDS") != NULL;
	int passed = descriptors_activation();

	if (passed == -2)
		return EINVAL;
	if (by_path && (by_fd || passed >= 0))
		complain("--socket-path, %s: both were given; leave one of them out",
		         by_fd ? "--fd" : "a socket of the service manager");
	else if (!by_path && !by_fd && passed < 0)
		complain("--socket-path, --fd: neither was given%s; give one of them",
		         is_others ? ", and what LISTEN_FDS tells of is for another process" : "");
	else if (!by_path && (options->socket_mode >= 0 || options->socket_group))
		complain("--socket-mode, --socket-group: they are for a socket that is made here; "
		         "give --socket-path");
	else {
		options->fd = by_path || by_fd ? options->fd : passed;
		options->fd_name = by_fd ? "--fd" : "LISTEN_FDS";
		return 0;
	}
	return EINVAL;
}

static int check_whole(struct options *options)
{
	int error = check_socket(options);

	if (error)
		return error;
	if (!options->blk_file == !options->memory)
		complain("--blk-file, --memory: %s; give one of them",
		         options->memory ? "both were given" : "neither was given");
	else if (options->memory && options->direct)
		complain("--direct: a disk in memory has no page cache; leave it out");
	else
		return 0;
	return EINVAL;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	const struct argp argp = { table, take, NULL, help_top };

	*ret = (struct options){
		.fd = -1,
		.socket_mode = -1,
		.locking = true,
		.sandbox = true,
		.num_queues = BLK_QUEUES_MAX,
		.poll_us = default_poll_us(),
		.poll_adapts = true,
		.log_level = VHU_LOG_INFO,
	};
	argp_err_exit_status = EXIT_USAGE;
	if (scan_options(argc, argv, table) || argp_parse(&argp, argc, argv, 0, NULL, ret))
		return EXIT_USAGE;
	return check_whole(ret) ? EXIT_USAGE : 0;
}

bool options_ask_capabilities(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--print-capabilities"))
			return true;
	return false;
}
