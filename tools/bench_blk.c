/* SPDX-License-Identifier: BSD-3-Clause */
/* vhu bench blk: its life; the parts are told of in bench_blk.h. */
#include "bench_blk.h"

#include <errno.h>

#include "bench.h"
#include "cli.h"
#include "interrupt.h"
#include "say.h"

/* Whether what was done was done well; says what was not, if nobody has. */
static bool is_fine(const struct bench *bench)
{
	if (bench->faults)
		say(BENCH_NAME,
		    "%llu misses were refused, the first at 0x%llx for %s%s: nothing was mapped "
		    "there",
		    (unsigned long long)bench->faults, (unsigned long long)bench->fault.iova,
		    bench->fault.perm & VHU_PERM_READ ? "r" : "",
		    bench->fault.perm & VHU_PERM_WRITE ? "w" : "");
	return !bench->work.failed && !bench->differing && !bench->faults;
}

int bench_blk_main(int argc, char **argv)
{
	/* The histogram is too large for a stack. */
	static struct bench bench;
	int error;

	bench_blk_parse(argc, argv, &bench.options);
	interrupt_watch(BENCH_NAME);
	error = bench_blk_open(&bench);
	bench.stop = interrupt_defer();
	if (!error)
		error = bench_blk_run(&bench);
	if (!error)
		error = bench_blk_stop(&bench);
	bench_blk_close(&bench);
	if (*bench.stop)
		say(BENCH_NAME, "interrupted");
	bench.fine = is_fine(&bench) && (!error || *bench.stop);
	/* What was done until then counts, however it has ended. */
	if (bench.work.requests)
		(bench.options.json ? bench_blk_report_json : bench_blk_report)(&bench);
	if (*bench.stop)
		return EXIT_INTERRUPTED;
	return bench.fine ? EXIT_FINE : EXIT_DIFFERENT;
}
