/* SPDX-License-Identifier: BSD-3-Clause */
/* DISCARD and WRITE_ZEROES by every engine on every storage; lists that make no sense;
 * and the ways a file system may refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/blk_internal.h"
#include "devices/transfer.h"
#include "devices/zeroes.h"
#include "fake_disk.h"

#define SIZE    (256u << 10)
#define SECTORS (SIZE / 512)

#define UNMAP   VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

/* As the driver writes it, but in the byte order of the machine. */
struct range {
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};

static uint8_t ask(struct fake_disk *disk, uint32_t type, const struct range *ranges, unsigned n)
{
	struct virtio_blk_discard_write_zeroes list[BLK_RANGES_MAX + 1];

	assert_true(n <= BLK_RANGES_MAX + 1);
	for (unsigned i = 0; i < n; i++)
		list[i] = (struct virtio_blk_discard_write_zeroes){
			.sector = htole64(ranges[i].sector),
			.num_sectors = htole32(ranges[i].sectors),
			.flags = htole32(ranges[i].flags),
		};
	return fake_io(&disk->queue, type, 0, list, n * sizeof(list[0]));
}

static void fill(struct fake_disk *disk)
{
	char *data = aligned_alloc(4096, SIZE);

	memset(data, 0xa5, SIZE);
	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_OUT, 0, data, SIZE), 0);
	free(data);
}

/* Zeros from @sector on for @sectors, and what fill() wrote everywhere else. */
static void check(struct fake_disk *disk, uint64_t sector, uint64_t sectors)
{
	char *data = aligned_alloc(4096, SIZE);

	assert_int_equal(fake_io(&disk->queue, VIRTIO_BLK_T_IN, 0, data, SIZE), 0);
	for (size_t i = 0; i < SIZE; i++) {
		bool zero = i / 512 >= sector && i / 512 < sector + sectors;

		if (data[i] != (zero ? 0 : (char)0xa5))
			fail_msg("byte %zu is %#x", i, (unsigned char)data[i]);
	}
	free(data);
}

static uint64_t allocated(const struct fake_disk *disk)
{
	struct stat st;

	assert_return_code(fsync(disk->file), errno);
	assert_return_code(fstat(disk->file, &st), errno);
	return (uint64_t)st.st_blocks * 512;
}

static void zeroes_are_read_back_by_every_engine(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors;
	} cases[] = { { 0, SECTORS }, { 8, 64 }, { 8, 8 }, { SECTORS - 16, 16 }, { 0, 8 } };

	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct fake_disk disk;

		if (!fake_disk_open(&disk, &fake_ways[i], SIZE))
			continue;
		for (unsigned k = 0; k < 4 * sizeof(cases) / sizeof(cases[0]); k++) {
			struct range range = { cases[k / 4].sector, cases[k / 4].sectors,
				               k % 2 ? UNMAP : 0 };
			/* Stable or not. */
			uint64_t features = k & 2 ? blk_ops.features(disk.queue.blk)
			                          : 1ull << VIRTIO_BLK_F_WRITE_ZEROES;

			blk_ops.features_set(disk.queue.blk, features);
			fill(&disk);
			assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), 0);
			check(&disk, range.sector, range.sectors);
		}
		fake_disk_close(&disk);
	}
}

static void ranges_need_not_be_whole_pages(void **state)
{
	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct range range = { 3, 10, i % 2 ? UNMAP : 0 };
		struct fake_disk disk;

		if (!fake_disk_open(&disk, &fake_ways[i], SIZE))
			continue;
		if (disk.storage.align <= 512) {
			fill(&disk);
			assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), 0);
			check(&disk, 3, 10);
		}
		fake_disk_close(&disk);
	}
}

/* Zeros with the unmap flag and discards leave holes; zeros without it don't. */
static void sparse_files_stay_sparse(void **state)
{
	static const struct {
		uint32_t type, flags;
		bool leaves_hole;
	} cases[] = {
		{ VIRTIO_BLK_T_DISCARD, 0, true },
		{ VIRTIO_BLK_T_WRITE_ZEROES, UNMAP, true },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, false },
	};

	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		for (unsigned k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
			struct range range = { 0, SECTORS, cases[k].flags };
			struct fake_disk disk;

			if (fake_ways[i].place == PLACE_MEMORY ||
			    !fake_disk_open(&disk, &fake_ways[i], SIZE))
				continue;
			assert_int_equal(ask(&disk, cases[k].type, &range, 1), 0);
			fill(&disk);
			assert_true(allocated(&disk) >= SIZE);
			assert_int_equal(ask(&disk, cases[k].type, &range, 1), 0);
			if (cases[k].leaves_hole != (allocated(&disk) == 0))
				fail_msg("%s, case %u: %llu bytes are allocated",
				         fake_way_name(&fake_ways[i]), k,
				         (unsigned long long)allocated(&disk));
			fake_disk_close(&disk);
		}
	}
}

