/* SPDX-License-Identifier: BSD-3-Clause */
/* Misses, their answers and their order; what takes translations back. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "support/fake.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define UVA      UINT64_C(0x7000000)

struct faults {
	struct vhu_iommu_fault last;
	unsigned n;
};

static void count_fault(const struct vhu_iommu_fault *fault, void *opaque)
{
	struct faults *faults = opaque;

	faults->last = *fault;
	faults->n++;
}

struct fixture {
	struct vhu_iommu *iommu;
	struct faults faults;
	struct fake *fake;
	struct vhu_frontend *frontend;
};

/* Pages 0x1000, 0x2000, ... 0x8000 are mapped; the script runs at SET_STATUS. */
static void set_up(struct fixture *f, fake_script *script, const struct fake_config *base)
{
	const struct vhu_iommu_config iommu = { .fault = count_fault, .opaque = &f->faults };
	struct fake_config config = *base;

	memset(f, 0, sizeof(*f));
	assert_int_equal(vhu_iommu_new(&iommu, &f->iommu), 0);
	assert_int_equal(vhu_iommu_map(f->iommu, 0x1000, 0x8000, UVA, VHU_PERM_RW), 0);
	config.iommu = f->iommu;
	if (!config.request)
		config.request = VHU_FE_SET_STATUS;
	config.script = script;
	f->fake = fake_ready(&config, PLATFORM);
	f->frontend = f->fake->frontend;
}

static void tear_down(struct fixture *f)
{
	fake_free(f->fake);
	vhu_iommu_free(f->iommu);
}

static struct vhu_frontend_stats stats(const struct fixture *f)
{
	struct vhu_frontend_stats ret;

	vhu_frontend_stats(f->frontend, &ret);
	return ret;
}

static int miss_before_reply(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(!fake_send_miss(fake, 0x1234, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x1000, &update));
	MUST(update.payload.iotlb.uaddr == UVA && update.payload.iotlb.size == 0x1000);
	MUST(update.payload.iotlb.perm == VHU_PERM_RW);
	/* The caller's reply is still owed: in order, it comes first. */
	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(fake_expect_back_silence(fake));
	MUST(!peer_reply_u64(fake->main, &update, 0));
	MUST(fake_expect_back(fake, 0));
	return 0;
}

static void E3_a_miss_is_answered_while_a_reply_is_awaited(void **state)
{
	struct fixture f;

	set_up(&f, miss_before_reply, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	assert_int_equal(stats(&f).misses, 1);
	assert_int_equal(stats(&f).updates, 1);
	tear_down(&f);
}

static int three_misses(struct fake *fake, const struct message *request)
{
	struct message first, third;

	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!fake_send_miss(fake, 0x1000, 1));
	MUST(!fake_send_miss(fake, 0x9000, 1));
	MUST(!fake_send_miss(fake, 0x3000, 2));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x1000, &first));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x3000, &third));
	MUST(fake_expect_back_silence(fake));
	MUST(!peer_reply_u64(fake->main, &first, 0));
	MUST(fake_expect_back(fake, 0));
	MUST(fake_expect_back(fake, 1));
	MUST(fake_expect_back_silence(fake));
	MUST(!peer_reply_u64(fake->main, &third, 0));
	MUST(fake_expect_back(fake, 0));
	return 0;
}

static void E1_replies_keep_the_order_of_the_misses(void **state)
{
	struct fixture f;

	set_up(&f, three_misses, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	assert_int_equal(f.faults.n, 1);
	assert_int_equal(f.faults.last.iova, 0x9000);
	assert_int_equal(stats(&f).refused, 1);
	tear_down(&f);
}

static int nack_update(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!fake_send_miss(fake, 0x1000, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x1000, &update));
	MUST(!peer_reply_u64(fake->main, &update, 1));
	MUST(fake_expect_back(fake, 1));
	return 0;
}

static void E1_a_refused_update_refuses_the_miss(void **state)
{
	struct fixture f;

	set_up(&f, nack_update, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	assert_int_equal(stats(&f).updates_refused, 1);
	tear_down(&f);
}

static int access_fail(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!fake_send_iotlb(fake, VHU_IOTLB_ACCESS_FAIL, 0x5678, 2));
	MUST(fake_expect_back(fake, 0));
	return 0;
}

