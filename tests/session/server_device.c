/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a server asks of who makes it: configuration, fds, and a device that may
 * lack almost everything or fail. Run by hand in the test's own thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/rig.h"

/* The least of a device, and what the tests make of it. */
struct device {
	unsigned queues;
	int start_error;
	unsigned started, stopped;
	uint64_t features;
	unsigned features_set;
	unsigned sessions;
};

static unsigned max_queues(void *dev)
{
	return ((struct device *)dev)->queues;
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	vhu_request_complete(req, 0);
}

static void features_set(void *dev, uint64_t features)
{
	struct device *device = dev;

	device->features = features;
	device->features_set++;
}

static int queue_start(void *dev, struct vhu_queue *queue)
{
	struct device *device = dev;

	device->started++;
	return device->start_error;
}

static void queue_stop(void *dev, struct vhu_queue *queue)
{
	((struct device *)dev)->stopped++;
}

static int config_get(void *dev, uint32_t offset, void *buf, uint32_t len)
{
	return offset ? -EIO : 0;
}

static const struct vhu_device_ops least = {
	.name = "least",
	.max_queues = max_queues,
	.submit = submit,
};

static const struct vhu_device_ops more = {
	.name = "more",
	.max_queues = max_queues,
	.submit = submit,
	.features_set = features_set,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.config_get = config_get,
};

static void session_end(struct vhu_server *server, void *opaque)
{
	((struct device *)opaque)->sessions++;
}

/* A server on one end of a socket pair, the front-end's being in a rig for its functions. */
struct bench {
	struct device device;
	struct vhu_server *server;
	struct rig rig;
};

static void bench_init(struct bench *bench, const struct vhu_device_ops *ops, unsigned queues)
{
	struct vhu_server_config config = { .ops = ops, .session_end = session_end };
	int pair[2];

	*bench = (struct bench){ .device.queues = queues, .rig.back = -1 };
	config.dev = config.opaque = &bench->device;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	bench->rig.main = pair[0];
	assert_int_equal(vhu_server_new(&config, pair[1], &bench->server), 0);
}

static void bench_done(struct bench *bench)
{
	vhu_server_free(bench->server);
	fd_close(&bench->rig.main);
}

static void bench_run(struct bench *bench)
{
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(vhu_server_run(bench->server, 0), 0);
}

/* Sends and has it served; the reply waits in the socket. */
static void serve(struct bench *bench, const struct message *message)
{
	rig_send(&bench->rig, message);
	bench_run(bench);
}

static void serve_value(struct bench *bench, uint32_t request, uint64_t value)
{
	struct message message;

	message_init(&message, request);
	message.header.size = 8;
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.payload.u64 = value;
	serve(bench, &message);
}

static uint64_t set(struct bench *bench, uint32_t request, uint64_t value)
{
	serve_value(bench, request, value);
	return rig_expect_u64(&bench->rig, request);
}

static uint64_t get(struct bench *bench, uint32_t request)
{
	struct message message;

	message_init(&message, request);
	serve(bench, &message);
	return rig_expect_u64(&bench->rig, request);
}

static void negotiate(struct bench *bench)
{
	uint64_t wanted = get(bench, VHU_FE_GET_PROTOCOL_FEATURES) &
	                  ~VHU_BIT(VHU_PROTOCOL_F_GPA_ADDRESSES);
	uint64_t features = VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VIRTIO_F_VERSION_1);

	serve_value(bench, VHU_FE_SET_PROTOCOL_FEATURES, wanted);
	/* answered, for REPLY_ACK is among what it sets */
	assert_int_equal(rig_expect_u64(&bench->rig, VHU_FE_SET_PROTOCOL_FEATURES), 0);
	assert_int_equal(set(bench, VHU_FE_SET_FEATURES, features), 0);
}

static int new_server(const struct vhu_server_config *config, int fd)
{
	struct vhu_server *server = NULL;
	int error = vhu_server_new(config, fd, &server);

	vhu_server_free(server);
	return error;
}

