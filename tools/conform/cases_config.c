/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: the device's configuration. */
#include "front.h"
#include "suite_backend.h"

static void read_whole(struct front *f)
{
	struct message message = msg_config(VHU_FE_GET_CONFIG, 0, 8, 0), reply;

	front_open(f, &(struct front_setup){ .no_memory = true });
	front_send(f, &message);
	reply = expect_reply(f, VHU_FE_GET_CONFIG);
	EXPECT_EQUAL(f, reply.header.size, VHU_CONFIG_HEADER + 8, "size of the reply");
	EXPECT_EQUAL(f, reply.payload.config.offset, 0, "offset in the reply");
	EXPECT_EQUAL(f, reply.payload.config.size, 8, "size in the reply's payload");
}

static const struct conform_case cases[] = {
	{
		.id = "config.read",
		.title = "GET_CONFIG is answered with as many bytes as were asked for",
		.rule = "vhost-user: GET_CONFIG",
		.level = LEVEL_MUST,
		.needs.protocol = VHU_BIT(VHU_PROTOCOL_F_CONFIG),
		.backend = read_whole,
	},
};

const struct conform_area area_config = AREA("config", "the device's configuration", cases);
