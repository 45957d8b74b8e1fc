/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: the device's configuration. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "io.h"
#include "suite_backend.h"

#define CONFIG      VHU_BIT(VHU_PROTOCOL_F_CONFIG)
#define REPLY_ACK   VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK)
#define WRITE_CACHE (VHU_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VHU_BIT(VIRTIO_BLK_F_FLUSH))

static void open_plain(struct front *f)
{
	front_open(f, &(struct front_setup){ .no_memory = true });
}

/* The bytes, which must be as many as were asked for. */
static struct vhu_config read_config(struct front *f, uint32_t offset, uint32_t size)
{
	struct message message = msg_config(VHU_FE_GET_CONFIG, offset, size, 0), reply;

	front_send(f, &message);
	reply = expect_reply(f, VHU_FE_GET_CONFIG);
	EXPECT_EQUAL(f, reply.header.size, VHU_CONFIG_HEADER + size, "size of the reply");
	EXPECT_EQUAL(f, reply.payload.config.offset, offset, "offset in the reply");
	EXPECT_EQUAL(f, reply.payload.config.size, size, "size in the reply's payload");
	return reply.payload.config;
}

static void read_some(struct front *f)
{
	open_plain(f);
	read_config(f, 0, 8);
}

/* What virtio 1.1 has of a disk; later versions append. */
#define DISK_CONFIG 60u

static void read_whole(struct front *f)
{
	open_plain(f);
	read_config(f, 0, DISK_CONFIG);
}

static void read_first_of_all(struct front *f)
{
	front_connect(f);
	f->offered = front_get_u64(f, VHU_FE_GET_FEATURES);
	front_get_u64(f, VHU_FE_GET_PROTOCOL_FEATURES);
	front_send_u64(f, VHU_FE_SET_PROTOCOL_FEATURES, CONFIG | REPLY_ACK);
	NOTE(f, "before SET_OWNER and SET_FEATURES");
	read_config(f, 0, 8);
}

static void parts_fit(struct front *f)
{
	struct vhu_config whole, part;

	open_plain(f);
	whole = read_config(f, 0, 24);
	for (uint32_t at = 0; at < 24; at += 4) {
		part = read_config(f, at, 4);
		EXPECT(f, !memcmp(part.bytes, whole.bytes + at, 4),
		       "the same bytes at offset %u as in the whole: they differ", at);
	}
}

static void capacity(struct front *f)
{
	struct virtio_blk_config disk = { 0 };
	struct vhu_config config;

	open_plain(f);
	config = read_config(f, 0, DISK_CONFIG);
	memcpy(&disk, config.bytes, DISK_CONFIG);
	EXPECT(f, disk.capacity > 0, "a disk of more than no sectors");
	if (f->offered & VHU_BIT(VIRTIO_BLK_F_BLK_SIZE))
		EXPECT(f, disk.blk_size >= 512 && !(disk.blk_size & (disk.blk_size - 1)),
		       "a block size that is a power of two: it is %u", disk.blk_size);
	if (f->offered & VHU_BIT(VIRTIO_BLK_F_MQ))
		EXPECT_EQUAL(f, disk.num_queues, f->subject->queues,
		             "num_queues in the configuration, as GET_QUEUE_NUM has told");
}

/* An empty reply is an error; so is a refusal, or the end. */
static void must_not_be_read(struct front *f, const struct message *message)
{
	struct message reply;
	int error;

	front_send(f, message);
	error = link_recv(&f->main, &reply, (int)f->trial->patience_ms);
	if (!error)
		message_close_fds(&reply);
	EXPECT(f, error != -ETIMEDOUT, "an answer: there is none");
	EXPECT(f, error || reply.header.size <= VHU_CONFIG_HEADER,
	       "an error, which is an empty reply: there are %u bytes", reply.header.size);
	expect_serves_anew(f);
}

static void beyond_the_end(struct front *f)
{
	struct message message = msg_config(VHU_FE_GET_CONFIG, 250, 64, 0);

	open_plain(f);
	must_not_be_read(f, &message);
}

static void far_beyond_the_end(struct front *f)
{
	struct message message = msg_config(VHU_FE_GET_CONFIG, 0xfffffff0, 0x20, 0);

	open_plain(f);
	must_not_be_read(f, &message);
}

static void size_that_lies(struct front *f)
{
	struct message message = msg_config(VHU_FE_GET_CONFIG, 0, 8, 0);

	open_plain(f);
	message.payload.config.size = 0x10000;
	must_not_be_read(f, &message);
}

