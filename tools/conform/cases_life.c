/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: connections that come and go, and what is left behind. */
#include "io.h"
#include "suite_backend.h"

#define ROUNDS 10

static void reconnects(struct front *f)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		expect_serves_anew(f);
}

/* The first rounds may fill what is kept for later ones. */
static void fds_do_not_grow(struct front *f)
{
	struct holdings before = { 0 }, after;

	for (unsigned i = 0; i < ROUNDS; i++) {
		front_open(f, &(struct front_setup){ 0 });
		front_ring_start(f, 0, &(struct ring_setup){ 0 });
		expect_alive(f);
		if (i == 2)
			before = subject_holdings(f->subject);
	}
	after = subject_holdings(f->subject);
	NOTE(f, "%d fds, %d threads, %d mappings; before: %d, %d, %d", after.fds, after.threads,
	     after.maps, before.fds, before.threads, before.maps);
	EXPECT_EQUAL(f, after.fds, before.fds, "fds after seven more connections");
	EXPECT(f, after.threads <= before.threads, "no more threads than before");
}

static const struct conform_case cases[] = {
	{
		.id = "life.reconnects",
		.title = "one connection after the other is served",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.backend = reconnects,
	},
	{
		.id = "life.fds-do-not-grow",
		.title = "a connection that ends leaves no fds and threads behind",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs.pid = true,
		.backend = fds_do_not_grow,
	},
};

const struct conform_area area_life = AREA("life", "connections that come and go", cases);
