/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu bench blk: its life; the parts are told of in bench_blk.h. */
#include "bench_blk.h"

#include <errno.h>

#include "bench.h"
#include "cli.h"

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	stop = number;
}

int bench_blk_main(int argc, char **argv)
{
	/* The histogram is too large for a stack. */
	static struct bench bench;
	const struct sigaction action = { .sa_handler = on_signal };
	int error;

	bench.stop = &stop;
	bench_blk_parse(argc, argv, &bench.options);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	error = bench_blk_open(&bench);
	if (!error)
		error = bench_blk_run(&bench);
	if (!error)
		error = bench_blk_stop(&bench);
	bench_blk_close(&bench);
	/* What was done until then counts. */
	if (bench.work.requests && (!error || error == -EINTR))
		(bench.options.json ? bench_blk_report_json : bench_blk_report)(&bench);
	if (stop)
		return EXIT_INTERRUPTED;
	return error || bench.work.failed || bench.differing ? EXIT_DIFFERENT : EXIT_FINE;
}
