/* SPDX-License-Identifier: BSD-3-Clause */
/* What requests and configuration mean, on a disk in memory or a spy engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "fake_queue.h"

#define BIT(n)  (1ull << (n))
#define SECTORS 64
#define DISK    ((uint64_t)SECTORS * 512)

struct disk {
	struct storage storage;
	struct vhu_queue queue;
};

static struct disk *disk_new(bool read_only, const char *serial)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	struct storage_fault why;
	struct blk_options options = {
		.storage = &disk->storage,
		.engine = &engine_memory,
		.num_queues = 1,
		.block_size = 512,
		.serial = serial,
	};

	assert_non_null(disk);
	assert_int_equal(storage_open_memory(&disk->storage, DISK, read_only, &why), 0);
	for (unsigned i = 0; i < SECTORS; i++)
		memset((char *)disk->storage.bytes + i * 512, (int)i + 1, 512);
	fake_start(&disk->queue, &options);
	return disk;
}

static void disk_free(struct disk *disk)
{
	fake_stop(&disk->queue);
	storage_close(&disk->storage);
	free(disk);
}

static struct blk_counters counters_of(struct disk *disk)
{
	struct blk_counters counters;

	blk_count(disk->queue.blk, &counters);
	return counters;
}

static void a_write_is_read_back(void **state)
{
	struct disk *disk = disk_new(false, NULL);
	char data[1024], back[1024];
	struct blk_counters counters;

	memset(data, 0xab, sizeof(data));
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_OUT, 3, data, 1024), 0);
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_IN, 3, back, 1024), 0);
	assert_memory_equal(data, back, 1024);
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	blk_count(disk->queue.blk, &counters);
	assert_int_equal(counters.bytes_read, 1024);
	assert_int_equal(counters.bytes_written, 1024);
	assert_int_equal(counters.errors, 0);
	disk_free(disk);
}

static void capacity_is_the_edge(void **state)
{
	static const struct {
		uint64_t sector;
		size_t len;
		uint8_t status;
	} cases[] = {
		{ 0, DISK, VIRTIO_BLK_S_OK },
		{ SECTORS - 1, 512, VIRTIO_BLK_S_OK },
		{ SECTORS, 0, VIRTIO_BLK_S_OK },
		{ SECTORS, 512, VIRTIO_BLK_S_IOERR },
		{ SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ SECTORS + 1, 0, VIRTIO_BLK_S_IOERR },
		{ 1, DISK, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX / 512 + 1, 512, VIRTIO_BLK_S_IOERR }, /* byte 0 after a wrap */
		{ UINT64_MAX - 1, 1024, VIRTIO_BLK_S_IOERR },
	};
	static char data[DISK];
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT };

	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct disk *disk = disk_new(false, NULL);
		uint8_t want = cases[i / 2].status;

		assert_int_equal(fake_io(&disk->queue, types[i % 2], cases[i / 2].sector, data,
		                         cases[i / 2].len),
		                 want);
		assert_int_equal(counters_of(disk).errors, want == VIRTIO_BLK_S_IOERR);
		disk_free(disk);
	}
}

