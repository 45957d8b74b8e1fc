/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that completes requests when nobody expects it: after the ring next
 * to it has been taken away, in another queue's turn, outside of the loop. The
 * server is run by hand in the test's own thread, so that each step is certain.
 */
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

#define RING(q)    (UINT64_C(0x10000) * (1 + (q)))
#define REGION     (UINT64_C(4) << 20)
#define REGIONS    3u
#define PAGE       UINT64_C(4096)
#define NUM        16u
#define HELD_MAX   8u
#define PATIENCE_S 20

struct yard {
	int main;
	struct vhu_server *server;
	struct vhu_guestmem *mem;
	char *memory;
	struct {
		struct vring_driver *driver;
		int kick;
	} rings[2];

	/* the device */
	bool hold;
	struct vhu_request *held[HELD_MAX];
	unsigned n_held;
	unsigned finish_at_submit; /* of queue 0: complete this many held ones first */
};

static void complete_first(struct yard *yard)
{
	struct vhu_request *request = yard->held[0];

	assert_true(yard->n_held > 0);
	memmove(yard->held, yard->held + 1, --yard->n_held * sizeof(yard->held[0]));
	memset(request->in[0].iov_base, RIG_FILL, request->in[0].iov_len);
	vhu_request_complete(request, (uint32_t)request->in_len);
}

static unsigned max_queues(void *dev)
{
	return 2;
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *request)
{
	struct yard *yard = dev;

	if (vhu_queue_index(queue) == 0)
		for (; yard->finish_at_submit; yard->finish_at_submit--)
			complete_first(yard);
	assert_true(yard->n_held < HELD_MAX);
	yard->held[yard->n_held++] = request;
	if (!yard->hold)
		complete_first(yard);
}

static const struct vhu_device_ops ops = {
	.name = "yard",
	.max_queues = max_queues,
	.submit = submit,
};

static void run(struct yard *yard)
{
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(vhu_server_run(yard->server, 0), 0);
}

static void send_message(struct yard *yard, struct message *message)
{
	message->header.flags |= VHU_FLAG_NEED_REPLY;
	assert_int_equal(peer_send(yard->main, message), 0);
	run(yard);
}

static bool is_answered(struct yard *yard, uint32_t request)
{
	struct message reply;
	int error = peer_recv(yard->main, &reply, 0);

	if (error)
		return false;
	assert_int_equal(reply.header.request, request);
	return true;
}

static void call(struct yard *yard, struct message *message)
{
	struct message reply;

	send_message(yard, message);
	assert_int_equal(peer_recv(yard->main, &reply, 0), 0);
	assert_int_equal(reply.header.request, message->header.request);
}

static void set_u64(struct yard *yard, uint32_t request, uint64_t value, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(value);
	message.payload.u64 = value;
	message.fds[0] = fd;
	message.n_fds = fd >= 0;
	call(yard, &message);
}

static void send_state(struct yard *yard, uint32_t request, uint32_t index, uint32_t num)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.state);
	message.payload.state = (struct vhu_vring_state){ index, num };
	send_message(yard, &message);
}

static void set_state(struct yard *yard, uint32_t request, uint32_t index, uint32_t num)
{
	send_state(yard, request, index, num);
	assert_true(is_answered(yard, request));
}

static struct vhu_memory_region region(const struct yard *yard, unsigned i)
{
	return (struct vhu_memory_region){
		.gpa = i * REGION,
		.size = REGION,
		.uva = (uintptr_t)yard->memory + i * REGION,
	};
}

static void share(struct yard *yard)
{
	unsigned n;
	const struct vhu_region *regions = vhu_guestmem_regions(yard->mem, &n);
	struct message message;

	message_init(&message, VHU_FE_SET_MEM_TABLE);
	message.header.size = 8 + REGIONS * sizeof(struct vhu_memory_region);
	message.payload.memory.n = message.n_fds = REGIONS;
	for (unsigned i = 0; i < REGIONS; i++) {
		message.payload.memory.regions[i] = region(yard, i);
		message.fds[i] = regions[i].fd;
	}
	call(yard, &message);
}

/* Removes a region; the reply is left to the caller. */
static void send_removal(struct yard *yard, unsigned i)
{
	struct message message;

	message_init(&message, VHU_FE_REM_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = region(yard, i);
	send_message(yard, &message);
}

static void start(struct yard *yard, unsigned q)
{
	char *mem = yard->memory + RING(q);
	const struct vring_driver_config config = {
		.num = NUM,
		.desc = mem,
		.avail = mem + PAGE,
		.used = mem + 2 * PAGE,
	};
	struct message message;

	assert_int_equal(vring_driver_new(&config, &yard->rings[q].driver), 0);
	set_state(yard, VHU_FE_SET_VRING_NUM, q, NUM);
	message_init(&message, VHU_FE_SET_VRING_ADDR);
	message.header.size = sizeof(message.payload.addr);
	message.payload.addr = (struct vhu_vring_addr){
		.index = q,
		.desc = (uintptr_t)mem,
		.avail = (uintptr_t)mem + PAGE,
		.used = (uintptr_t)mem + 2 * PAGE,
	};
	call(yard, &message);
	assert_int_equal(fd_event(&yard->rings[q].kick), 0);
	set_u64(yard, VHU_FE_SET_VRING_KICK, q, yard->rings[q].kick);
	set_state(yard, VHU_FE_SET_VRING_ENABLE, q, 1);
}

static void yard_init(struct yard *yard)
{
	const struct vhu_server_config config = { .ops = &ops, .dev = yard };
	const uint64_t sizes[REGIONS] = { REGION, REGION, REGION };
	int pair[2];

	/* What is tested here may never end. */
	alarm(PATIENCE_S);
	*yard = (struct yard){ .hold = false };
	assert_int_equal(vhu_guestmem_new(sizes, REGIONS, &yard->mem), 0);
	yard->memory = vhu_guestmem_ptr(yard->mem, 0, REGIONS * REGION);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	yard->main = pair[0];
	assert_int_equal(vhu_server_new(&config, pair[1], &yard->server), 0);
	set_u64(yard, VHU_FE_SET_PROTOCOL_FEATURES,
	        VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) | VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS),
	        -1);
	set_u64(yard, VHU_FE_SET_FEATURES,
	        VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VIRTIO_F_VERSION_1), -1);
	share(yard);
	start(yard, 0);
	start(yard, 1);
}