static void many_ranges_are_all_done(void **state)
{
	for (unsigned i = 0; i < N_FAKE_WAYS; i++) {
		struct range ranges[BLK_RANGES_MAX];
		struct fake_disk disk;

		if (!fake_disk_open(&disk, &fake_ways[i], SIZE))
			continue;
		fill(&disk);
		/* The middle half of the disk, backwards, in turn with and without holes. */
		for (unsigned k = 0; k < BLK_RANGES_MAX; k++)
			ranges[k] = (struct range){ SECTORS * 3 / 4 - (k + 1) * 16, 16, k % 2 };
		assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, ranges, BLK_RANGES_MAX), 0);
		check(&disk, SECTORS * 3 / 4 - BLK_RANGES_MAX * 16, BLK_RANGES_MAX * 16);
		ranges[0].sectors = 0;
		assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 1), 0);
		fake_disk_close(&disk);
	}
}

/* The second range of two is wrong: the first must not have been done either. */
static void a_list_with_a_wrong_range_changes_nothing(void **state)
{
	static const struct {
		const char *what;
		uint32_t type;
		struct range range;
		uint8_t status;
	} cases[] = {
		{ "past the end", 0, { SECTORS - 1, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ "behind the end", 0, { SECTORS + 1, 1, 0 }, VIRTIO_BLK_S_IOERR },
		{ "wraps", 0, { UINT64_MAX, 1, 0 }, VIRTIO_BLK_S_IOERR },
		{ "wraps in bytes", 0, { UINT64_MAX / 512 + 1, 1, 0 }, VIRTIO_BLK_S_IOERR },
		{ "longest", 0, { 0, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR },
		{ "unknown flag", 0, { 0, 1, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ "all flags", 0, { 0, 1, UINT32_MAX }, VIRTIO_BLK_S_UNSUPP },
		{ "discard with unmap", VIRTIO_BLK_T_DISCARD, { 0, 1, 1 }, VIRTIO_BLK_S_UNSUPP },
	};

	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t type = i % 2 ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES;
		struct range ranges[] = { { 0, SECTORS, 0 }, cases[i / 2].range };
		struct fake_disk disk;

		if (cases[i / 2].type && cases[i / 2].type != type)
			continue;
		assert_true(fake_disk_open(&disk, &fake_ways[0], SIZE));
		fill(&disk);
		if (ask(&disk, type, ranges, 2) != cases[i / 2].status)
			fail_msg("%s", cases[i / 2].what);
		check(&disk, 0, 0);
		fake_disk_close(&disk);
	}
}

static void a_list_of_a_wrong_length_is_refused(void **state)
{
	static const size_t lengths[] = { 0, 1, 15, 17, 31, (BLK_RANGES_MAX + 1) * 16 };
	static char zeros[(BLK_RANGES_MAX + 1) * 16];
	static const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };

	for (unsigned i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct fake_disk disk;

		assert_true(fake_disk_open(&disk, &fake_ways[0], SIZE));
		assert_int_equal(fake_io(&disk.queue, types[i % 2], 0, zeros, lengths[i / 2]),
		                 VIRTIO_BLK_S_IOERR);
		fake_disk_close(&disk);
	}
}

/* More than a request may, on a disk that is large enough. */
static void limits_hold(void **state)
{
	static const struct {
		uint32_t type, sectors;
		uint8_t status;
	} cases[] = {
		{ VIRTIO_BLK_T_DISCARD, BLK_DISCARD_SECTORS_MAX, VIRTIO_BLK_S_OK },
		{ VIRTIO_BLK_T_DISCARD, BLK_DISCARD_SECTORS_MAX + 1, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, BLK_ZEROES_SECTORS_MAX, VIRTIO_BLK_S_OK },
		{ VIRTIO_BLK_T_WRITE_ZEROES, BLK_ZEROES_SECTORS_MAX + 1, VIRTIO_BLK_S_IOERR },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct range range = { 0, cases[i].sectors, cases[i].type & 2 ? 0 : UNMAP };
		struct fake_disk disk;

		assert_true(fake_disk_open(&disk, &fake_ways[1], 4ull << 30));
		assert_int_equal(ask(&disk, cases[i].type, &range, 1), cases[i].status);
		fake_disk_close(&disk);
	}
}

static void what_was_not_negotiated_is_not_done(void **state)
{
	struct range range = { 0, 8, 0 };
	struct fake_disk disk;

	assert_true(fake_disk_open(&disk, &fake_ways[0], SIZE));
	fill(&disk);
	blk_ops.features_set(disk.queue.blk, 1ull << VIRTIO_BLK_F_DISCARD);
	assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), VIRTIO_BLK_S_UNSUPP);
	blk_ops.features_set(disk.queue.blk, 1ull << VIRTIO_BLK_F_WRITE_ZEROES);
	assert_int_equal(ask(&disk, VIRTIO_BLK_T_DISCARD, &range, 1), VIRTIO_BLK_S_UNSUPP);
	check(&disk, 0, 0);
	fake_disk_close(&disk);
}