/* The sizes of what the driver sends; 0xee: no status is written. */
static void malformed_requests_end_with_an_error(void **state)
{
	static const struct {
		const char *what;
		uint32_t type;
		size_t header, data, in;
		uint8_t status;
		uint32_t written;
	} cases[] = {
		{ "nothing at all", 0, 0, 0, 0, 0xee, 0 },
		{ "no status byte", VIRTIO_BLK_T_OUT, 16, 512, 0, 0xee, 0 },
		{ "no header", 0, 0, 0, 1, VIRTIO_BLK_S_IOERR, 1 },
		{ "short header", VIRTIO_BLK_T_FLUSH, 15, 0, 1, VIRTIO_BLK_S_IOERR, 1 },
		{ "write of 511", VIRTIO_BLK_T_OUT, 16, 511, 1, VIRTIO_BLK_S_IOERR, 1 },
		{ "write of 513", VIRTIO_BLK_T_OUT, 16, 513, 1, VIRTIO_BLK_S_IOERR, 1 },
		{ "read of 511", VIRTIO_BLK_T_IN, 16, 0, 512, VIRTIO_BLK_S_IOERR, 512 },
		{ "read with data to write", VIRTIO_BLK_T_IN, 16, 512, 513, VIRTIO_BLK_S_OK, 513 },
		{ "write with room to read", VIRTIO_BLK_T_OUT, 16, 512, 9, VIRTIO_BLK_S_OK, 9 },
		{ "discard", VIRTIO_BLK_T_DISCARD, 16, 16, 1, VIRTIO_BLK_S_UNSUPP, 1 },
		{ "scsi", VIRTIO_BLK_T_SCSI_CMD, 16, 0, 1, VIRTIO_BLK_S_UNSUPP, 1 },
		{ "type unknown", 0xffffffff, 16, 512, 513, VIRTIO_BLK_S_UNSUPP, 513 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct disk *disk = disk_new(false, NULL);
		struct virtio_blk_outhdr header = { .type = htole32(cases[i].type) };
		char data[1024] = { 0 };
		uint8_t room[1024];
		struct iovec out[] = { { &header, cases[i].header }, { data, cases[i].data } };
		struct iovec in[] = { { room, cases[i].in } };
		struct fake_request request = {
			.req = { .out = out, .n_out = 2, .in = in, .n_in = 1 },
		};

		memset(room, 0xee, sizeof(room));
		fake_submit(&disk->queue, &request);
		fake_wait(&disk->queue, 0);
		if (cases[i].in)
			assert_int_equal(room[cases[i].in - 1], cases[i].status);
		assert_int_equal(room[cases[i].in], 0xee);
		assert_int_equal(request.written, cases[i].written);
		assert_int_equal(counters_of(disk).errors, cases[i].status != VIRTIO_BLK_S_OK);
		assert_int_equal(counters_of(disk).unsupported,
		                 cases[i].status == VIRTIO_BLK_S_UNSUPP);
		disk_free(disk);
	}
}

/* Byte by byte, with empty elements in between: framing means nothing. */
static void any_framing_is_understood(void **state)
{
	struct disk *disk = disk_new(false, NULL);
	struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN, .sector = htole64(5) };
	char got[513], want[512];
	struct iovec out[32], in[1026];
	struct fake_request request = {
		.req = { .out = out, .n_out = 32, .in = in, .n_in = 1026 },
	};

	for (unsigned i = 0; i < 16; i++) {
		out[2 * i] = (struct iovec){ NULL, 0 };
		out[2 * i + 1] = (struct iovec){ (char *)&header + i, 1 };
	}
	for (unsigned i = 0; i < 513; i++) {
		in[2 * i] = (struct iovec){ got + i, 1 };
		in[2 * i + 1] = (struct iovec){ NULL, 0 };
	}
	memset(want, 6, sizeof(want));
	fake_submit(&disk->queue, &request);
	fake_wait(&disk->queue, 0);
	assert_memory_equal(got, want, 512);
	assert_int_equal(got[512], VIRTIO_BLK_S_OK);
	assert_int_equal(request.written, 513);
	disk_free(disk);
}

static void header_and_data_may_share_a_buffer(void **state)
{
	struct disk *disk = disk_new(false, NULL);
	struct {
		struct virtio_blk_outhdr header;
		char data[512];
	} both = { .header = { .type = htole32(VIRTIO_BLK_T_OUT), .sector = htole64(7) } };
	uint8_t status = 0xee;
	struct iovec out[] = { { &both, 20 }, { (char *)&both + 20, sizeof(both) - 20 } };
	struct iovec in[] = { { &status, 1 } };
	struct fake_request request = { .req = { .out = out, .n_out = 2, .in = in, .n_in = 1 } };

	memset(both.data, 0x5c, sizeof(both.data));
	fake_submit(&disk->queue, &request);
	fake_wait(&disk->queue, 0);
	assert_int_equal(status, VIRTIO_BLK_S_OK);
	assert_memory_equal((char *)disk->storage.bytes + 7 * 512, both.data, 512);
	disk_free(disk);
}

