/* SPDX-License-Identifier: BSD-3-Clause */
#include "figures.h"

#include <stddef.h>

#include "results.h"

static bool has_bar(const struct figure *figures, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (figures[i].bar.kind)
			return true;
	return false;
}

static double scale_of(const struct figure *figure)
{
	return figure->scale > 0 ? figure->scale : 1;
}

static struct spread spread_scaled(struct spread spread, double scale)
{
	return (struct spread){ spread.median * scale, spread.low * scale, spread.high * scale };
}

/* What is judged, of the contenders at @of and @against. */
static struct spread figure_spread(const struct figure *figure, const struct turns *turns,
                                   unsigned of, unsigned against)
{
	if (figure->against == FIGURE_ALONE)
		return spread_scaled(turns_ns(turns, of), scale_of(figure));
	if (figure->speed)
		return turns_ratio(turns, against, of);
	return turns_ratio(turns, of, against);
}

static int report(const char *bench, const struct contender *contenders,
                  const struct figure *figure, const struct spread *spread, double ns,
                  unsigned repetitions)
{
	const struct result result = {
		.bench = bench,
		.name = figure->name,
		.value = ns * scale_of(figure),
		.unit = figure->unit ? figure->unit : "ns",
		.against = figure->against == FIGURE_ALONE ? NULL
		                                           : contenders[figure->against].name,
		.spread = spread,
		.bar = figure->bar,
		.repetitions = repetitions,
	};

	return result_add(&result);
}

static int judge(const char *bench, const struct contender *contenders, const struct figure *figure,
                 const struct turns *first, double seconds)
{
	struct spread spread = figure_spread(figure, first, figure->of, figure->against);
	double ns = turns_ns(first, figure->of).median;
	bool alone = figure->against == FIGURE_ALONE;
	const struct contender again[] = { contenders[figure->of],
		                           contenders[alone ? figure->of : figure->against] };
	unsigned repetitions = 0;
	struct turns turns;

	while (bar_judge(figure->bar, &spread) == VERDICT_NOISY && repetitions < REPETITIONS_MAX) {
		pairs_turns(again, alone ? 1 : 2, seconds, &turns);
		spread = figure_spread(figure, &turns, 0, 1);
		ns = turns_ns(&turns, 0).median;
		repetitions++;
	}
	return report(bench, contenders, figure, &spread, ns, repetitions);
}

int figures_measure(const char *bench, const struct contender *contenders, unsigned n,
                    const struct figure *figures, unsigned n_figures)
{
	double seconds = has_bar(figures, n_figures) ? pairs_seconds() : pairs_seconds_brief();
	struct turns turns;
	int err = 0;

	pairs_turns(contenders, n, seconds, &turns);
	for (unsigned i = 0; i < n_figures && !err; i++)
		err = judge(bench, contenders, &figures[i], &turns, seconds);
	return err;
}
