/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases: split rings and well-meant chains. */
#include "blk.h"
#include "io.h"
#include "suite_backend.h"

static void data_comes_back(struct front *f)
{
	struct span out, in;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	out = front_alloc(f, 1024);
	in = front_alloc(f, 1024);
	front_pattern(&out, 7);
	io_out(f, &out, 1);
	io_expect_done(f);
	io_expect_saw(f, &out, 1);
	io_in(f, &in, 1);
	io_expect_done(f);
	io_expect_same(f, &in, 1, &out, 1);
	expect_canaries(f);
}

static void several_segments(struct front *f)
{
	struct span out[4];

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	for (unsigned i = 0; i < 4; i++) {
		out[i] = front_alloc(f, 256);
		front_pattern(&out[i], i);
	}
	io_out(f, out, 4);
	io_expect_done(f);
	io_expect_saw(f, out, 4);
	expect_canaries(f);
}

static void get_id(struct front *f)
{
	struct span id;

	front_open(f, &(struct front_setup){ 0 });
	io_start(f);
	id = front_alloc(f, VIRTIO_BLK_ID_BYTES);
	EXPECT_EQUAL(f, blk_do(f, VIRTIO_BLK_T_GET_ID, 0, &id, 1), VIRTIO_BLK_S_OK,
	             "status of GET_ID");
}

static const struct conform_case cases[] = {
	{
		.id = "ring.data-comes-back",
		.title = "what the device was given to read it writes again",
		.rule = "virtio 1.2, 2.7",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .echo = true },
		.backend = data_comes_back,
	},
	{
		.id = "ring.several-segments",
		.title = "data in several descriptors is read in their order",
		.rule = "virtio 1.2, 2.7.4",
		.level = LEVEL_MUST,
		.needs = { .device = DEVICE_IO, .echo = true },
		.backend = several_segments,
	},
	{
		.id = "ring.disk-has-an-id",
		.title = "a disk answers GET_ID",
		.rule = "virtio 1.2, 5.2.6",
		.level = LEVEL_SHOULD,
		.needs.device = DEVICE_BLK,
		.backend = get_id,
	},
};

const struct conform_area area_ring = AREA("ring", "split rings and chains", cases);