static int make_listener(void)
{
	const struct sockaddr any = { .sa_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, &any, sizeof(any.sa_family)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void a_bad_configuration_is_refused_and_the_fd_kept(void **state)
{
	static const struct vhu_device_ops no_name = { .max_queues = max_queues, .submit = submit };
	static const struct vhu_device_ops no_queues = { .name = "x", .submit = submit };
	static const struct vhu_device_ops no_submit = { .name = "x", .max_queues = max_queues };
	static const struct {
		const struct vhu_device_ops *ops;
		unsigned queues;
	} cases[] = { { NULL, 1 },       { &no_name, 1 }, { &no_queues, 1 },
		      { &no_submit, 1 }, { &least, 0 },   { &least, 257 } };
	struct census before = census_take();

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct device device = { .queues = cases[i].queues };
		const struct vhu_server_config config = { .ops = cases[i].ops, .dev = &device };
		int pair[2];

		print_message("  %u\n", i);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		assert_int_equal(new_server(&config, pair[1]), -EINVAL);
		assert_true(fcntl(pair[1], F_GETFD) >= 0);
		fd_close(&pair[0]);
		fd_close(&pair[1]);
		/* and not only by the first front-end */
		pair[0] = make_listener();
		assert_int_equal(new_server(&config, pair[0]), -EINVAL);
		assert_true(fcntl(pair[0], F_GETFD) >= 0);
		fd_close(&pair[0]);
	}
	census_check(before);
}

static void only_a_unix_stream_socket_will_do(void **state)
{
	struct device device = { .queues = 1 };
	const struct vhu_server_config config = { .ops = &least, .dev = &device };
	int fds[] = { memfd_create("file", 0), socket(AF_UNIX, SOCK_DGRAM, 0),
		      socket(AF_INET, SOCK_STREAM, 0) };

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_true(new_server(&config, fds[i]) < 0);
		assert_true(fcntl(fds[i], F_GETFD) >= 0);
		fd_close(&fds[i]);
	}
	assert_int_equal(new_server(&config, -1), -EBADF);
}

static void the_most_queues_are_256(void **state)
{
	struct bench bench;

	bench_init(&bench, &least, 256);
	negotiate(&bench);
	assert_int_equal(get(&bench, VHU_FE_GET_QUEUE_NUM), 256);
	bench_done(&bench);
}

static void a_device_without_configuration_does_not_offer_it(void **state)
{
	struct bench bench;
	struct message message, reply;

	bench_init(&bench, &least, 1);
	assert_false(get(&bench, VHU_FE_GET_PROTOCOL_FEATURES) & VHU_BIT(VHU_PROTOCOL_F_CONFIG));
	negotiate(&bench);
	message_init(&message, VHU_FE_GET_CONFIG);
	message.header.size = VHU_CONFIG_HEADER;
	serve(&bench, &message);
	rig_recv(&bench.rig, &reply);
	assert_int_equal(reply.header.size, 0);
	bench_done(&bench);
}

static void the_devices_refusal_is_the_replys(void **state)
{
	struct bench bench;
	struct message message, reply;

	bench_init(&bench, &more, 1);
	negotiate(&bench);
	for (uint32_t offset = 0; offset < 2; offset++) {
		message_init(&message, VHU_FE_GET_CONFIG);
		message.header.size = VHU_CONFIG_HEADER;
		message.payload.config.offset = offset;
		message.payload.config.size = 4;
		serve(&bench, &message);
		rig_recv(&bench.rig, &reply);
		assert_int_equal(reply.header.size, offset ? 0 : VHU_CONFIG_HEADER + 4);
	}
	/* nothing of its configuration can be written */
	message_init(&message, VHU_FE_SET_CONFIG);
	message.header.size = VHU_CONFIG_HEADER;
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	serve(&bench, &message);
	assert_int_not_equal(rig_expect_u64(&bench.rig, VHU_FE_SET_CONFIG), 0);
	bench_done(&bench);
}

