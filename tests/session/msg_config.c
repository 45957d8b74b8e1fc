/* SPDX-License-Identifier: BSD-3-Clause */
/* GET_CONFIG and SET_CONFIG. */
#include <string.h>

#include "support/rig.h"

static struct rig *open_rig(void)
{
	struct rig *rig = rig_new(&(struct rig_config){ 0 });

	rig_open(rig, 0);
	return rig;
}

static void init_config(struct message *message, uint32_t request, uint32_t offset, uint32_t size)
{
	message_init(message, request);
	message->payload.config.offset = offset;
	message->payload.config.size = size;
	message->header.size = VHU_CONFIG_HEADER + (size <= VHU_CONFIG_MAX ? size : 0);
}

/* The reply; an error is one of size 0. */
static void get(struct rig *rig, const struct message *message, struct message *reply)
{
	rig_send(rig, message);
	rig_recv(rig, reply);
	assert_int_equal(reply->header.request, VHU_FE_GET_CONFIG);
	assert_int_equal(reply->header.flags, VHU_FLAG_VERSION | VHU_FLAG_REPLY);
	assert_int_equal(reply->n_fds, 0);
}

/* The rig's device has at each offset its number. */
static void check_bytes(const struct message *reply, uint32_t offset, uint32_t size)
{
	assert_int_equal(reply->header.size, VHU_CONFIG_HEADER + size);
	assert_int_equal(reply->payload.config.offset, offset);
	assert_int_equal(reply->payload.config.size, size);
	for (uint32_t i = 0; i < size; i++)
		assert_int_equal(reply->payload.config.bytes[i], (unsigned char)(offset + i));
}

static void any_size_up_to_256_is_answered_in_full(void **state)
{
	static const struct {
		uint32_t offset, size;
	} cases[] = { { 0, 256 }, { 0, 60 },  { 0, 1 },   { 0, 0 },   { 1, 255 },
		      { 8, 8 },   { 255, 1 }, { 256, 0 }, { 20, 100 } };
	struct rig *rig = open_rig();

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct message message, reply;

		init_config(&message, VHU_FE_GET_CONFIG, cases[i].offset, cases[i].size);
		get(rig, &message, &reply);
		check_bytes(&reply, cases[i].offset, cases[i].size);
	}
	rig_free(rig);
}

/* Front-ends exist that send the header alone. */
static void the_bytes_of_a_get_may_be_left_out(void **state)
{
	struct rig *rig = open_rig();
	struct message message, reply;

	init_config(&message, VHU_FE_GET_CONFIG, 4, 32);
	message.header.size = VHU_CONFIG_HEADER;
	get(rig, &message, &reply);
	check_bytes(&reply, 4, 32);
	rig_free(rig);
}

/* Whatever bytes come with a request, it is the device's that go back. */
static void a_get_tells_nothing_of_what_it_brought(void **state)
{
	struct rig *rig = open_rig();
	struct message message, reply;

	init_config(&message, VHU_FE_GET_CONFIG, 0, 64);
	memset(message.payload.config.bytes, 0xee, 64);
	message.payload.config.flags = VHU_CONFIG_MIGRATION;
	get(rig, &message, &reply);
	check_bytes(&reply, 0, 64);
	rig_free(rig);
}

static void out_of_256_bytes_is_answered_by_an_empty_reply(void **state)
{
	static const struct {
		uint32_t offset, size;
	} cases[] = { { 0, 257 },           { 1, 256 },        { 256, 1 },
		      { 257, 0 },           { UINT32_MAX, 0 }, { UINT32_MAX, 1 },
		      { 0, UINT32_MAX },    { 1, UINT32_MAX }, { UINT32_MAX, UINT32_MAX },
		      { 8, UINT32_MAX - 7 } };
	struct rig *rig = open_rig();

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct message message, reply;

		init_config(&message, VHU_FE_GET_CONFIG, cases[i].offset, cases[i].size);
		message.header.flags |= i % 2 ? VHU_FLAG_NEED_REPLY : 0;
		get(rig, &message, &reply);
		assert_int_equal(reply.header.size, 0);
	}
	/* Nothing else was sent, and the session goes on. */
	rig_expect_silence(rig);
	assert_int_equal(rig_get_u64(rig, VHU_FE_GET_QUEUE_NUM), 2);
	rig_free(rig);
}