static void S8_an_access_failure_is_accepted_and_reported(void **state)
{
	struct fixture f;

	set_up(&f, access_fail, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	assert_int_equal(f.faults.n, 1);
	assert_true(f.faults.last.reported);
	assert_int_equal(f.faults.last.iova, 0x5678);
	assert_int_equal(f.faults.last.perm, 2);
	tear_down(&f);
}

static int nonsense(struct fake *fake, const struct message *request)
{
	struct message message;

	MUST(!peer_reply_u64(fake->main, request, 0));
	/* Wrong in what they say: refused. */
	MUST(!fake_send_miss(fake, 0x1000, 0));
	MUST(fake_expect_back(fake, 1));
	MUST(!fake_send_miss(fake, 0x1000, 7));
	MUST(fake_expect_back(fake, 1));
	MUST(!fake_send_iotlb(fake, VHU_IOTLB_UPDATE, 0x1000, 1));
	MUST(fake_expect_back(fake, 1));
	message_init(&message, VHU_BE_SHMEM_UNMAP);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.mmap);
	MUST(!peer_send(fake->back, &message));
	MUST(!peer_recv(fake->back, &message, PEER_PATIENCE));
	MUST(message.header.request == VHU_BE_SHMEM_UNMAP && message.payload.u64 == 1);
	/* No message at all: the channel is closed. */
	MUST(!peer_send_bytes(fake->back, &(char[12]){ 1, 2, 3 }, 12));
	MUST(peer_recv(fake->back, &message, PEER_PATIENCE) == -ENOTCONN);
	return 0;
}

static void nonsense_is_refused_and_garbage_closes_the_back_channel_alone(void **state)
{
	struct fixture f;
	uint8_t status;

	set_up(&f, nonsense, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	assert_int_equal(stats(&f).updates, 0);
	assert_int_equal(vhu_frontend_get_status(f.frontend, &status), 0);
	tear_down(&f);
}

static int close_back(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 0));
	fd_close(&fake->back);
	return 0;
}

