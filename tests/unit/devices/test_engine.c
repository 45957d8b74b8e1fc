/* SPDX-License-Identifier: BSD-3-Clause */
/* Every engine on every kind of storage it can serve, by way of the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/iovec.h"
#include "devices/transfer.h"
#include "fake_disk.h"

#define SLOTS      16
#define ZONE       (128u << 10)
#define RUN_MOST   (64u << 10)
#define PIECES     24
#define OPERATIONS 10000

struct slot {
	struct fake_request request;
	struct virtio_blk_outhdr header;
	struct iovec out[PIECES + 1], in[PIECES + 1];
	uint8_t status;
	size_t at, len; /* in the disk */
	char *data;
	bool is_busy;
};

static uint32_t random_below(uint32_t n)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % n;
}

static char noise[2 * RUN_MOST];

static int make_noise(void **state)
{
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)random_below(256);
	return 0;
}

/* Cuts data into pieces of any length. */
static unsigned cut(struct iovec *iov, char *data, size_t len)
{
	unsigned n = 0;

	while (len > 0) {
		size_t part = n == PIECES - 1 ? len : 1 + random_below((uint32_t)len);

		iov[n++] = (struct iovec){ data, part };
		data += part;
		len -= part;
	}
	return n;
}

static void slot_start(struct slot *slot, unsigned index, struct fake_disk *disk, char *shadow)
{
	unsigned block = disk->storage.align > 512 ? disk->storage.align : 512;
	bool writes = random_below(2);
	struct vhu_request *req = &slot->request.req;

	slot->len = (1 + random_below(RUN_MOST / block)) * block;
	slot->at = (size_t)index * ZONE +
	           random_below((ZONE - (uint32_t)slot->len) / block + 1) * block;
	slot->header = (struct virtio_blk_outhdr){
		.type = htole32(writes ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN),
		.sector = htole64(slot->at / 512),
	};
	slot->status = 0xee;
	slot->out[0] = (struct iovec){ &slot->header, sizeof(slot->header) };
	*req = (struct vhu_request){ .out = slot->out, .n_out = 1, .in = slot->in };
	if (writes) {
		memcpy(slot->data, noise + random_below(RUN_MOST), slot->len);
		memcpy(shadow + slot->at, slot->data, slot->len);
		req->n_out += cut(slot->out + 1, slot->data, slot->len);
	} else {
		memset(slot->data, 0xdd, slot->len);
		req->n_in = cut(slot->in, slot->data, slot->len);
	}
	slot->in[req->n_in++] = (struct iovec){ &slot->status, 1 };
	slot->is_busy = true;
	fake_submit(&disk->queue, &slot->request);
}

static void slot_check(struct slot *slot, const char *shadow)
{
	assert_int_equal(slot->status, VIRTIO_BLK_S_OK);
	assert_int_equal(slot->request.written, slot->request.req.in_len);
	assert_memory_equal(slot->data, shadow + slot->at, slot->len);
	slot->is_busy = false;
}

static void random_requests(struct fake_disk *disk, unsigned operations)
{
	struct slot *slots = calloc(SLOTS, sizeof(*slots));
	char *shadow = calloc(SLOTS, ZONE);

	assert_non_null(slots);
	assert_non_null(shadow);
	for (unsigned i = 0; i < SLOTS; i++)
		assert_int_equal(posix_memalign((void **)&slots[i].data, 4096, RUN_MOST), 0);
	for (unsigned done = 0; done < operations;) {
		for (unsigned i = 0; i < SLOTS; i++) {
			if (slots[i].is_busy && slots[i].request.is_done)
				slot_check(&slots[i], shadow);
			if (slots[i].is_busy)
				continue;
			slot_start(&slots[i], i, disk, shadow);
			done++;
		}
		fake_wait(&disk->queue, random_below(SLOTS));
	}
	fake_wait(&disk->queue, 0);
	for (unsigned i = 0; i < SLOTS; i++) {
		slot_check(&slots[i], shadow);
		free(slots[i].data);
	}
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_FLUSH, 0, NULL, 0), 0);
	free(shadow);
	free(slots);
}

static void random_requests_match_a_shadow(void **state)
{
	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct fake_disk disk;

		if (!fake_disk_open(&disk, &fake_ways[i], (uint64_t)SLOTS * ZONE))
			continue;
		/* What goes to a real disk is slow, and shared with others. */
		random_requests(&disk, fake_ways[i].place == PLACE_FILE_DIRECT ? 300 : OPERATIONS);
		fake_disk_close(&disk);
	}
}

#define MANY 3000

