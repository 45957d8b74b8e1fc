/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole back-end against a front-end and a driver that do whatever the input
 * says. Its workers, if it has any, are run in the same thread, in an order of
 * the input's choice.
 *
 * After each step the session's and the rings' invariants hold, and no memory has
 * changed that the front-end has not given or has got back (told.h). In the end
 * it still answers, falls silent, and leaves no fd behind.
 */
#include "backend.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <vhu/log.h>
#include <vhu/sigbus.h>

#include "base/fd.h"

#define STEPS_MAX 250u

/* All that is offered, and known to it. */
#define PROTOCOL                                                                 \
	(VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) |        \
	 VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |  \
	 VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE) | VHU_BIT(VHU_PROTOCOL_F_STATUS) | \
	 VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES))

#define FDS_MAX 256

/* What decides about a run before its first step. */
enum {
	RUN_WORKERS = 3,
	RUN_SMALL_CACHE = 4,
	RUN_DEBUG_LOG = 8,
	RUN_SMALL_BUFFERS = 16,
	RUN_NO_HINTS = 32,
	RUN_STATUS = 64,
	RUN_BY_ITSELF = 128,
	RUN_LISTENING = 256,
};

static struct pollfd fds_before[FDS_MAX];
/* FUZZ_LOG in the environment: for a person who looks at one input. */
static bool loud;

static void look_at_fds(struct pollfd *fds)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		fds[fd] = (struct pollfd){ .fd = fd };
	assert_true(poll(fds, FDS_MAX, 0) >= 0);
}

static void expect_fds_as_before(void)
{
	struct pollfd fds[FDS_MAX];

	look_at_fds(fds);
	for (int fd = 0; fd < FDS_MAX; fd++)
		if ((fds[fd].revents & POLLNVAL) != (fds_before[fd].revents & POLLNVAL))
			fail_msg("fd %d was left behind, or closed", fd);
}

static void take_line(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	assert_true(strlen(subject) < 100 && strlen(text) < 600);
	if (loud)
		fprintf(stderr, "%s: %s\n", subject, text);
}

static void check(struct play *play)
{
	const struct session *session = server_session(play->server);
	struct vhu_stats stats;

	peer_check_memory(play);
	vhu_server_stats(play->server, &stats);
	assert_true(stats.iotlb_entries <= 64);
	if (!session)
		return;
	assert_true(session_check(session));
	for (unsigned i = 0; i < session->n_rings; i++)
		if (session->rings[i].queue)
			assert_true(vring_check(&session->rings[i].queue->ring));
}

static void run_server(struct play *play)
{
	assert_int_equal(vhu_server_run(play->server, 0), 0);
	check(play);
	if (!server_session(play->server) && !play->reconnected)
		told_end(&play->told);
}

static void run_worker(struct play *play, unsigned worker)
{
	if (!play->n_workers)
		return;
	assert_int_equal(vhu_worker_run(play->workers[worker % play->n_workers], 0), 0);
	check(play);
}

static void run_all(struct play *play)
{
	run_server(play);
	for (unsigned i = 0; i < play->n_workers; i++)
		run_worker(play, i);
	run_server(play);
	peer_hear(play);
}