static void a_back_channel_that_is_closed_is_told_of(void **state)
{
	struct fixture f;
	uint8_t status;

	set_up(&f, close_back, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	for (int ms = 0; !strstr(vhu_frontend_error(f.frontend), "back-channel"); ms += 10) {
		assert_true(ms < PEER_PATIENCE);
		assert_int_equal(vhu_frontend_run(f.frontend, 10), 0);
	}
	assert_int_equal(vhu_frontend_get_status(f.frontend, &status), 0);
	tear_down(&f);
}

#define FLOOD   3000u
#define SOON_MS 200

/* As many misses as can be sent; how many. */
static unsigned send_flood(struct fake *fake)
{
	struct message miss;
	unsigned sent;

	message_init(&miss, VHU_BE_IOTLB_MSG);
	miss.header.flags |= VHU_FLAG_NEED_REPLY;
	miss.header.size = sizeof(miss.payload.iotlb);
	miss.payload.iotlb.perm = 1;
	miss.payload.iotlb.type = VHU_IOTLB_MISS;
	for (sent = 0; sent < FLOOD; sent++) {
		miss.payload.iotlb.iova = 0x1000 * (1 + sent % 8);
		if (peer_try_send(fake->back, &miss))
			break;
	}
	return sent;
}

/* Neither UPDATEs nor replies are read while misses can still be sent. */
static int flood(struct fake *fake, const struct message *request)
{
	struct message message;
	unsigned sent, updates = 0, replies = 0;

	MUST(!peer_reply_u64(fake->main, request, 0));
	sent = send_flood(fake);
	MUST(sent > 200 && sent < FLOOD);
	while (updates < sent) {
		MUST(!peer_recv(fake->main, &message, PEER_PATIENCE));
		MUST(message.header.request == VHU_FE_IOTLB_MSG);
		MUST(!peer_reply_u64(fake->main, &message, 0));
		updates++;
	}
	while (replies < sent) {
		MUST(fake_expect_back(fake, 0));
		replies++;
	}
	return 0;
}

#define REPLY_SIZE 20u

/* All UPDATEs that come are acknowledged at once: with the last one there is room. */
static int flood_by_crowds(struct fake *fake, const struct message *request)
{
	static char bytes[FLOOD * REPLY_SIZE];
	unsigned sent, updates = 0, before;
	const uint64_t accepted = 0;
	struct message message;

	MUST(!peer_reply_u64(fake->main, request, 0));
	sent = send_flood(fake);
	for (before = 0; updates < sent; before = updates) {
		while (!peer_recv(fake->main, &message,
		                  updates > before ? SOON_MS : PEER_PATIENCE)) {
			char *reply = bytes + REPLY_SIZE * (updates++ - before);

			message.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
			message.header.size = sizeof(accepted);
			memcpy(reply, &message.header, sizeof(message.header));
			memcpy(reply + sizeof(message.header), &accepted, sizeof(accepted));
		}
		MUST(updates > before);
		MUST(!peer_send_bytes(fake->main, bytes, REPLY_SIZE * (updates - before)));
	}
	for (unsigned replies = 0; replies < sent; replies++)
		MUST(fake_expect_back(fake, 0));
	return 0;
}

/* As an event loop does: only when there is something to do. */
static void run_when_readable(struct fake *fake)
{
	struct pollfd poller = { .fd = vhu_frontend_fd(fake->frontend), .events = POLLIN };

	while (!atomic_load(&fake->scripted))
		if (poll(&poller, 1, SOON_MS))
			assert_int_equal(vhu_frontend_run(fake->frontend, 0), 0);
}

static void check_flood(fake_script *script, void (*run)(struct fake *fake))
{
	struct fixture f;
	uint8_t status;

	set_up(&f, script, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	run(f.fake);
	assert_int_equal(vhu_frontend_get_status(f.frontend, &status), 0);
	tear_down(&f);
}

static void a_flood_of_misses_is_held_back_and_served(void **state)
{
	check_flood(flood, fake_run);
	check_flood(flood, run_when_readable);
}

static void misses_that_were_held_back_are_served_when_there_is_room(void **state)
{
	check_flood(flood_by_crowds, fake_run);
	check_flood(flood_by_crowds, run_when_readable);
}

struct callback_context {
	struct fixture *fixture;
	unsigned calls;
	int result;
};

static void call_back_in(void *opaque)
{
	struct callback_context *context = opaque;

	context->calls++;
	context->result = vhu_frontend_set_status(context->fixture->frontend, 2);
}

static int change_config(struct fake *fake, const struct message *request)
{
	struct message message;

	MUST(!peer_reply_u64(fake->main, request, 0));
	message_init(&message, VHU_BE_CONFIG_CHANGE_MSG);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	MUST(!peer_send(fake->back, &message));
	MUST(!peer_recv(fake->back, &message, PEER_PATIENCE));
	MUST(message.header.request == VHU_BE_CONFIG_CHANGE_MSG && message.payload.u64 == 0);
	return 0;
}

static void callbacks_are_told_that_they_cannot_wait(void **state)
{
	struct fake_config config = fake_full;
	struct fixture f;
	struct callback_context context = { &f, 0, 0 };

	config.config_changed = call_back_in;
	config.opaque = &context;
	set_up(&f, change_config, &config);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	assert_int_equal(context.calls, 1);
	assert_int_equal(context.result, -EDEADLK);
	tear_down(&f);
}

/* INVALIDATE */

static int miss_one(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!fake_send_miss(fake, 0x2000, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x2000, &update));
	MUST(!peer_reply_u64(fake->main, &update, 0));
	MUST(fake_expect_back(fake, 0));
	return 0;
}

static int die(struct fake *fake, const struct message *request)
{
	shutdown(fake->main, SHUT_RDWR);
	return 0;
}

static int nack(struct fake *fake, const struct message *request)
{
	MUST(!peer_reply_u64(fake->main, request, 1));
	return 0;
}

static int silence(struct fake *fake, const struct message *request)
{
	return 0;
}

/* The page is on its way out: a miss for it now is refused, another is not. */
static int miss_before_ack(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(request->payload.iotlb.type == VHU_IOTLB_INVALIDATE);
	MUST(request->payload.iotlb.iova == 0x2000 && request->payload.iotlb.size == 0x1000);
	MUST(!fake_send_miss(fake, 0x2000, 1));
	MUST(fake_expect_back(fake, 1));
	MUST(!fake_send_miss(fake, 0x20000, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x20000, &update));
	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!peer_reply_u64(fake->main, &update, 0));
	MUST(fake_expect_back(fake, 0));
	return 0;
}

static const struct {
	const char *name;
	fake_script *script;
	int result;
	uint64_t exposed;
} invalidations[] = {
	{ "misses meanwhile", miss_before_ack, 0, 0 },
	{ "refused", nack, -EREMOTEIO, 0x1000 },
	{ "silence", silence, -ETIMEDOUT, 0x1000 },
	{ "death", die, -ENOTCONN, 0x1000 },
};

