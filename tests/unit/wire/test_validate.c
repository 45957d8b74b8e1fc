/* SPDX-License-Identifier: BSD-3-Clause */
/* What is refused before a handler sees it, and with which errno. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wire/message.h"

#define N_RINGS       4u
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool runs[N_RINGS];

static bool ring_runs(const void *opaque, unsigned index)
{
	const bool *rings = opaque;

	assert_true(index < N_RINGS);
	return rings[index];
}

/* Everything negotiated, all rings stopped. */
static struct message_context full_context(enum message_channel channel)
{
	memset(runs, 0, sizeof(runs));
	return (struct message_context){
		.channel = channel,
		.features = UINT64_MAX,
		.features_offered = UINT64_MAX,
		.protocol_features = UINT64_MAX,
		.n_rings = N_RINGS,
		.back_channel = true,
		.ring_runs = ring_runs,
		.opaque = runs,
	};
}

static const struct message_spec *spec_at(unsigned i, enum message_channel *ret_channel)
{
	*ret_channel = i < VHU_FE_END ? MESSAGE_MAIN : MESSAGE_BACK;
	return message_spec(*ret_channel, i < VHU_FE_END ? i : i - VHU_FE_END);
}
#define N_SPECS (VHU_FE_END + VHU_BE_END)

/* A message that passes full_context(): fds are numbers that nobody uses. */
static struct message valid(enum message_channel channel, uint32_t request)
{
	const struct message_spec *spec = message_spec(channel, request);
	struct message message;

	message_init(&message, request);
	message.header.size = spec->size_max;
	if (spec->layout == MESSAGE_LAYOUT_MEMORY)
		message.payload.memory.n = 8;
	if (spec->layout == MESSAGE_LAYOUT_CONFIG)
		message.payload.config.size = 256;
	if (spec->layout == MESSAGE_LAYOUT_IOTLB)
		message.payload.iotlb.type = channel == MESSAGE_MAIN ? VHU_IOTLB_UPDATE
		                                                     : VHU_IOTLB_MISS;
	if (spec->fds == MESSAGE_FDS_PER_REGION)
		message.n_fds = 8;
	else if (spec->fds != MESSAGE_FDS_NONE)
		message.n_fds = 1;
	return message;
}

static int check(const struct message *message, const struct message_context *context)
{
	struct message_fault why = { "" };
	int ret = message_check(message, context, &why);

	assert_int_equal(ret != 0, why.text[0] != '\0');
	assert_int_equal(message_check(message, context, NULL), ret);
	return ret;
}

static void valid_messages_pass(void **state)
{
	for (unsigned i = 0; i < N_SPECS; i++) {
		struct message_context context = full_context(MESSAGE_MAIN);
		const struct message_spec *spec = spec_at(i, &context.channel);
		struct message message;

		if (!spec)
			continue;
		message = valid(context.channel, spec->request);
		assert_int_equal(check(&message, &context), 0);
		message.header.flags |= VHU_FLAG_NEED_REPLY;
		assert_int_equal(check(&message, &context), 0);
	}
}

static int check_size(enum message_channel channel, uint32_t request, uint32_t size, bool reply)
{
	struct vhu_header header = { request, VHU_FLAG_VERSION | (reply ? VHU_FLAG_REPLY : 0),
		                     size };

	return message_check_header(channel, &header, reply, NULL);
}

static void check_limits(enum message_channel channel, uint32_t request, uint32_t min, uint32_t max,
                         bool reply)
{
	if (min > 0)
		assert_int_equal(check_size(channel, request, min - 1, reply), -EMSGSIZE);
	assert_int_equal(check_size(channel, request, min, reply), 0);
	assert_int_equal(check_size(channel, request, max, reply), 0);
	assert_int_equal(check_size(channel, request, max + 1, reply), -EMSGSIZE);
	assert_int_equal(check_size(channel, request, UINT32_MAX, reply), -EMSGSIZE);
}

static void sizes_are_limited_by_the_table(void **state)
{
	for (unsigned i = 0; i < N_SPECS; i++) {
		enum message_channel channel;
		const struct message_spec *spec = spec_at(i, &channel);

		if (!spec)
			continue;
		check_limits(channel, spec->request, spec->size_min, spec->size_max, false);
		check_limits(channel, spec->request, spec->reply_min, spec->reply_max, true);
	}
}