static void the_device_is_told_of_features_each_time(void **state)
{
	uint64_t features = VHU_BIT(VHU_F_PROTOCOL_FEATURES) | VHU_BIT(VIRTIO_F_VERSION_1);
	struct bench bench;

	bench_init(&bench, &more, 1);
	negotiate(&bench);
	assert_int_equal(bench.device.features_set, 1);
	assert_int_equal(bench.device.features, features);
	assert_int_not_equal(set(&bench, VHU_FE_SET_FEATURES, features | VHU_BIT(7)), 0);
	assert_int_equal(bench.device.features_set, 1);
	assert_int_equal(set(&bench, VHU_FE_SET_FEATURES, features), 0);
	assert_int_equal(bench.device.features_set, 2);
	bench_done(&bench);
}

static uint64_t set_fd(struct bench *bench, uint32_t request, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = 8;
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.fds[0] = fd;
	message.n_fds = 1;
	serve(bench, &message);
	return rig_expect_u64(&bench->rig, request);
}

/* Everything for ring 0; what the message that starts it was answered. */
static uint64_t start_ring(struct bench *bench, int kick, int err)
{
	struct message message;

	assert_int_equal(set(bench, VHU_FE_SET_VRING_NUM, UINT64_C(16) << 32), 0);
	message_init(&message, VHU_FE_SET_VRING_ADDR);
	message.header.size = sizeof(message.payload.addr);
	message.payload.addr.used = 4096;
	serve(bench, &message);
	set_fd(bench, VHU_FE_SET_VRING_ERR, err);
	set_fd(bench, VHU_FE_SET_VRING_KICK, kick);
	return set(bench, VHU_FE_SET_VRING_ENABLE, UINT64_C(1) << 32);
}

static void a_queue_the_device_cannot_start_stays_stopped(void **state)
{
	struct census before = census_take();
	struct bench bench;
	int kick, err;

	assert_int_equal(fd_event(&kick), 0);
	assert_int_equal(fd_event(&err), 0);
	bench_init(&bench, &more, 1);
	negotiate(&bench);
	bench.device.start_error = -ENOSPC;
	assert_int_not_equal(start_ring(&bench, kick, err), 0);
	assert_int_equal(bench.device.started, 1);
	assert_true(fd_drain(err));
	/* The session goes on, and a new kick fd is a new try. */
	bench.device.start_error = 0;
	assert_int_equal(set_fd(&bench, VHU_FE_SET_VRING_KICK, kick), 0);
	assert_int_equal(bench.device.started, 2);
	assert_int_equal(bench.device.stopped, 0);
	vhu_server_stop(bench.server);
	bench_run(&bench);
	assert_true(vhu_server_done(bench.server));
	assert_int_equal(bench.device.stopped, 1);
	assert_int_equal(bench.device.sessions, 1);
	bench_done(&bench);
	fd_close(&kick);
	fd_close(&err);
	census_check(before);
}

static void a_server_may_be_freed_in_the_midst_of_a_session(void **state)
{
	struct census before = census_take();
	struct bench bench;
	int kick, err;

	assert_int_equal(fd_event(&kick), 0);
	assert_int_equal(fd_event(&err), 0);
	bench_init(&bench, &more, 2);
	negotiate(&bench);
	assert_int_equal(start_ring(&bench, kick, err), 0);
	vhu_server_free(bench.server);
	assert_int_equal(bench.device.sessions, 1);
	assert_int_equal(bench.device.stopped, 1);
	rig_expect_closed(&bench.rig);
	fd_close(&bench.rig.main);
	fd_close(&kick);
	fd_close(&err);
	census_check(before);
	vhu_server_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_configuration_is_refused_and_the_fd_kept),
		cmocka_unit_test(only_a_unix_stream_socket_will_do),
		cmocka_unit_test(the_most_queues_are_256),
		cmocka_unit_test(a_device_without_configuration_does_not_offer_it),
		cmocka_unit_test(the_devices_refusal_is_the_replys),
		cmocka_unit_test(the_device_is_told_of_features_each_time),
		cmocka_unit_test(a_queue_the_device_cannot_start_stays_stopped),
		cmocka_unit_test(a_server_may_be_freed_in_the_midst_of_a_session),
	};

	return cmocka_run_group_tests_name("session/server_device", tests, NULL, NULL);
}