static void a_read_only_disk_refuses_writes(void **state)
{
	struct disk *disk = disk_new(true, NULL);
	char data[512] = { 0 };

	assert_true(blk_ops.features(disk->queue.blk) & BIT(VIRTIO_BLK_F_RO));
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_OUT, 0, data, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_IN, 0, data, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data[0], 1);
	disk_free(disk);
}

static void the_serial_is_padded_with_zeros(void **state)
{
	static const struct {
		const char *serial;
		const char want[21];
	} cases[] = {
		{ NULL, "" },
		{ "disk-1", "disk-1" },
		{ "12345678901234567890", "12345678901234567890" },
		{ "123456789012345678901", "12345678901234567890" },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct disk *disk = disk_new(false, cases[i].serial);
		char id[24];

		memset(id, 0x77, sizeof(id));
		assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_GET_ID, 0, id, 20), 0);
		assert_memory_equal(id, cases[i].want, 20);
		assert_int_equal(id[20], 0x77);
		memset(id, 0x77, sizeof(id));
		assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_GET_ID, 0, id, 4), 0);
		assert_memory_equal(id, cases[i].want, 4);
		assert_int_equal(id[4], 0x77);
		disk_free(disk);
	}
}

static void a_refused_request_gets_its_error_status(void **state)
{
	struct disk *disk = disk_new(false, NULL);
	uint8_t status = 0xee;
	struct iovec in = { &status, 1 };
	struct fake_request request = { .req = { .in = &in, .n_in = 1, .in_len = 1 } };

	request.req.queue = &disk->queue;
	request.req.priv = request.priv;
	disk->queue.under_way++;
	blk_ops.refused(disk->queue.blk, &disk->queue, &request.req);
	assert_true(request.is_done);
	assert_int_equal(request.written, 1);
	assert_int_equal(status, VIRTIO_BLK_S_IOERR);
	assert_int_equal(counters_of(disk).errors, 1);
	disk_free(disk);
}

static void config_of_any_size_is_padded_with_zeros(void **state)
{
	struct disk *disk = disk_new(false, NULL);
	struct virtio_blk_config whole;
	uint8_t all[256], part[256];

	assert_int_equal(blk_ops.config_get(disk->queue.blk, 0, all, 256), 0);
	memcpy(&whole, all, sizeof(whole));
	assert_int_equal(le64toh(whole.capacity), SECTORS);
	assert_int_equal(le32toh(whole.seg_max), 126);
	assert_int_equal(le32toh(whole.blk_size), 512);
	assert_int_equal(le16toh(whole.num_queues), 1);
	assert_int_equal(whole.wce, 1);
	for (unsigned i = sizeof(whole); i < 256; i++)
		assert_int_equal(all[i], 0);
	for (uint32_t offset = 0; offset < 256; offset++) {
		for (uint32_t len = 0; offset + len <= 256; len++) {
			memset(part, 0x99, sizeof(part));
			assert_int_equal(blk_ops.config_get(disk->queue.blk, offset, part, len), 0);
			assert_memory_equal(part, all + offset, len);
			assert_true(len == 256 || part[len] == 0x99);
		}
	}
	disk_free(disk);
}

static void only_the_cache_mode_can_be_set(void **state)
{
	const uint32_t at = offsetof(struct virtio_blk_config, wce);
	static const uint8_t zero[256], two = 2;
	const struct {
		uint32_t offset, len;
		const void *buf;
		bool migration;
		int want;
	} cases[] = {
		{ at, 1, zero, false, 0 },        { at, 1, &two, false, -EINVAL },
		{ at, 2, zero, false, -EINVAL },  { at - 1, 2, zero, false, -EINVAL },
		{ 0, 8, zero, false, -EINVAL },   { at + 1, 1, zero, false, -EINVAL },
		{ 0, 256, zero, false, -EINVAL }, { 0, 256, zero, true, 0 },
		{ 0, at, zero, true, -EINVAL },   { UINT32_MAX, 1, zero, true, -EINVAL },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct disk *disk = disk_new(false, NULL);
		uint8_t wce = 9;

		assert_int_equal(blk_ops.config_set(disk->queue.blk, cases[i].offset, cases[i].buf,
		                                    cases[i].len, cases[i].migration),
		                 cases[i].want);
		blk_ops.config_get(disk->queue.blk, at, &wce, 1);
		assert_int_equal(wce, cases[i].want != 0);
		disk_free(disk);
	}
}