static void unknown_requests_are_told_from_oversized_ones(void **state)
{
	for (unsigned channel = MESSAGE_MAIN; channel <= MESSAGE_BACK; channel++) {
		for (unsigned reply = 0; reply < 2; reply++) {
			assert_int_equal(check_size(channel, 0, 0, reply), -EOPNOTSUPP);
			assert_int_equal(check_size(channel, 99, 0, reply), -EOPNOTSUPP);
			assert_int_equal(check_size(channel, 99, VHU_PAYLOAD_MAX, reply),
			                 -EOPNOTSUPP);
			assert_int_equal(check_size(channel, 99, VHU_PAYLOAD_MAX + 1, reply),
			                 -EMSGSIZE);
		}
	}
}

static void header_flags_are_checked(void **state)
{
	static const struct {
		uint32_t flags;
		bool reply;
		int ret;
	} cases[] = {
		{ 0x1, false, 0 },
		{ 0x9, false, 0 },
		{ 0x5, true, 0 },
		{ 0x0, false, -EPROTO },
		{ 0x2, false, -EPROTO },
		{ 0x3, false, -EPROTO },
		{ 0x5, false, -EPROTO },
		{ 0x1, true, -EPROTO },
		{ 0xd, true, -EPROTO },
		{ 0x11, false, -EPROTO },
		{ 0x80000001, false, -EPROTO },
		{ 0x15, true, -EPROTO },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct vhu_header header = { VHU_FE_SET_FEATURES, cases[i].flags, 8 };
		struct message_fault why;

		assert_int_equal(message_check_header(MESSAGE_MAIN, &header, cases[i].reply, &why),
		                 cases[i].ret);
	}
}

/* How many fds each row takes in full_context() and with valid(). */
static void fd_counts_are_exact(void **state)
{
	for (unsigned i = 0; i < N_SPECS; i++) {
		struct message_context context = full_context(MESSAGE_MAIN);
		const struct message_spec *spec = spec_at(i, &context.channel);
		struct message message;
		unsigned due;

		if (!spec)
			continue;
		message = valid(context.channel, spec->request);
		due = message.n_fds;
		for (unsigned n = 0; n <= MESSAGE_FDS_MAX; n++) {
			bool tolerated = spec->fds == MESSAGE_FDS_OPTIONAL && n < 2;

			message.n_fds = n;
			assert_int_equal(check(&message, &context),
			                 n == due || tolerated ? 0 : -EBADF);
		}
	}
}

static void nofd_bit_means_no_fd(void **state)
{
	static const uint32_t requests[] = { VHU_FE_SET_VRING_KICK, VHU_FE_SET_VRING_CALL,
		                             VHU_FE_SET_VRING_ERR };
	struct message_context context = full_context(MESSAGE_MAIN);

	for (size_t i = 0; i < LENGTH(requests); i++) {
		struct message message = valid(MESSAGE_MAIN, requests[i]);

		message.payload.u64 = VHU_VRING_NOFD | 1;
		assert_int_equal(check(&message, &context), -EBADF);
		message.n_fds = 0;
		assert_int_equal(check(&message, &context), 0);
		message.payload.u64 = 1;
		assert_int_equal(check(&message, &context), -EBADF);
		message.payload.u64 = 0x200;
		message.n_fds = 1;
		assert_int_equal(check(&message, &context), -EINVAL);
	}
}

static void memory_tables_bring_an_fd_per_region(void **state)
{
	struct message_context context = full_context(MESSAGE_MAIN);

	for (uint32_t n = 0; n <= 8; n++) {
		struct message message = valid(MESSAGE_MAIN, VHU_FE_SET_MEM_TABLE);

		message.payload.memory.n = n;
		message.header.size = 8 + 32 * n;
		message.n_fds = n;
		assert_int_equal(check(&message, &context), 0);
		message.header.size += n < 8 ? 32 : -32;
		assert_int_equal(check(&message, &context), -EMSGSIZE);
		message.header.size = 8 + 32 * n;
		message.n_fds = n < 8 ? n + 1 : n - 1;
		assert_int_equal(check(&message, &context), -EBADF);
	}
}