static uint64_t set(struct rig *rig, uint32_t offset, uint32_t size, uint32_t flags)
{
	struct message message;

	init_config(&message, VHU_FE_SET_CONFIG, offset, size);
	message.payload.config.flags = flags;
	memset(message.payload.config.bytes, 0xc0, size);
	return rig_call(rig, &message);
}

static void what_is_set_is_got_and_nothing_else_changes(void **state)
{
	struct rig *rig = open_rig();
	struct message message, reply;

	assert_int_equal(set(rig, 16, 4, VHU_CONFIG_WRITABLE), 0);
	assert_int_equal(set(rig, 255, 1, VHU_CONFIG_MIGRATION), 0);
	assert_int_equal(set(rig, 3, 0, VHU_CONFIG_WRITABLE), 0);
	init_config(&message, VHU_FE_GET_CONFIG, 0, 256);
	get(rig, &message, &reply);
	assert_int_equal(reply.header.size, VHU_CONFIG_HEADER + 256);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(reply.payload.config.bytes[i],
		                 (i >= 16 && i < 20) || i == 255 ? 0xc0 : i);
	rig_free(rig);
}

static void a_set_out_of_bounds_or_of_unknown_flags_is_refused(void **state)
{
	struct rig *rig = open_rig();
	struct message message, reply;

	assert_int_not_equal(set(rig, 1, 256, 0), 0);
	assert_int_not_equal(set(rig, 256, 1, 0), 0);
	assert_int_not_equal(set(rig, UINT32_MAX, 1, 0), 0);
	assert_int_not_equal(set(rig, 0, 4, 2), 0);
	assert_int_not_equal(set(rig, 0, 4, UINT32_MAX), 0);
	init_config(&message, VHU_FE_SET_CONFIG, 0, 4);
	message.header.size--;
	assert_int_not_equal(rig_call(rig, &message), 0);
	init_config(&message, VHU_FE_SET_CONFIG, 0, 257);
	assert_int_not_equal(rig_call(rig, &message), 0);
	init_config(&message, VHU_FE_GET_CONFIG, 0, 256);
	get(rig, &message, &reply);
	check_bytes(&reply, 0, 256);
	rig_free(rig);
}

static void a_failed_set_that_asks_for_no_reply_ends_the_session(void **state)
{
	struct rig *rig = open_rig();
	struct message message;

	init_config(&message, VHU_FE_SET_CONFIG, 256, 1);
	rig_send(rig, &message);
	rig_expect_closed(rig);
	rig_free(rig);
}

static void without_the_feature_both_are_refused(void **state)
{
	struct rig *rig = rig_new(
		&(struct rig_config){ .protocol_without = VHU_BIT(VHU_PROTOCOL_F_CONFIG) });
	struct message message, reply;

	rig_open(rig, 0);
	init_config(&message, VHU_FE_GET_CONFIG, 0, 8);
	get(rig, &message, &reply);
	assert_int_equal(reply.header.size, 0);
	assert_int_not_equal(set(rig, 0, 4, 0), 0);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_size_up_to_256_is_answered_in_full),
		cmocka_unit_test(the_bytes_of_a_get_may_be_left_out),
		cmocka_unit_test(a_get_tells_nothing_of_what_it_brought),
		cmocka_unit_test(out_of_256_bytes_is_answered_by_an_empty_reply),
		cmocka_unit_test(what_is_set_is_got_and_nothing_else_changes),
		cmocka_unit_test(a_set_out_of_bounds_or_of_unknown_flags_is_refused),
		cmocka_unit_test(a_failed_set_that_asks_for_no_reply_ends_the_session),
		cmocka_unit_test(without_the_feature_both_are_refused),
	};

	return cmocka_run_group_tests_name("session/msg_config", tests, NULL, NULL);
}
