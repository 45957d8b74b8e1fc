/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: connections that come and go, and what is left behind. */
#include "io.h"
#include "suite_backend.h"

#define ROUNDS      10
#define CONNECTIONS 200u

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
	after = subject_holdings_of(f->subject, before.fds, (int)f->trial->patience_ms);
	NOTE(f, "%d fds, %d threads, %d mappings; before: %d, %d, %d", after.fds, after.threads,
	     after.maps, before.fds, before.threads, before.maps);
	EXPECT_EQUAL(f, after.fds, before.fds, "fds after seven more connections");
	EXPECT(f, after.threads <= before.threads, "no more threads than before");
}

static void half_a_header(struct front *f)
{
	const char bytes[5] = { VHU_FE_GET_FEATURES };

	front_connect(f);
	link_send_bytes(&f->main, bytes, sizeof(bytes), "five bytes of a header");
	expect_serves_anew(f);
}

static void half_a_payload(struct front *f)
{
	const struct vhu_header header = { VHU_FE_SET_FEATURES, VHU_FLAG_VERSION, 8 };

	front_connect(f);
	link_send_bytes(&f->main, &header, sizeof(header), "a header without its payload");
	expect_serves_anew(f);
}

static void ends_with_work_under_way(struct front *f)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct span out;

		front_open(f, &(struct front_setup){ 0 });
		io_start(f);
		out = front_alloc(f, 4096);
		io_out(f, &out, 1);
	}
	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	io_expect_works(f);
}

/* Every second one stops in mid-message. */
static void many_connections(struct front *f)
{
	const struct vhu_header header = { VHU_FE_SET_MEM_TABLE, VHU_FLAG_VERSION, 40 };
	struct holdings before = { 0 }, after;

	trial_mute(f->trial);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		front_connect(f);
		if (i % 2)
			link_send_bytes(&f->main, &header, sizeof(header) - i % 7,
			                "half a message");
		else
			expect_alive(f);
		if (i == CONNECTIONS / 4 && f->subject->pid)
			before = subject_holdings(f->subject);
	}
	trial_unmute(f->trial);
	expect_serves_anew(f);
	if (!before.fds)
		return;
	after = subject_holdings_of(f->subject, before.fds, (int)f->trial->patience_ms);
	EXPECT(f, after.fds <= before.fds + 1, "no more fds than before: %d, they were %d",
	       after.fds, before.fds);
	EXPECT(f, after.threads <= before.threads + 1,
	       "no more threads than before: %d, they were %d", after.threads, before.threads);
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
	{
		.id = "life.half-a-header",
		.title = "who ends in mid-header hinders nobody",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.backend = half_a_header,
	},
	{
		.id = "life.half-a-payload",
		.title = "who ends before the payload hinders nobody",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.backend = half_a_payload,
	},
	{
		.id = "life.ends-with-work-under-way",
		.title = "who ends with a request under way hinders nobody",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = ends_with_work_under_way,
	},
	{
		.id = "life.many-connections",
		.title = "two hundred connections, half of them cut in mid-message, leave nothing",
		.rule = "vhost-user: Communication",
		.level = LEVEL_MUST,
		.seconds = 20,
		.backend = many_connections,
	},
};

const struct conform_area area_life = AREA("life", "connections that come and go", cases);