static void a_read_only_disk_keeps_what_it_has(void **state)
{
	struct range range = { 0, 8, 0 };
	struct fake_disk disk;
	uint64_t offered;

	assert_true(fake_disk_open(&disk, &fake_ways[0], SIZE));
	fill(&disk);
	disk.storage.read_only = true;
	offered = blk_ops.features(disk.queue.blk);
	assert_false(offered & (1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(ask(&disk, VIRTIO_BLK_T_WRITE_ZEROES, &range, 1), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(&disk, VIRTIO_BLK_T_DISCARD, &range, 1), VIRTIO_BLK_S_IOERR);
	check(&disk, 0, 0);
	fake_disk_close(&disk);
}

/* What the kernel says to each call, and what is made of it. */
static void what_a_file_system_does_not_know_is_done_otherwise(void **state)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const int range = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	const struct {
		enum transfer_op op;
		bool unmap, durable;
		struct {
			enum zeroes_kind kind;
			int mode;
			ssize_t result;
		} calls[4];
		int error;
	} cases[] = {
		{ TRANSFER_DISCARD, false, false, { { ZEROES_FALLOCATE, punch, 0 } }, 0 },
		{ TRANSFER_DISCARD,
		  false,
		  false,
		  { { ZEROES_FALLOCATE, punch, -EOPNOTSUPP }, { ZEROES_IOCTL, 0, 0 } },
		  0 },
		{ TRANSFER_DISCARD,
		  false,
		  false,
		  { { ZEROES_FALLOCATE, punch, -EOPNOTSUPP }, { ZEROES_IOCTL, 0, -ENOTTY } },
		  0 },
		{ TRANSFER_DISCARD, false, false, { { ZEROES_FALLOCATE, punch, -EIO } }, -EIO },
		{ TRANSFER_ZERO, false, false, { { ZEROES_FALLOCATE, range, 0 } }, 0 },
		{ TRANSFER_ZERO, true, false, { { ZEROES_FALLOCATE, punch, 0 } }, 0 },
		{ TRANSFER_ZERO,
		  true,
		  false,
		  { { ZEROES_FALLOCATE, punch, -EOPNOTSUPP },
		    { ZEROES_FALLOCATE, range, -EINTR },
		    { ZEROES_FALLOCATE, range, -ENOSPC } },
		  -ENOSPC },
		{ TRANSFER_ZERO,
		  false,
		  true,
		  { { ZEROES_FALLOCATE, range, -EOPNOTSUPP },
		    { ZEROES_WRITE, 0, 1000 },
		    { ZEROES_WRITE, 0, 3096 } },
		  0 },
		{ TRANSFER_ZERO,
		  false,
		  false,
		  { { ZEROES_FALLOCATE, range, -EOPNOTSUPP }, { ZEROES_WRITE, 0, 0 } },
		  -EIO },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct transfer t = { .op = cases[i].op,
			              .unmap = cases[i].unmap,
			              .durable = cases[i].durable,
			              .offset = 8192,
			              .left = 4096 };
		bool done = false;

		for (unsigned k = 0; !done; k++) {
			struct zeroes_step step = zeroes_next(&t);

			assert_true(k < 4);
			assert_int_equal(step.kind, cases[i].calls[k].kind);
			if (step.kind == ZEROES_FALLOCATE)
				assert_int_equal(step.mode, cases[i].calls[k].mode);
			if (step.kind == ZEROES_WRITE)
				assert_int_equal(step.len, t.left);
			done = transfer_advance(&t, cases[i].calls[k].result);
		}
		assert_int_equal(t.error, cases[i].error);
	}
}

/* fallocate(2) knows no RWF_DSYNC. */
static void a_stable_zeroing_is_flushed(void **state)
{
	struct transfer t = { .op = TRANSFER_ZERO, .durable = true, .left = 4096 };

	assert_false(transfer_advance(&t, 0));
	assert_int_equal(t.op, TRANSFER_FLUSH);
	assert_true(transfer_advance(&t, 0));
	assert_int_equal(t.error, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroes_are_read_back_by_every_engine),
		cmocka_unit_test(ranges_need_not_be_whole_pages),
		cmocka_unit_test(sparse_files_stay_sparse),
		cmocka_unit_test(many_ranges_are_all_done),
		cmocka_unit_test(a_list_with_a_wrong_range_changes_nothing),
		cmocka_unit_test(a_list_of_a_wrong_length_is_refused),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(what_was_not_negotiated_is_not_done),
		cmocka_unit_test(a_read_only_disk_keeps_what_it_has),
		cmocka_unit_test(what_a_file_system_does_not_know_is_done_otherwise),
		cmocka_unit_test(a_stable_zeroing_is_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
