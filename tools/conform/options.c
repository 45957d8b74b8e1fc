/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "number.h"

#define TIMEOUT_DEFAULT 2.0
#define OBSERVE_DEFAULT 4.0
#define SECONDS_MOST    60.0

enum key {
	KEY_SOCKET_PATH = 256,
	KEY_TYPE,
	KEY_PID,
	KEY_RESTART,
	KEY_ONLY,
	KEY_LIST,
	KEY_EXPLAIN,
	KEY_STRICT,
	KEY_VERBOSE,
	KEY_SEED,
	KEY_TIMEOUT,
	KEY_OBSERVE,
	KEY_TAP,
	KEY_JUNIT,
	KEY_JSON,
	KEY_LABEL,
};

static const struct argp_option table[] = {
	{ "socket-path", KEY_SOCKET_PATH, "PATH", 0, "Where the peer is met", 1 },
	{ "type", KEY_TYPE, "TYPE", 0,
	  "What it is: blk, net or any (default: any, and no data is moved)", 1 },
	{ "pid", KEY_PID, "PID", 0, "Its process, whose fds, threads and mappings are counted", 1 },
	{ "restart-cmd", KEY_RESTART, "CMD", 0,
	  "Starts it again, in the background, when it has died", 1 },
	{ NULL, 0, NULL, 0, "What is tried:", 2 },
	{ "only", KEY_ONLY, "GLOBS", 0, "Cases whose id matches, or areas; separated by commas" },
	{ "seed", KEY_SEED, "N", 0, "Of all that is random (default: 1)" },
	{ "timeout", KEY_TIMEOUT, "SECONDS", 0, "How long what must come may take (default: 2)" },
	{ "observe", KEY_OBSERVE, "SECONDS", 0,
	  "How long a front-end is but looked at before it is provoked (default: 4)" },
	{ "strict", KEY_STRICT, NULL, 0, "Breaches of the contract count, too" },
	{ NULL, 0, NULL, 0, "What is told:", 3 },
	{ "list", KEY_LIST, NULL, 0, "The cases, without trying them" },
	{ "explain", KEY_EXPLAIN, "ID", 0, "What a case is about" },
	{ "tap", KEY_TAP, NULL, 0, "TAP on standard output, in place of the report" },
	{ "junit", KEY_JUNIT, "FILE", 0,
	  "JUnit's XML, besides; - for standard output, in its place" },
	{ "json", KEY_JSON, "FILE", 0,
	  "Everything as JSON, likewise; for 'vhu conform --compare'" },
	{ "label", KEY_LABEL, "TEXT", 0,
	  "What the two call the peer (default: its program's name)" },
	{ "verbose", KEY_VERBOSE, NULL, 0, "What passed, too, and all of the evidence" },
	{ 0 },
};

static int parse_type(const char *text, enum case_device *ret)
{
	static const enum case_device devices[] = { DEVICE_ANY, DEVICE_BLK, DEVICE_NET };

	for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (!strcmp(text, options_device_name(devices[i]))) {
			*ret = devices[i];
			return 0;
		}
	return -1;
}

static void set_number(struct argp_state *state, const char *text, uint64_t least, uint64_t *ret)
{
	if (number_parse(text, least, UINT32_MAX, ret))
		argp_error(state, "not such a number: %s", text);
}

static void set_seconds(struct argp_state *state, const char *text, unsigned *ret_ms)
{
	double seconds = 0;

	if (number_parse_seconds(text, SECONDS_MOST, &seconds))
		argp_error(state, "not a number of seconds: %s", text);
	*ret_ms = (unsigned)(seconds * 1000);
}

static error_t parse_choice(int key, char *arg, struct argp_state *state, struct options *options)
{
	uint64_t number = 0;

	switch (key) {
	case KEY_SOCKET_PATH: options->path = arg; break;
	case KEY_TYPE:
		if (parse_type(arg, &options->device))
			argp_error(state, "no such type: %s", arg);
		break;
	case KEY_PID:
		set_number(state, arg, 1, &number);
		options->pid = (pid_t)number;
		break;
	case KEY_RESTART: options->restart_cmd = arg; break;
	case KEY_ONLY: options->only = arg; break;
	case KEY_SEED: set_number(state, arg, 0, &options->seed); break;
	case KEY_TIMEOUT: set_seconds(state, arg, &options->timeout_ms); break;
	case KEY_OBSERVE: set_seconds(state, arg, &options->observe_ms); break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static error_t parse_telling(int key, char *arg, struct options *options)
{
	switch (key) {
	case KEY_TAP: options->tap = true; break;
	case KEY_JUNIT: options->junit = arg; break;
	case KEY_JSON: options->json = arg; break;
	case KEY_LABEL: options->label = arg; break;
	case KEY_LIST: options->list = true; break;
	case KEY_EXPLAIN: options->explain = arg; break;
	case KEY_VERBOSE: options->verbose = true; break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case KEY_STRICT: options->strict = true; break;
	case ARGP_KEY_ARG: argp_error(state, "unexpected: %s", arg); break;
	case ARGP_KEY_END:
		if (!options->path && !options->list && !options->explain)
			argp_error(state, "--socket-path is needed");
		break;
	default:
		if (parse_telling(key, arg, options) == ARGP_ERR_UNKNOWN)
			return parse_choice(key, arg, state, options);
	}
	return 0;
}

void options_parse(int argc, char **argv, const char *about, struct options *ret)
{
	const struct argp argp = { .options = table, .parser = parse, .doc = about };

	*ret = (struct options){ .seed = 1,
		                 .timeout_ms = (unsigned)(TIMEOUT_DEFAULT * 1000),
		                 .observe_ms = (unsigned)(OBSERVE_DEFAULT * 1000) };
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, ret);
}

const char *options_device_name(enum case_device device)
{
	return device == DEVICE_BLK ? "blk" : device == DEVICE_NET ? "net" : "any";
}