/* An engine that does nothing but remember. */
static struct {
	struct engine_queue queue;
	struct transfer last;
	unsigned n;
	int error; /* of every transfer */
} spy;

static int spy_start(const struct storage *storage, unsigned depth, struct engine_queue **ret);

static void spy_submit(struct engine_queue *queue, struct transfer *transfer)
{
	spy.last = *transfer;
	spy.n++;
	transfer->error = spy.error;
	transfer->done(transfer);
}

static void spy_stop(struct engine_queue *queue)
{
}

static const struct engine_ops spy_ops = {
	.name = "spy",
	.start = spy_start,
	.submit = spy_submit,
	.stop = spy_stop,
};

static int spy_start(const struct storage *storage, unsigned depth, struct engine_queue **ret)
{
	spy.queue = (struct engine_queue){ &spy_ops, storage, -1 };
	*ret = &spy.queue;
	return 0;
}

static void writes_are_stable_unless_the_driver_flushes(void **state)
{
	const uint64_t flush = BIT(VIRTIO_BLK_F_FLUSH), wce = BIT(VIRTIO_BLK_F_CONFIG_WCE);
	const struct {
		uint64_t features;
		uint8_t value;
		bool durable;
	} cases[] = {
		{ 0, 1, true },
		{ 0, 0, true },
		{ wce, 1, true },
		{ wce, 0, true },
		{ flush, 1, false },
		{ flush, 0, false },
		{ flush | wce, 1, false },
		{ flush | wce, 0, true },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct storage storage = { .fd = -1, .size = DISK, .align = 1, .memory_align = 1 };
		struct blk_options options = { &storage, &spy_ops, 1, 512, NULL };
		struct vhu_queue queue;
		char data[512] = { 0 };

		fake_start(&queue, &options);
		blk_ops.features_set(queue.blk, cases[i].features);
		assert_int_equal(blk_ops.config_set(queue.blk,
		                                    offsetof(struct virtio_blk_config, wce),
		                                    &cases[i].value, 1, false),
		                 0);
		assert_int_equal(fake_io(&queue, VIRTIO_BLK_T_OUT, 0, data, 512), 0);
		assert_int_equal(spy.last.op, TRANSFER_WRITE);
		assert_int_equal(spy.last.durable, cases[i].durable);
		assert_int_equal(fake_io(&queue, VIRTIO_BLK_T_IN, 0, data, 512), 0);
		assert_false(spy.last.durable);
		fake_stop(&queue);
	}
}

/* Whatever a disk suffers, its driver is told by a status and the next request is served. */
static void errors_of_an_engine_become_a_status(void **state)
{
	static const int errors[] = { -EIO, -ENOSPC, -EDQUOT, -EFBIG, -EROFS, -ENOMEM, -ESTALE };
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH,
		                          VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	struct storage storage = { .fd = -1, .size = DISK, .align = 1, .memory_align = 1 };
	struct blk_options options = { &storage, &spy_ops, 1, 512, NULL };
	struct virtio_blk_discard_write_zeroes ranges[32] = { { .num_sectors = htole32(1) },
		                                              { .num_sectors = htole32(1) } };
	const unsigned n = sizeof(errors) / sizeof(errors[0]) * sizeof(types) / sizeof(types[0]);
	struct blk_counters counters;
	struct vhu_queue queue;

	storage.can_discard = true;
	fake_start(&queue, &options);
	blk_ops.features_set(queue.blk, blk_ops.features(queue.blk));
	for (unsigned i = 0; i < n; i++) {
		uint32_t type = types[i % 5];
		size_t len = type == VIRTIO_BLK_T_FLUSH ? 0 : type > VIRTIO_BLK_T_FLUSH ? 32 : 512;

		spy.error = errors[i / 5];
		assert_int_equal(fake_io(&queue, type, 0, ranges, len), VIRTIO_BLK_S_IOERR);
		spy.error = 0;
		assert_int_equal(fake_io(&queue, type, 0, ranges, len), VIRTIO_BLK_S_OK);
	}
	blk_count(queue.blk, &counters);
	assert_int_equal(counters.errors, n);
	fake_stop(&queue);
}

