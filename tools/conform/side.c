/* SPDX-License-Identifier: BSD-3-Clause */
#include "side.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "report.h"

static int list(const struct suite *suite)
{
	suite_print_list(suite);
	return EXIT_FINE;
}

static int explain(const struct side *side, const char *id)
{
	const struct conform_area *area;
	const struct conform_case *which = suite_find(side->areas, *side->n_areas, id, &area);

	if (!which) {
		fprintf(stderr, "vhu conform %s: no such case: %s\n", side->name, id);
		return EXIT_USAGE;
	}
	suite_print_case(which, area);
	return EXIT_FINE;
}

int side_tell(const struct side *side, const struct suite *suite, const struct options *options,
              const char *peer)
{
	const struct report_head head = { .side = side->title,
		                          .path = options->path,
		                          .name = peer,
		                          .type = options_device_name(options->device),
		                          .label = options->label,
		                          .seed = options->seed,
		                          .strict = options->strict,
		                          .verbose = options->verbose };

	if (report_all(suite, &head, options))
		return EXIT_DIFFERENT;
	if (suite->interrupted)
		return EXIT_INTERRUPTED;
	return suite_is_fine(suite, options->strict) ? EXIT_FINE : EXIT_DIFFERENT;
}

int side_main(const struct side *side, int argc, char **argv)
{
	struct options options;
	struct suite suite;
	int error, status;

	options_parse(argc, argv, side->about, &options);
	if (options.explain)
		return explain(side, options.explain);
	error = suite_choose(&suite, side->areas, *side->n_areas,
	                     &(struct suite_choice){ .only = options.only,
	                                             .seed = options.seed,
	                                             .patience_ms = options.timeout_ms });
	if (error) {
		fprintf(stderr, "vhu conform %s: %s\n", side->name,
		        error == -ENOENT ? "no case has such an id" : strerror(-error));
		status = EXIT_USAGE;
	} else {
		status = options.list ? list(&suite) : side->judge(&suite, &options);
	}
	suite_done(&suite);
	return status;
}