static void set_beyond_the_end(struct front *f)
{
	struct message message = msg_config(VHU_FE_SET_CONFIG, 250, 64, 0);

	open_plain(f);
	expect_refused_and_serves(f, &message);
}

static void capacity_is_not_written(struct front *f)
{
	struct message message = msg_config(VHU_FE_SET_CONFIG, 0, 8, 0);
	struct vhu_config before, after;

	open_plain(f);
	before = read_config(f, 0, 8);
	memset(message.payload.config.bytes, 0x5a, 8);
	if (!front_try(f, &message))
		NOTE(f, "it is refused");
	front_open(f, &(struct front_setup){ .no_memory = true });
	after = read_config(f, 0, 8);
	EXPECT(f, !memcmp(before.bytes, after.bytes, 8),
	       "the capacity to stay as it was after a driver has written it");
}

static void write_cache(struct front *f)
{
	uint32_t at = offsetof(struct virtio_blk_config, wce);
	struct message message = msg_config(VHU_FE_SET_CONFIG, at, 1, 0);
	unsigned char before;

	front_open(f, &(struct front_setup){ .features = WRITE_CACHE });
	before = read_config(f, at, 1).bytes[0];
	for (unsigned i = 0; i < 2; i++) {
		message.payload.config.bytes[0] = !i;
		expect_ack(f, &message);
		EXPECT_EQUAL(f, read_config(f, at, 1).bytes[0], !i, "write cache");
	}
	message.payload.config.bytes[0] = before;
	expect_ack(f, &message);
}

static void read_while_running(struct front *f)
{
	struct vhu_config before, now;

	front_open(f, &(struct front_setup){ 0 });
	before = read_config(f, 0, 8);
	io_start(f);
	for (unsigned i = 0; i < 5; i++) {
		io_expect_works(f);
		now = read_config(f, 0, 8);
		EXPECT(f, !memcmp(now.bytes, before.bytes, 8), "the same configuration all along");
	}
}

#define CASE(name, words, level_, function, ...)                                    \
	{                                                                           \
		.id = "config." name, .title = words, .level = (level_),            \
		.rule = "vhost-user: GET_CONFIG, SET_CONFIG", .needs = __VA_ARGS__, \
		.backend = (function),                                              \
	}

static const struct conform_case cases[] = {
	CASE("read", "GET_CONFIG is answered with as many bytes as were asked for", LEVEL_MUST,
	     read_some, { .protocol = CONFIG }),
	CASE("read-whole", "all that the specification has of a disk can be read", LEVEL_MUST,
	     read_whole, { .protocol = CONFIG, .device = DEVICE_BLK }),
	CASE("read-first-of-all", "it can be read before features are set", LEVEL_MUST,
	     read_first_of_all, { .protocol = CONFIG }),
	CASE("parts-fit", "parts of it are parts of the whole", LEVEL_MUST, parts_fit,
	     { .protocol = CONFIG }),
	CASE("of-a-disk", "a disk's configuration makes sense", LEVEL_MUST, capacity,
	     { .protocol = CONFIG, .device = DEVICE_BLK }),
	CASE("read-while-running", "it can be read while rings run", LEVEL_MUST, read_while_running,
	     { .protocol = CONFIG, .device = DEVICE_IO }),
	CASE("beyond-the-end", "a read beyond the end is an error", LEVEL_SHOULD, beyond_the_end,
	     { .protocol = CONFIG }),
	CASE("far-beyond-the-end", "an offset that wraps is an error", LEVEL_SHOULD,
	     far_beyond_the_end, { .protocol = CONFIG }),
	CASE("size-that-lies", "a size beyond what was sent is an error", LEVEL_MUST,
	     size_that_lies, { .protocol = CONFIG }),
	CASE("set-beyond-the-end", "a write beyond the end is refused", LEVEL_SHOULD,
	     set_beyond_the_end, { .protocol = CONFIG | REPLY_ACK }),
	CASE("capacity-is-not-written", "a driver changes no capacity", LEVEL_MUST,
	     capacity_is_not_written, { .protocol = CONFIG | REPLY_ACK, .device = DEVICE_BLK }),
	CASE("write-cache", "the write cache is turned off and on", LEVEL_SHOULD, write_cache,
	     { .protocol = CONFIG | REPLY_ACK, .device = DEVICE_BLK, .features = WRITE_CACHE }),
};

const struct conform_area area_config = AREA("config", "the device's configuration", cases);