static void a_flush_reaches_the_engine_and_an_empty_write_does_not(void **state)
{
	struct storage storage = { .fd = -1, .size = DISK, .align = 1, .memory_align = 1 };
	struct blk_options options = { &storage, &spy_ops, 1, 512, NULL };
	struct vhu_queue queue;

	fake_start(&queue, &options);
	spy.n = 0;
	assert_int_equal(fake_io(&queue, VIRTIO_BLK_T_OUT, 0, NULL, 0), 0);
	assert_int_equal(spy.n, 0);
	assert_int_equal(fake_io(&queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(spy.n, 1);
	assert_int_equal(spy.last.op, TRANSFER_FLUSH);
	fake_stop(&queue);
}

static void a_driver_without_flush_finds_the_cache_off(void **state)
{
	struct disk *disk = disk_new(false, NULL);
	uint8_t wce = 9;

	blk_ops.features_set(disk->queue.blk, BIT(VIRTIO_BLK_F_CONFIG_WCE));
	blk_ops.config_get(disk->queue.blk, offsetof(struct virtio_blk_config, wce), &wce, 1);
	assert_int_equal(wce, 0);
	blk_ops.reset(disk->queue.blk);
	blk_ops.config_get(disk->queue.blk, offsetof(struct virtio_blk_config, wce), &wce, 1);
	assert_int_equal(wce, 1);
	disk_free(disk);
}

static void the_shape_is_told_in_blocks(void **state)
{
	static const struct {
		struct storage_shape shape;
		unsigned block_size;
		uint8_t exponent;
		uint16_t io_min;
		uint32_t io_opt, discard_alignment;
	} cases[] = {
		{ { 4096, 4096, 0, 4096 }, 512, 3, 8, 0, 8 },
		{ { 4096, 4096, 0, 4096 }, 4096, 0, 1, 0, 8 },
		{ { 512, 512, 1 << 20, 512 }, 4096, 0, 0, 256, 8 },
		{ { 0, 0, 0, 0 }, 512, 0, 0, 0, 1 },
		{ { 4096, 1 << 30, 0, 1 << 20 }, 512, 3, 65535, 0, 2048 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct storage storage = { .fd = -1, .size = DISK, .align = 1, .memory_align = 1 };
		struct blk_options options = { &storage, &spy_ops, 1, cases[i].block_size, NULL };
		struct virtio_blk_config config;
		struct blk *blk;

		storage.shape = cases[i].shape;
		assert_int_equal(blk_new(&options, &blk), 0);
		blk_ops.config_get(blk, 0, &config, sizeof(config));
		assert_int_equal(config.physical_block_exp, cases[i].exponent);
		assert_int_equal(le16toh(config.min_io_size), cases[i].io_min);
		assert_int_equal(le32toh(config.opt_io_size), cases[i].io_opt);
		assert_int_equal(le32toh(config.discard_sector_alignment),
		                 cases[i].discard_alignment);
		assert_true(blk_ops.features(blk) & BIT(VIRTIO_BLK_F_TOPOLOGY));
		blk_free(blk);
	}
}

static void a_disk_grows_and_never_shrinks(void **state)
{
	static const struct {
		uint64_t size;
		int result;
		uint64_t sectors;
	} cases[] = {
		{ DISK, 0, SECTORS },           { DISK + 511, 0, SECTORS },
		{ DISK - 1, -ERANGE, SECTORS }, { 0, -ERANGE, SECTORS },
		{ DISK + 512, 1, SECTORS + 1 }, { 1ull << 60, 1, 1ull << 51 },
		{ DISK, -ERANGE, 1ull << 51 },
	};
	struct storage storage = { .fd = -1, .size = DISK, .align = 1, .memory_align = 1 };
	struct blk_options options = { &storage, &spy_ops, 1, 512, NULL };
	struct vhu_queue queue;
	char data[512] = { 0 };

	fake_start(&queue, &options);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t sectors = cases[i].sectors;
		struct virtio_blk_config config;

		assert_int_equal(blk_resize(queue.blk, cases[i].size), cases[i].result);
		blk_ops.config_get(queue.blk, 0, &config, sizeof(config));
		assert_int_equal(le64toh(config.capacity), sectors);
		assert_int_equal(fake_io(&queue, VIRTIO_BLK_T_IN, sectors - 1, data, 512), 0);
		assert_int_equal(fake_io(&queue, VIRTIO_BLK_T_IN, sectors, data, 512),
		                 VIRTIO_BLK_S_IOERR);
	}
	fake_stop(&queue);
}

static void capacity_is_whole_blocks(void **state)
{
	static const struct {
		uint64_t size;
		unsigned block_size, queues;
		int error;
		uint64_t sectors;
	} cases[] = {
		{ 4096, 512, 1, 0, 8 },         { 4095, 512, 1, 0, 7 },
		{ 12287, 4096, 1, 0, 16 },      { 4096, 4096, 64, 0, 8 },
		{ 511, 512, 1, -EINVAL, 0 },    { 4096, 256, 1, -EINVAL, 0 },
		{ 65536, 8192, 1, -EINVAL, 0 }, { 4096, 1536, 1, -EINVAL, 0 },
		{ 4096, 512, 0, -EINVAL, 0 },   { 4096, 512, 65, -EINVAL, 0 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct storage storage = {
			.fd = -1, .size = cases[i].size, .align = 1, .memory_align = 1
		};
		struct blk_options options = { &storage, &spy_ops, cases[i].queues,
			                       cases[i].block_size, NULL };
		struct virtio_blk_config config;
		struct blk *blk;

		assert_int_equal(blk_new(&options, &blk), cases[i].error);
		if (cases[i].error)
			continue;
		blk_ops.config_get(blk, 0, &config, sizeof(config));
		assert_int_equal(le64toh(config.capacity), cases[i].sectors);
		assert_int_equal(blk_ops.max_queues(blk), cases[i].queues);
		assert_int_equal(!!(blk_ops.features(blk) & BIT(VIRTIO_BLK_F_MQ)),
		                 cases[i].queues > 1);
		blk_free(blk);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_is_read_back),
		cmocka_unit_test(capacity_is_the_edge),
		cmocka_unit_test(malformed_requests_end_with_an_error),
		cmocka_unit_test(any_framing_is_understood),
		cmocka_unit_test(header_and_data_may_share_a_buffer),
		cmocka_unit_test(a_read_only_disk_refuses_writes),
		cmocka_unit_test(the_serial_is_padded_with_zeros),
		cmocka_unit_test(a_refused_request_gets_its_error_status),
		cmocka_unit_test(config_of_any_size_is_padded_with_zeros),
		cmocka_unit_test(only_the_cache_mode_can_be_set),
		cmocka_unit_test(writes_are_stable_unless_the_driver_flushes),
		cmocka_unit_test(errors_of_an_engine_become_a_status),
		cmocka_unit_test(a_flush_reaches_the_engine_and_an_empty_write_does_not),
		cmocka_unit_test(a_driver_without_flush_finds_the_cache_off),
		cmocka_unit_test(the_shape_is_told_in_blocks),
		cmocka_unit_test(a_disk_grows_and_never_shrinks),
		cmocka_unit_test(capacity_is_whole_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
