/* SPDX-License-Identifier: BSD-3-Clause */
#include "hostile.h"

struct ring *hostile_begin(struct front *f, bool tables)
{
	front_open(f, &(struct front_setup){ .features = tables ? FRONT_INDIRECT : 0 });
	io_start_with(f, &(struct ring_setup){ .num = HOSTILE_NUM, .indirect = tables });
	return &f->rings[io_out_ring(f)];
}

struct span hostile_header(struct front *f)
{
	struct span span = front_alloc(f, 16);

	*(struct virtio_blk_outhdr *)span.ptr = (struct virtio_blk_outhdr){
		.type = VIRTIO_BLK_T_IN
	};
	return span;
}

void hostile_kick(struct front *f)
{
	front_kick(f, io_out_ring(f));
	front_wait_used(f, io_out_ring(f), 1, FRONT_QUIET);
	expect_canaries(f);
	expect_serves_anew(f);
}

void hostile_show(struct front *f, uint16_t head)
{
	ring_show(&f->rings[io_out_ring(f)], head);
	hostile_kick(f);
}