static void yard_done(struct yard *yard)
{
	fd_close(&yard->main);
	while (yard->n_held)
		complete_first(yard);
	vhu_server_free(yard->server);
	for (unsigned q = 0; q < 2; q++) {
		vring_driver_free(yard->rings[q].driver);
		fd_close(&yard->rings[q].kick);
	}
	vhu_guestmem_free(yard->mem);
	alarm(0);
}

/* A request for the device to fill a page. */
static void ask(struct yard *yard, unsigned q, uint64_t gpa)
{
	const struct vring_buffer buffer = { gpa, (uint32_t)PAGE, true };

	assert_int_equal(vring_driver_add(yard->rings[q].driver, &buffer, 1, yard), 0);
	vring_driver_kick_needed(yard->rings[q].driver);
	assert_int_equal(fd_signal(yard->rings[q].kick), 0);
}

static bool is_used(struct yard *yard, unsigned q)
{
	uint32_t written;
	void *token;
	int error = 0;
	bool used = vring_driver_get(yard->rings[q].driver, &token, &written, &error);

	assert_int_equal(error, 0);
	return used;
}

static bool is_readable(struct yard *yard)
{
	struct pollfd poller = { .fd = vhu_server_fd(yard->server), .events = POLLIN };

	return poll(&poller, 1, 0) == 1;
}

/*
 * While one ring's request is waited for, another one, which was not mapped when
 * the waiting began, may not begin what nobody would wait for.
 */
static void I2_nothing_begins_while_memory_is_being_removed(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard);
	/* All rings are mapped anew after this, but an idle one not before its next kick. */
	send_removal(&yard, 2);
	assert_true(is_answered(&yard, VHU_FE_REM_MEM_REG));
	yard.hold = true;
	ask(&yard, 0, RING(4));
	run(&yard);
	assert_int_equal(yard.n_held, 1);
	send_removal(&yard, 1);
	assert_false(is_answered(&yard, VHU_FE_REM_MEM_REG));
	ask(&yard, 1, REGION);
	run(&yard);
	complete_first(&yard);
	run(&yard);
	/* Answered, unless another request is under way. */
	assert_int_equal(is_answered(&yard, VHU_FE_REM_MEM_REG), yard.n_held == 0);
	while (yard.n_held)
		complete_first(&yard);
	run(&yard);
	assert_true(is_used(&yard, 0));
	yard_done(&yard);
}

static void a_queue_ends_in_the_turn_of_another(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard);
	yard.hold = true;
	ask(&yard, 1, RING(4));
	run(&yard);
	send_state(&yard, VHU_FE_GET_VRING_BASE, 1, 0);
	assert_false(is_answered(&yard, VHU_FE_GET_VRING_BASE));
	yard.finish_at_submit = 1;
	ask(&yard, 0, RING(5));
	run(&yard);
	assert_true(is_answered(&yard, VHU_FE_GET_VRING_BASE));
	assert_true(is_used(&yard, 1));
	complete_first(&yard);
	run(&yard);
	assert_true(is_used(&yard, 0));
	yard_done(&yard);
}

/* The embedder sleeps on the server's fd and on others, from which a device may come. */
static void what_is_completed_outside_of_the_loop_wakes_it(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard);
	yard.hold = true;
	ask(&yard, 0, RING(4));
	run(&yard);
	assert_false(is_readable(&yard));
	complete_first(&yard);
	assert_true(is_readable(&yard));
	run(&yard);
	assert_true(is_used(&yard, 0));
	assert_false(is_readable(&yard));
	yard_done(&yard);
}

static void a_stop_from_outside_of_the_loop_wakes_it(void **state)
{
	struct yard yard;

	(void)state;
	yard_init(&yard);
	run(&yard);
	assert_false(is_readable(&yard));
	vhu_server_stop(yard.server);
	while (!vhu_server_done(yard.server)) {
		assert_true(is_readable(&yard));
		assert_int_equal(vhu_server_run(yard.server, 0), 0);
	}
	yard_done(&yard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(I2_nothing_begins_while_memory_is_being_removed),
		cmocka_unit_test(a_queue_ends_in_the_turn_of_another),
		cmocka_unit_test(what_is_completed_outside_of_the_loop_wakes_it),
		cmocka_unit_test(a_stop_from_outside_of_the_loop_wakes_it),
	};

	return cmocka_run_group_tests_name("session/hostile_device", tests, NULL, NULL);
}
