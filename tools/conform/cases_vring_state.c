/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: rings that are stopped, started, disabled, enabled. */
#include "io.h"
#include "suite_backend.h"

static void base_comes_back(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	front_ring_start(f, 0, &(struct ring_setup){ .base = 1234, .disabled = true });
	EXPECT_EQUAL(f, front_ring_stop(f, 0), 1234, "base of a ring of which nothing was used");
}

static void base_counts_what_was_used(struct front *f)
{
	struct span data;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	data = front_alloc(f, 512);
	for (unsigned i = 0; i < 3; i++) {
		io_out(f, &data, 1);
		io_expect_done(f);
	}
	EXPECT_EQUAL(f, front_ring_stop(f, io_out_ring(f)), 3, "base behind three chains");
}

static const struct conform_case cases[] = {
	{
		.id = "vring-state.base-comes-back",
		.title = "GET_VRING_BASE returns what SET_VRING_BASE has set",
		.rule = "vhost-user: GET_VRING_BASE",
		.level = LEVEL_MUST,
		.backend = base_comes_back,
	},
	{
		.id = "vring-state.base-counts-what-was-used",
		.title = "GET_VRING_BASE returns the index of the next chain",
		.rule = "vhost-user: GET_VRING_BASE",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = base_counts_what_was_used,
	},
};

const struct conform_area area_vring_state = AREA("vring-state",
                                                  "starting, stopping, enabling of rings", cases);