static void more_pieces_than_a_call_takes(void **state)
{
	const size_t len = (size_t)MANY * 512 / 3;

	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct virtio_blk_outhdr header = { .type = htole32(VIRTIO_BLK_T_OUT) };
		struct iovec *iov = calloc(MANY + 1, sizeof(*iov));
		char *data = malloc(len), *back = malloc(len);
		struct fake_request request = { 0 };
		struct fake_disk disk;
		uint8_t status = 0xee;
		struct iovec in = { &status, 1 };

		if (!fake_disk_open(&disk, &fake_ways[i], len))
			goto next;
		for (size_t k = 0; k < len; k++)
			data[k] = (char)(k * 7 + k / 251);
		iov[0] = (struct iovec){ &header, sizeof(header) };
		for (size_t k = 0, at = 0; k < MANY; k++) {
			size_t part = k % 3 == 0 ? 170 : 171;

			iov[k + 1] = (struct iovec){ data + at, part };
			at += part;
		}
		request.req = (struct vhu_request){
			.out = iov, .n_out = MANY + 1, .in = &in, .n_in = 1
		};
		fake_submit(&disk.queue, &request);
		fake_wait(&disk.queue, 0);
		assert_int_equal(status, VIRTIO_BLK_S_OK);
		assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_IN, 0, back, len), 0);
		assert_memory_equal(data, back, len);
		fake_disk_close(&disk);
	next:
		free(iov);
		free(data);
		free(back);
	}
}

/* A file that has shrunk: the part that is there is short, the rest an error. */
static void a_shrunken_file_gives_errors(void **state)
{
	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct fake_disk disk;
		char *data = malloc(65536);

		if (fake_ways[i].place == PLACE_MEMORY ||
		    !fake_disk_open(&disk, &fake_ways[i], 131072)) {
			free(data);
			continue;
		}
		assert_return_code(ftruncate(disk.file, 8192 + 4096), 0);
		assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_IN, 0, data, 8192), 0);
		assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_IN, 8, data, 65536),
		                 VIRTIO_BLK_S_IOERR);
		assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_IN, 128, data, 4096),
		                 VIRTIO_BLK_S_IOERR);
		assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_OUT, 128, data, 4096), 0);
		fake_disk_close(&disk);
		free(data);
	}
}

/* A file that can't be written, behind a disk that claims it can. */
static void errors_of_the_kernel_become_a_status(void **state)
{
	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct fake_disk disk;
		char *data = aligned_alloc(4096, 4096);

		if (fake_ways[i].place == PLACE_MEMORY ||
		    !fake_disk_open(&disk, &fake_ways[i], 65536)) {
			free(data);
			continue;
		}
		fake_stop(&disk.queue);
		close(disk.storage.fd);
		disk.storage.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		assert_return_code(disk.storage.fd, 0);
		disk.storage.align = disk.storage.memory_align = 1;
		fake_start(&disk.queue, &(struct blk_options){ &disk.storage, fake_ways[i].engine,
		                                               1, 512, NULL });
		memset(data, 0, 4096);
		assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_OUT, 0, data, 4096),
		                 VIRTIO_BLK_S_IOERR);
		assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_IN, 0, data, 4096), 0);
		assert_memory_equal(data, "\177ELF", 4);
		fake_disk_close(&disk);
		free(data);
	}
}

static void a_durable_write_is_written(void **state)
{
	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct fake_disk disk;
		char *data = aligned_alloc(4096, 4096), *back = aligned_alloc(4096, 4096);

		if (fake_disk_open(&disk, &fake_ways[i], 65536)) {
			blk_ops.features_set(disk.queue.blk, 0);
			memset(data, 0x42, 4096);
			assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_OUT, 8, data, 4096), 0);
			assert_int_equal(fake_io(&disk.queue, VIRTIO_BLK_T_IN, 8, back, 4096), 0);
			assert_memory_equal(data, back, 4096);
			fake_disk_close(&disk);
		}
		free(data);
		free(back);
	}
}

static void results_move_a_transfer_on(void **state)
{
	static char a[100], b[50];
	static const struct {
		ssize_t results[3];
		unsigned n;
		bool done;
		int error;
		uint64_t offset, left;
		unsigned n_iov;
	} cases[] = {
		{ { 150 }, 1, true, 0, 1150, 0, 0 },
		{ { 1 }, 1, false, 0, 1001, 149, 2 },
		{ { 100 }, 1, false, 0, 1100, 50, 1 },
		{ { 1, 99, 50 }, 3, true, 0, 1150, 0, 0 },
		{ { 149, 1 }, 2, true, 0, 1150, 0, 0 },
		{ { 120, 0 }, 2, true, -EIO, 1120, 30, 1 },
		{ { -ENOSPC }, 1, true, -ENOSPC, 1000, 150, 2 },
		{ { -EAGAIN, -EINTR, 150 }, 3, true, 0, 1150, 0, 0 },
		{ { -EAGAIN }, 1, false, 0, 1000, 150, 2 },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct iovec iov[2] = { { a, 100 }, { b, 50 } };
		struct transfer t = { .iov = iov, .n_iov = 2, .offset = 1000, .left = 150 };
		bool done = false;

		for (unsigned k = 0; k < cases[i].n; k++) {
			assert_false(done);
			done = transfer_advance(&t, cases[i].results[k]);
		}
		assert_int_equal(done, cases[i].done);
		assert_int_equal(t.error, cases[i].error);
		assert_int_equal(t.offset, cases[i].offset);
		assert_int_equal(t.left, cases[i].left);
		assert_int_equal(t.n_iov, cases[i].n_iov);
		assert_int_equal(iovec_bytes(t.iov, t.n_iov), t.left);
	}
}