static void region_counts_beyond_the_table_are_refused(void **state)
{
	static const uint32_t counts[] = { 9, 0x08000000, 0x08000008, UINT32_MAX };
	struct message_context context = full_context(MESSAGE_MAIN);

	for (size_t i = 0; i < LENGTH(counts); i++) {
		struct message message = valid(MESSAGE_MAIN, VHU_FE_SET_MEM_TABLE);

		message.payload.memory.n = counts[i];
		assert_int_equal(check(&message, &context), -EINVAL);
	}
}

static void log_base_follows_log_shmfd(void **state)
{
	struct message_context context = full_context(MESSAGE_MAIN);
	struct message message = valid(MESSAGE_MAIN, VHU_FE_SET_LOG_BASE);

	message.header.size = 8;
	assert_int_equal(check(&message, &context), -EMSGSIZE);
	context.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_LOG_SHMFD);
	assert_int_equal(check(&message, &context), -EBADF);
	message.n_fds = 0;
	assert_int_equal(check(&message, &context), 0);
	message.header.size = 16;
	assert_int_equal(check(&message, &context), 0);
}

static void gates_need_their_bit(void **state)
{
	for (unsigned i = 0; i < N_SPECS; i++) {
		struct message_context context = full_context(MESSAGE_MAIN);
		const struct message_spec *spec = spec_at(i, &context.channel);
		struct message message;

		if (!spec)
			continue;
		message = valid(context.channel, spec->request);
		if (spec->feature != MESSAGE_NO_BIT) {
			context.features = ~VHU_BIT(spec->feature);
			assert_int_equal(check(&message, &context),
			                 spec->by_offer ? 0 : -EOPNOTSUPP);
			context.features_offered = ~VHU_BIT(spec->feature);
			assert_int_equal(check(&message, &context), -EOPNOTSUPP);
			context = full_context(context.channel);
		}
		if (spec->protocol != MESSAGE_NO_BIT) {
			context.protocol_features = ~VHU_BIT(spec->protocol);
			assert_int_equal(check(&message, &context), -EOPNOTSUPP);
			context.protocol_features = VHU_BIT(spec->protocol) |
			                            VHU_BIT(VHU_PROTOCOL_F_BACKEND_SEND_FD);
			assert_int_equal(check(&message, &context), 0);
		}
	}
}

static void messages_without_gate_need_nothing(void **state)
{
	struct message_context context = full_context(MESSAGE_MAIN);

	context.features = context.features_offered = context.protocol_features = 0;
	for (uint32_t i = 1; i < VHU_FE_END; i++) {
		const struct message_spec *spec = message_spec(MESSAGE_MAIN, i);
		struct message message = valid(MESSAGE_MAIN, i);
		bool gated = spec->feature != MESSAGE_NO_BIT || spec->protocol != MESSAGE_NO_BIT;

		if (i == VHU_FE_SET_LOG_BASE)
			message.n_fds = 0;
		assert_int_equal(check(&message, &context), gated ? -EOPNOTSUPP : 0);
	}
}

static void backend_fds_need_send_fd(void **state)
{
	struct message_context context = full_context(MESSAGE_BACK);
	struct message message = valid(MESSAGE_BACK, VHU_BE_SHMEM_MAP);

	context.protocol_features &= ~VHU_BIT(VHU_PROTOCOL_F_BACKEND_SEND_FD);
	assert_int_equal(check(&message, &context), -EOPNOTSUPP);
	message = valid(MESSAGE_BACK, VHU_BE_SHMEM_UNMAP);
	assert_int_equal(check(&message, &context), 0);
}

static void backend_requests_need_a_back_channel(void **state)
{
	struct message_context context = full_context(MESSAGE_BACK);

	context.back_channel = false;
	for (uint32_t i = 1; i < VHU_BE_END; i++) {
		struct message message = valid(MESSAGE_BACK, i);

		assert_int_equal(check(&message, &context), -EBUSY);
	}
}

static void running_rings_keep_their_size_and_base(void **state)
{
	struct message_context context = full_context(MESSAGE_MAIN);

	runs[2] = true;
	for (uint32_t i = 1; i < VHU_FE_END; i++) {
		struct message message = valid(MESSAGE_MAIN, i);
		bool refused = i == VHU_FE_SET_VRING_NUM || i == VHU_FE_SET_VRING_BASE;

		/* The ring index is at the start of every payload that has one. */
		if (message_spec(MESSAGE_MAIN, i)->layout == MESSAGE_LAYOUT_VRING_STATE)
			message.payload.state.index = 2;
		assert_int_equal(check(&message, &context),
		                 refused || i == VHU_FE_SET_PROTOCOL_FEATURES ? -EBUSY : 0);
		message.payload.state.index = 1;
		if (refused)
			assert_int_equal(check(&message, &context), 0);
	}
}