static void open_session(struct play *play)
{
	unsigned how = input_u8(play->input);
	uint64_t protocol = PROTOCOL, features = VHU_BIT(VHU_F_PROTOCOL_FEATURES);
	struct message memory;

	if (how & 1)
		features |= VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
	if (how & 2)
		features |= VHU_BIT(SESSION_F_EVENT_IDX);
	if (how & 4)
		features |= VHU_BIT(SESSION_F_INDIRECT_DESC);
	if (how & 8)
		protocol &= ~VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK);
	if (!(how & 16))
		protocol &= ~VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES);
	peer_say_u64(play, VHU_FE_SET_PROTOCOL_FEATURES, protocol);
	if (!(how & 32))
		peer_say_fd(play, VHU_FE_SET_BACKEND_REQ_FD, 0);
	peer_say_u64(play, VHU_FE_SET_FEATURES, features);
	message_init(&memory, VHU_FE_SET_MEM_TABLE);
	memory.header.size = 8 + 32 * FILES;
	memory.payload.memory.n = FILES;
	for (unsigned i = 0; i < FILES; i++) {
		memory.payload.memory.regions[i] = (struct vhu_memory_region){
			.gpa = i * FILE_SIZE,
			.size = FILE_SIZE,
			.uva = (how & 16 ? 0 : UVA) + i * FILE_SIZE,
		};
		memory.fds[i] = peer_fd(play, VHU_FE_SET_MEM_TABLE, i, 0);
	}
	memory.n_fds = FILES;
	peer_say(play, &memory);
}

static void start_ring(struct play *play)
{
	/* In one page; across two in the descriptor table, the available ring, the used one. */
	static const uint16_t offsets[] = { 0, PAGE - 64, PAGE - 16 - RING_AVAIL,
		                            PAGE - 16 - RING_USED };
	unsigned how = input_u8(play->input), q = how & 1;
	uint64_t page = (how & 64 ? 3 : 1) * q * PAGE, base = page + offsets[how / 16 % 4];
	struct message addr;

	play->ring_gpa[q] = base;
	if (how & 4)
		peer_say_iotlb(play, VHU_IOTLB_UPDATE, page, PAGE, UVA + page, PERM_RW);
	base += how & 2 ? 0 : UVA;
	peer_say_state(play, VHU_FE_SET_VRING_NUM, q, RING_NUM);
	peer_say_state(play, VHU_FE_SET_VRING_BASE, q, 0);
	message_init(&addr, VHU_FE_SET_VRING_ADDR);
	addr.header.size = sizeof(addr.payload.addr);
	addr.payload.addr = (struct vhu_vring_addr){
		.index = q, .desc = base, .avail = base + RING_AVAIL, .used = base + RING_USED
	};
	peer_say(play, &addr);
	peer_say_fd(play, VHU_FE_SET_VRING_CALL, q);
	peer_say_fd(play, VHU_FE_SET_VRING_ERR, q);
	peer_say_fd(play, VHU_FE_SET_VRING_KICK, q);
	if (!(how & 8))
		peer_say_state(play, VHU_FE_SET_VRING_ENABLE, q, 1);
}

/* Pages of iova stand for any pages of memory. */
static void map(struct play *play)
{
	unsigned what = input_u8(play->input), target = input_u8(play->input);
	uint64_t size = (1 + target / 8 % 4) * PAGE;

	if (target & 128)
		size -= input_u16(play->input) % PAGE;
	peer_say_iotlb(play, VHU_IOTLB_UPDATE, what % 16 * PAGE, size, UVA + target % 8 * PAGE,
	               (uint8_t)(what / 16 % 4));
}

static void unmap(struct play *play)
{
	unsigned what = input_u8(play->input);
	uint64_t iova = what % 16 * PAGE, size = (1 + what / 16 % 8) * PAGE;

	if (what == 255)
		iova = size = 0;
	else if (what & 128)
		iova += input_u16(play->input) % PAGE;
	peer_say_iotlb(play, VHU_IOTLB_INVALIDATE, iova, size, 0, 0);
}

static void send_raw(struct play *play, struct end *end)
{
	unsigned char bytes[64];
	unsigned n = 1 + input_below(play->input, sizeof(bytes));

	input_bytes(play->input, bytes, n);
	end_send_bytes(end, bytes, n);
	play->garbled = true;
}

/* The next front-end, who knows nothing of what was said before. */
static void reconnect(struct play *play)
{
	if (!play->listens)
		return;
	end_close(&play->main);
	end_close(&play->back);
	end_take(&play->main, peer_connect());
	play->n_said = play->n_misses = 0;
	play->garbled = false;
	play->reconnected = play->told.lost = true;
}