static void endless_refusals_end(void **state)
{
	struct iovec iov = { NULL, 512 };
	struct transfer t = { .iov = &iov, .n_iov = 1, .left = 512 };
	unsigned n = 0;

	while (!transfer_advance(&t, -EAGAIN))
		assert_true(++n < 1000);
	assert_int_equal(t.error, -EIO);
}

static void the_engine_fits_the_storage(void **state)
{
	const struct engine_ops *ring = engine_uring_probe() ? &engine_threads : &engine_uring;
	static char byte;
	const struct storage memory = { .fd = -1, .bytes = &byte, .in_memory = true };
	const struct storage tmpfs = { .fd = 0, .in_memory = true };
	const struct storage cached = { .fd = 0, .nowait = true };
	const struct storage direct = { .fd = 0, .direct = true };
	const struct {
		enum engine_kind wanted;
		const struct storage *storage;
		const struct engine_ops *want;
	} cases[] = {
		{ ENGINE_AUTO, &memory, &engine_memory },
		{ ENGINE_URING, &memory, &engine_memory },
		{ ENGINE_AUTO, &tmpfs, &engine_inline },
		{ ENGINE_AUTO, &cached, ring },
		{ ENGINE_AUTO, &direct, ring },
		{ ENGINE_URING, &tmpfs, ring },
		{ ENGINE_THREADS, &tmpfs, &engine_threads },
		{ ENGINE_INLINE, &direct, &engine_inline },
		{ ENGINE_NULL, &memory, &engine_null },
		{ ENGINE_NULL, &cached, &engine_null },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why;

		assert_ptr_equal(engine_choose(cases[i].wanted, cases[i].storage, &why),
		                 cases[i].want);
	}
}

static void count_done(struct transfer *transfer)
{
	transfer->refusals++;
}

static void the_null_engine_moves_nothing(void **state)
{
	char disk[512] = "disk", buffer[512] = "buffer";
	const struct storage memory = { .fd = -1, .bytes = disk, .size = sizeof(disk) };
	static const enum transfer_op ops[] = { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_FLUSH,
		                                TRANSFER_ZERO };
	struct engine_queue *queue;

	assert_int_equal(engine_start(&engine_null, &memory, 4, &queue), 0);
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct iovec iov = { buffer, sizeof(buffer) };
		struct transfer t = { .done = count_done,
			              .op = ops[i],
			              .iov = &iov,
			              .n_iov = 1,
			              .left = sizeof(buffer) };

		queue->ops->submit(queue, &t);
		assert_int_equal(t.refusals, 1);
		assert_int_equal(t.error, 0);
	}
	assert_string_equal(disk, "disk");
	assert_string_equal(buffer, "buffer");
	queue->ops->stop(queue);
}

/* Transfers of a disk in memory, and which of them is the next to be done. */
static unsigned next_done;

static void done_in_turn(struct transfer *transfer)
{
	assert_int_equal(transfer->refusals, next_done++);
	assert_int_equal(transfer->error, 0);
}

/* Copies wait for their turn, so that each sees what those before it have left. */
static void the_memory_engine_copies_in_order(void **state)
{
	static char disk[8 * 4096], data[12][4096];
	const struct storage memory = { .fd = -1, .bytes = disk, .size = sizeof(disk) };
	struct transfer transfers[12];
	struct engine_queue *queue;
	struct iovec iov[12];

	assert_int_equal(engine_start(&engine_memory, &memory, 16, &queue), 0);
	for (unsigned n = 1; n <= 12; n++) {
		next_done = 0;
		memset(disk, 0, sizeof(disk));
		for (unsigned i = 0; i < n; i++) {
			/* By turns written and read back, all at one place. */
			memset(data[i], i % 2 ? 0 : 'a' + (int)i, sizeof(data[i]));
			iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
			transfers[i] = (struct transfer){
				.done = done_in_turn,
				.op = i % 2 ? TRANSFER_READ : TRANSFER_WRITE,
				.iov = &iov[i],
				.n_iov = 1,
				.offset = 4096,
				.left = sizeof(data[i]),
				.refusals = i,
			};
			queue->ops->submit(queue, &transfers[i]);
		}
		queue->ops->submit_end(queue);
		assert_int_equal(next_done, n);
		for (unsigned i = 1; i < n; i += 2)
			assert_memory_equal(data[i], data[i - 1], sizeof(data[i]));
	}
	queue->ops->stop(queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_memory_engine_copies_in_order),
		cmocka_unit_test(results_move_a_transfer_on),
		cmocka_unit_test(endless_refusals_end),
		cmocka_unit_test(the_engine_fits_the_storage),
		cmocka_unit_test(the_null_engine_moves_nothing),
		cmocka_unit_test(random_requests_match_a_shadow),
		cmocka_unit_test(more_pieces_than_a_call_takes),
		cmocka_unit_test(a_shrunken_file_gives_errors),
		cmocka_unit_test(errors_of_the_kernel_become_a_status),
		cmocka_unit_test(a_durable_write_is_written),
	};

	return cmocka_run_group_tests(tests, make_noise, NULL);
}