static void E2_unmap_returns_after_the_acknowledgement(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(invalidations); i++) {
		struct fixture f;

		print_message("  %s\n", invalidations[i].name);
		set_up(&f, miss_one, &fake_full);
		assert_int_equal(vhu_iommu_map(f.iommu, 0x20000, 0x1000, UVA, 3), 0);
		assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
		fake_run(f.fake);

		fake_set_script(f.fake, VHU_FE_IOTLB_MSG, invalidations[i].script);
		if (invalidations[i].script == silence)
			fake_set_timeout(f.fake, 50);
		assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x8000), invalidations[i].result);
		fake_run(f.fake);
		assert_int_equal(vhu_iommu_exposed(f.iommu), invalidations[i].exposed);
		if (invalidations[i].result)
			assert_non_null(strstr(vhu_frontend_error(f.frontend), "IOTLB_MSG"));
		tear_down(&f);
	}
}

static int miss_and_no_reply(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(!fake_send_miss(fake, 0x1234, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x1000, &update));
	return 0;
}

/* It may have taken the features, and with them what it asked for. */
static void E2_unmap_does_not_pass_over_a_back_end_whose_features_are_in_doubt(void **state)
{
	struct fake_config config = fake_full;
	struct fixture f = { 0 };

	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &f.iommu), 0);
	assert_int_equal(vhu_iommu_map(f.iommu, 0x1000, 0x8000, UVA, VHU_PERM_RW), 0);
	config.iommu = f.iommu;
	config.request = VHU_FE_SET_FEATURES;
	config.script = miss_and_no_reply;
	config.timeout_ms = 200;
	f.fake = fake_new(&config);
	f.frontend = f.fake->frontend;
	assert_int_equal(vhu_frontend_negotiate(f.frontend), 0);
	assert_int_equal(vhu_frontend_set_features(f.frontend, PLATFORM), -ETIMEDOUT);
	assert_int_not_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x8000), 0);
	assert_int_equal(stats(&f).invalidations, 1);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	tear_down(&f);
}

static void E2_what_was_not_given_is_unmapped_without_a_word(void **state)
{
	struct fixture f;

	set_up(&f, NULL, &fake_full);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0, 0x10000), 0);
	assert_int_equal(f.fake->kinds[VHU_FE_IOTLB_MSG], 0);
	tear_down(&f);
}

static int miss_and_die(struct fake *fake, const struct message *request)
{
	struct message update;

	MUST(!peer_reply_u64(fake->main, request, 0));
	MUST(!fake_send_miss(fake, 0x2000, 1));
	MUST(fake_expect_iotlb(fake, VHU_IOTLB_UPDATE, 0x2000, &update));
	return die(fake, request);
}

static void death_between_update_and_acknowledgement_is_noticed(void **state)
{
	struct fixture f;

	set_up(&f, miss_and_die, &fake_full);
	assert_int_equal(vhu_frontend_set_status(f.frontend, 1), 0);
	fake_run(f.fake);
	assert_int_equal(vhu_frontend_run(f.frontend, 1000), -ENOTCONN);
	assert_int_equal(vhu_iommu_unmap(f.iommu, 0x1000, 0x8000), -ENOTCONN);
	assert_int_equal(vhu_iommu_exposed(f.iommu), 0x1000);
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(E3_a_miss_is_answered_while_a_reply_is_awaited),
		cmocka_unit_test(E1_replies_keep_the_order_of_the_misses),
		cmocka_unit_test(E1_a_refused_update_refuses_the_miss),
		cmocka_unit_test(S8_an_access_failure_is_accepted_and_reported),
		cmocka_unit_test(nonsense_is_refused_and_garbage_closes_the_back_channel_alone),
		cmocka_unit_test(a_back_channel_that_is_closed_is_told_of),
		cmocka_unit_test(a_flood_of_misses_is_held_back_and_served),
		cmocka_unit_test(misses_that_were_held_back_are_served_when_there_is_room),
		cmocka_unit_test(callbacks_are_told_that_they_cannot_wait),
		cmocka_unit_test(E2_unmap_returns_after_the_acknowledgement),
		cmocka_unit_test(
			E2_unmap_does_not_pass_over_a_back_end_whose_features_are_in_doubt),
		cmocka_unit_test(E2_what_was_not_given_is_unmapped_without_a_word),
		cmocka_unit_test(death_between_update_and_acknowledgement_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