static void connect_second(struct play *play)
{
	fd_close(&play->second);
	if (play->listens)
		play->second = peer_connect();
}

/* A part of a file is gone while the back-end has its turn. */
static void cut_memory(struct play *play)
{
	unsigned what = input_u8(play->input), file = what % FILES;
	uint64_t size = what / FILES % 4 * PAGE;

	peer_cut(file, size);
	run_all(play);
	if (what & 64)
		device_release(play, UINT32_MAX, false);
	run_all(play);
	peer_restore(file);
}

static void close_something(struct play *play)
{
	switch (input_below(play->input, 8)) {
	case 6:
	case 7: cut_memory(play); break;
	case 4: reconnect(play); break;
	case 5: connect_second(play); break;
	case 0: end_close(&play->back); break;
	case 1: end_close(&play->main); break;
	case 2:
		if (play->main.fd >= 0)
			shutdown(play->main.fd, SHUT_WR);
		break;
	default: play->deaf = !play->deaf; break;
	}
}

static void handle_device(struct play *play)
{
	unsigned what = input_u8(play->input);

	switch (what % 6) {
	case 0: play->holds = !play->holds; break;
	case 1: device_release(play, 1 + what / 8, what & 64); break;
	case 2: device_release_later(play); break;
	case 3: play->fails = !play->fails; break;
	case 4: vhu_server_config_changed(play->server); break;
	default: device_release(play, UINT32_MAX, false); break;
	}
}

static void run_something(struct play *play)
{
	unsigned what = input_u8(play->input);

	switch (what % 4) {
	case 0: run_all(play); break;
	case 1: run_server(play); break;
	case 2: run_worker(play, what / 4); break;
	default: peer_hear(play); break;
	}
}

static void step(struct play *play)
{
	switch (input_below(play->input, 20)) {
	case 0: open_session(play); break;
	case 1: start_ring(play); break;
	case 2:
	case 3: message_step(play); break;
	case 4: map(play); break;
	case 5: unmap(play); break;
	case 6: peer_grant(play); break;
	case 7: peer_answer(play, input_below(play->input, 2)); break;
	case 8: ring_write_desc(play); break;
	case 9: ring_show(play); break;
	case 10: ring_jump(play); break;
	case 11: ring_poke(play); break;
	case 12:
	case 13: ring_request(play); break;
	case 14: handle_device(play); break;
	case 15: run_something(play); break;
	case 16: send_raw(play, &play->main); break;
	case 17: send_raw(play, &play->back); break;
	case 18: close_something(play); break;
	default: peer_say_state(play, VHU_FE_GET_VRING_BASE, input_below(play->input, 2), 0); break;
	}
}

static bool is_idle(const struct play *play)
{
	struct pollfd fds[1 + WORKERS_MAX] = { { vhu_server_fd(play->server), POLLIN, 0 } };

	for (unsigned i = 0; i < play->n_workers; i++)
		fds[i + 1] = (struct pollfd){ vhu_worker_fd(play->workers[i]), POLLIN, 0 };
	return poll(fds, 1 + play->n_workers, 0) == 0;
}

/* Runs until there is nothing to do; who never rests would use up a CPU. */
static void run_until_idle(struct play *play)
{
	for (unsigned n = 0; n < 200; n++) {
		run_all(play);
		device_release(play, UINT32_MAX, false);
		if (is_idle(play))
			return;
	}
	fail_msg("it never rests");
}

/* S5: with whatever misses unanswered, it answers. */
static void expect_answer(struct play *play)
{
	struct message message;
	unsigned before = play->n_heard;

	if (play->garbled || play->main.fd < 0 || play->n_said == SAID_MAX)
		return;
	message_init(&message, VHU_FE_GET_FEATURES);
	peer_say(play, &message);
	run_until_idle(play);
	assert_true(play->main.fd < 0 || play->n_heard > before);
}

