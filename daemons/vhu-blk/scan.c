/* SPDX-License-Identifier: BSD-3-Clause */
#include "scan.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "say.h"

#define OPTIONS_MOST 40
#define ARGPS_OWN    1000 /* above every character, as the table's keys are */

static const struct option argps_own[] = {
	{ "help", no_argument, NULL, ARGPS_OWN },
	{ "usage", no_argument, NULL, ARGPS_OWN },
	{ "version", no_argument, NULL, ARGPS_OWN },
};

/* Ends with zeros. */
static void translate_table(const struct argp_option *table, struct option ret[OPTIONS_MOST])
{
	size_t n = sizeof(argps_own) / sizeof(argps_own[0]);

	memset(ret, 0, OPTIONS_MOST * sizeof(*ret));
	memcpy(ret, argps_own, sizeof(argps_own));
	for (; (table->name || table->doc) && n < OPTIONS_MOST - 1; table++)
		if (table->name)
			ret[n++] = (struct option){ table->name,
				                    table->arg ? required_argument : no_argument,
				                    NULL, table->key };
}

int scan_options(int argc, char **argv, const struct argp_option *table)
{
	struct option options[OPTIONS_MOST];
	int key;

	translate_table(table, options);
	opterr = 0;
	optind = 0;
	while ((key = getopt_long(argc, argv, ":V", options, NULL)) != -1) {
		if (key == ':' || (key == '?' && optopt != '?'))
			break;
	}
	if (key == -1)
		return 0;
	if (key == ':')
		complain("%s: its value is missing; see vhu-blk --help", argv[optind - 1]);
	else if (optopt > UCHAR_MAX)
		complain("%s: takes no value; leave it out", argv[optind - 1]);
	else if (optopt)
		complain("-%c: no such option; see vhu-blk --help", optopt);
	else
		complain("%s: no such option; see vhu-blk --help", argv[optind - 1]);
	return EINVAL;
}