static void protocol_features_need_all_rings_stopped(void **state)
{
	struct message_context context = full_context(MESSAGE_MAIN);
	struct message message = valid(MESSAGE_MAIN, VHU_FE_SET_PROTOCOL_FEATURES);

	for (unsigned i = 0; i < N_RINGS; i++) {
		runs[i] = true;
		assert_int_equal(check(&message, &context), -EBUSY);
		runs[i] = false;
		assert_int_equal(check(&message, &context), 0);
	}
}

static bool names_a_ring(enum message_layout layout)
{
	return layout == MESSAGE_LAYOUT_VRING_STATE || layout == MESSAGE_LAYOUT_VRING_ADDR ||
	       layout == MESSAGE_LAYOUT_VRING_FD || layout == MESSAGE_LAYOUT_VRING_AREA;
}

static void ring_indices_are_bounded(void **state)
{
	static const uint32_t wrong[] = { N_RINGS, 0xff };
	unsigned seen = 0;

	for (unsigned i = 0; i < N_SPECS; i++) {
		struct message_context context = full_context(MESSAGE_MAIN);
		const struct message_spec *spec = spec_at(i, &context.channel);
		struct message message;

		if (!spec || !names_a_ring(spec->layout))
			continue;
		seen++;
		message = valid(context.channel, spec->request);
		message.payload.state.index = N_RINGS - 1;
		assert_int_equal(check(&message, &context), 0);
		for (size_t k = 0; k < LENGTH(wrong); k++) {
			message.payload.state.index = wrong[k];
			assert_int_equal(check(&message, &context), -EINVAL);
		}
		message.payload.state.index = 0;
		context.n_rings = 0;
		assert_int_equal(check(&message, &context), -EINVAL);
	}
	/* NUM, ADDR, BASE, GET_BASE, KICK, CALL, ERR, ENABLE, ENDIAN, VRING_KICK; 3 of back-ends.
	 */
	assert_int_equal(seen, 13);
}

static void U4_unknown_permission_is_refused(void **state)
{
	for (unsigned channel = MESSAGE_MAIN; channel <= MESSAGE_BACK; channel++) {
		struct message_context context = full_context(channel);
		struct message message = valid(channel, channel == MESSAGE_MAIN
		                                                ? (uint32_t)VHU_FE_IOTLB_MSG
		                                                : (uint32_t)VHU_BE_IOTLB_MSG);

		for (unsigned perm = 0; perm < 256; perm++) {
			message.payload.iotlb.perm = (uint8_t)perm;
			assert_int_equal(check(&message, &context), perm < 4 ? 0 : -EINVAL);
		}
	}
}

static void U4_what_senders_leave_unset_is_not_looked_at(void **state)
{
	struct message_context context = full_context(MESSAGE_MAIN);
	struct message message = valid(MESSAGE_MAIN, VHU_FE_IOTLB_MSG);

	memset(&message.payload, 0xa5, sizeof(message.payload));
	message.payload.iotlb.type = VHU_IOTLB_INVALIDATE;
	assert_int_equal(check(&message, &context), 0);
	message.payload.iotlb.type = VHU_IOTLB_UPDATE;
	message.payload.iotlb.perm = 3;
	assert_int_equal(check(&message, &context), 0);
	message.header.size = VHU_IOTLB_SIZE_MIN;
	assert_int_equal(check(&message, &context), 0);
}

static void iotlb_types_have_their_direction(void **state)
{
	struct message_context to_backend = full_context(MESSAGE_MAIN);
	struct message_context to_frontend = full_context(MESSAGE_BACK);
	struct message update = valid(MESSAGE_MAIN, VHU_FE_IOTLB_MSG);
	struct message miss = valid(MESSAGE_BACK, VHU_BE_IOTLB_MSG);

	for (unsigned type = 0; type < 256; type++) {
		update.payload.iotlb.type = miss.payload.iotlb.type = (uint8_t)type;
		assert_int_equal(
			check(&update, &to_backend),
			type == VHU_IOTLB_UPDATE || type == VHU_IOTLB_INVALIDATE ? 0 : -EINVAL);
		assert_int_equal(check(&miss, &to_frontend),
		                 type == VHU_IOTLB_MISS || type == VHU_IOTLB_ACCESS_FAIL ? 0
		                                                                         : -EINVAL);
	}
}

