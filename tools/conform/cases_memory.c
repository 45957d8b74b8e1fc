/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: memory tables and slots. */
#include "io.h"
#include "suite_backend.h"

static void too_few_fds(struct front *f)
{
	struct message message;

	front_open(f, &(struct front_setup){ .no_memory = true });
	message = front_table(f, 3);
	message.n_fds = 2;
	expect_refused(f, &message);
	expect_serves_anew(f);
}

static void table_may_be_replaced(struct front *f)
{
	front_open(f, &(struct front_setup){ 0 });
	front_share(f);
	io_start(f);
	io_expect_works(f);
	io_stop(f);
	front_share(f);
	io_start(f);
	io_expect_works(f);
	expect_canaries(f);
}

static const struct conform_case cases[] = {
	{
		.id = "memory.too-few-fds",
		.title = "a memory table with fewer fds than regions is refused",
		.rule = "vhost-user: SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.needs.protocol = VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK),
		.backend = too_few_fds,
	},
	{
		.id = "memory.table-may-be-replaced",
		.title = "a memory table takes the place of the one before",
		.rule = "vhost-user: SET_MEM_TABLE",
		.level = LEVEL_MUST,
		.needs.device = DEVICE_IO,
		.backend = table_may_be_replaced,
	},
};

const struct conform_area area_memory = AREA("memory", "memory tables and memory slots", cases);