/* Whether a ring that can go on has something to do. */
static bool is_busy(const struct play *play)
{
	const struct session *session = server_session(play->server);

	for (unsigned i = 0; session && i < session->n_rings; i++) {
		const struct vhu_queue *queue = session->rings[i].queue;

		if (queue && queue->enabled && !queue->broken && !queue->halted &&
		    (queue->n_ahead || queue->owed))
			return true;
	}
	return false;
}

/* A front-end that answers all it is asked sees all requests end, whatever happened before. */
static void expect_progress(struct play *play)
{
	const struct session *session = server_session(play->server);

	/* Who is not told that something is refused waits for it. */
	if (play->garbled || !session || !session_has(session, VHU_PROTOCOL_F_REPLY_ACK))
		return;
	for (unsigned q = 0; q < QUEUES; q++)
		peer_kick(q);
	for (unsigned n = 0; n < 500; n++) {
		run_all(play);
		device_release(play, UINT32_MAX, false);
		if (is_idle(play) && !play->n_misses)
			break;
		for (unsigned left = play->n_misses; left; left--)
			peer_grant(play);
	}
	assert_false(is_busy(play));
}

static void end(struct play *play)
{
	play->deaf = play->holds = false;
	device_release(play, UINT32_MAX, false);
	run_until_idle(play);
	expect_answer(play);
	expect_progress(play);
	run_until_idle(play);
	end_close(&play->main);
	fd_close(&play->second);
	if (play->listens)
		vhu_server_stop(play->server);
	run_until_idle(play);
	assert_true(vhu_server_done(play->server));
	assert_int_equal(play->n_device, 0);
	vhu_server_free(play->server);
	for (unsigned i = 0; i < play->n_workers; i++)
		vhu_worker_free(play->workers[i]);
	end_close(&play->back);
	peer_check_memory(play);
}

static void begin(struct play *play, unsigned how)
{
	static const uint64_t entries[] = { 1, 2, 3, 7 };
	struct vhu_server_config config = {
		.ops = &device_ops,
		.dev = play,
		.workers = play->workers,
		.iotlb_entries = 64,
		.no_miss_hints = how & RUN_NO_HINTS,
	};
	int small = 1, other;

	if ((how & RUN_WORKERS) > 1)
		play->n_workers = config.n_workers = (how & RUN_WORKERS) - 1;
	if (how & RUN_SMALL_CACHE)
		config.iotlb_entries = entries[input_below(play->input, 4)];
	vhu_log_set(loud || how & RUN_DEBUG_LOG ? take_line : NULL, NULL, VHU_LOG_DEBUG);
	device_ops.status_len = how & RUN_STATUS ? 1 : 0;
	play->runs_itself = how & RUN_BY_ITSELF;
	play->small_buffers = how & RUN_SMALL_BUFFERS;
	play->listens = how & RUN_LISTENING;
	play->second = -1;
	play->ring_gpa[1] = PAGE;
	for (unsigned i = 0; i < play->n_workers; i++)
		assert_int_equal(vhu_worker_new(&play->workers[i]), 0);
	if (play->listens) {
		other = peer_listen();
		end_take(&play->main, peer_connect());
	} else {
		end_open(&play->main, &other);
	}
	if (play->small_buffers)
		setsockopt(other, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	end_take(&play->back, -1);
	assert_int_equal(vhu_server_new(&config, other, &play->server), 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	loud = getenv("FUZZ_LOG") != NULL;
	fuzz_init();
	assert_int_equal(vhu_sigbus_install(), 0);
	peer_init();
	device_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct play play;
	struct input input = { data, size };

	look_at_fds(fds_before);
	peer_reset();
	memset(&play, 0, sizeof(play));
	play.input = &input;
	list_init(&play.held);
	begin(&play, input_u16(&input));
	for (unsigned n = 0; n < STEPS_MAX && !input_is_over(&input); n++) {
		step(&play);
		if (play.runs_itself)
			run_all(&play);
	}
	end(&play);
	expect_fds_as_before();
	return 0;
}