static void flags_take_0_and_1(void **state)
{
	static const uint32_t requests[] = { VHU_FE_SET_VRING_ENABLE, VHU_FE_SET_VRING_ENDIAN };
	struct message_context context = full_context(MESSAGE_MAIN);

	for (size_t i = 0; i < LENGTH(requests); i++) {
		struct message message = valid(MESSAGE_MAIN, requests[i]);

		message.payload.state.num = 1;
		assert_int_equal(check(&message, &context), 0);
		message.payload.state.num = 2;
		assert_int_equal(check(&message, &context), -EINVAL);
	}
}

static void vring_addr_flags_are_known(void **state)
{
	struct message_context context = full_context(MESSAGE_MAIN);
	struct message message = valid(MESSAGE_MAIN, VHU_FE_SET_VRING_ADDR);

	message.payload.addr.flags = VHU_VRING_F_LOG;
	assert_int_equal(check(&message, &context), 0);
	message.payload.addr.flags = 2;
	assert_int_equal(check(&message, &context), -EINVAL);
}

static void config_is_as_long_as_it_says(void **state)
{
	static const struct {
		uint32_t request, payload, size, flags;
		int ret;
	} cases[] = {
		{ VHU_FE_GET_CONFIG, 12 + 60, 60, 0, 0 },
		{ VHU_FE_GET_CONFIG, 12, 60, 0, 0 },
		{ VHU_FE_GET_CONFIG, 12, 0, 0, 0 },
		{ VHU_FE_GET_CONFIG, 268, 256, 0, 0 },
		{ VHU_FE_GET_CONFIG, 268, 257, 0, -EINVAL },
		{ VHU_FE_GET_CONFIG, 12, UINT32_MAX, 0, -EINVAL },
		{ VHU_FE_GET_CONFIG, 12, 60, 7, 0 },
		{ VHU_FE_SET_CONFIG, 12 + 1, 1, 0, 0 },
		{ VHU_FE_SET_CONFIG, 12 + 1, 1, 1, 0 },
		{ VHU_FE_SET_CONFIG, 12 + 1, 1, 2, -EINVAL },
		{ VHU_FE_SET_CONFIG, 12, 1, 0, -EMSGSIZE },
		{ VHU_FE_SET_CONFIG, 12 + 2, 1, 0, -EMSGSIZE },
		{ VHU_FE_SET_CONFIG, 12, UINT32_MAX - 11, 0, -EINVAL },
	};
	struct message_context context = full_context(MESSAGE_MAIN);

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct message message = valid(MESSAGE_MAIN, cases[i].request);

		message.header.size = cases[i].payload;
		message.payload.config.size = cases[i].size;
		message.payload.config.flags = cases[i].flags;
		assert_int_equal(check(&message, &context), cases[i].ret);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_messages_pass),
		cmocka_unit_test(sizes_are_limited_by_the_table),
		cmocka_unit_test(unknown_requests_are_told_from_oversized_ones),
		cmocka_unit_test(header_flags_are_checked),
		cmocka_unit_test(fd_counts_are_exact),
		cmocka_unit_test(nofd_bit_means_no_fd),
		cmocka_unit_test(memory_tables_bring_an_fd_per_region),
		cmocka_unit_test(region_counts_beyond_the_table_are_refused),
		cmocka_unit_test(log_base_follows_log_shmfd),
		cmocka_unit_test(gates_need_their_bit),
		cmocka_unit_test(messages_without_gate_need_nothing),
		cmocka_unit_test(backend_fds_need_send_fd),
		cmocka_unit_test(backend_requests_need_a_back_channel),
		cmocka_unit_test(running_rings_keep_their_size_and_base),
		cmocka_unit_test(protocol_features_need_all_rings_stopped),
		cmocka_unit_test(ring_indices_are_bounded),
		cmocka_unit_test(U4_unknown_permission_is_refused),
		cmocka_unit_test(U4_what_senders_leave_unset_is_not_looked_at),
		cmocka_unit_test(iotlb_types_have_their_direction),
		cmocka_unit_test(flags_take_0_and_1),
		cmocka_unit_test(vring_addr_flags_are_known),
		cmocka_unit_test(config_is_as_long_as_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
