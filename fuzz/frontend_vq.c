/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues of a front-end whose device writes what it likes into their rings. */
#include <errno.h>

#include "base/fd.h"
#include "frontend.h"
#include "vring/layout.h"

#define NUM     8u
#define ENTRIES 4u

static char *queue_memory(struct play *play, unsigned q)
{
	return vhu_guestmem_ptr(play->memory, q * FILE_SIZE, FILE_SIZE);
}

/* As vhu_vq_start() lays it out: the used ring on a page of its own. */
static char *used_ring(struct play *play, unsigned q)
{
	return queue_memory(play, q) + PAGE;
}

static void start(struct play *play, unsigned q, unsigned how)
{
	const struct vhu_vq_config config = {
		.index = how & 4 ? how : q,
		.num = (uint16_t)(how & 8 ? how : NUM),
		.event_idx = how & 16,
		.table_entries = how & 32 ? ENTRIES : 0,
		.mem = queue_memory(play, q),
		.addr = q * FILE_SIZE,
		.buffer_addr = q * FILE_SIZE,
	};

	if (play->queues[q] || vhu_vq_bytes(config.num, ENTRIES) > FILE_SIZE)
		return;
	memset(play->out[q], 0, sizeof(play->out[q]));
	expect_result(play, vhu_vq_start(play->frontend, &config, &play->queues[q]));
}

static void add(struct play *play, unsigned q, unsigned what)
{
	struct vhu_buffer buffers[6];
	unsigned n = what % 7, token = what / 8 % TOKENS;
	int result;

	if (play->out[q][token])
		return;
	for (unsigned i = 0; i < n; i++)
		buffers[i] = (struct vhu_buffer){ i * PAGE, 100, i >= n / 2 };
	result = vhu_vq_add(play->queues[q], buffers, n, &play->out[q][token]);
	assert_true(result == 0 || result == -ENOSPC || (result == -EINVAL && !n));
	play->out[q][token] = !result;
	vhu_vq_kick(play->queues[q]);
}

/* What comes back is out, and comes back once. */
static void get(struct play *play, unsigned q)
{
	uint32_t written;
	void *token;
	int result = vhu_vq_get(play->queues[q], &token, &written);

	assert_true(result == 1 || result == 0 || result == -EPROTO);
	if (result != 1)
		return;
	assert_true((bool *)token >= play->out[q] && (bool *)token < play->out[q] + TOKENS);
	assert_true(*(bool *)token);
	*(bool *)token = false;
}

static void use(struct play *play, unsigned q, unsigned what)
{
	struct ring_used_elem elem = { what / 2 % 16, what };
	char *used = used_ring(play, q);
	uint16_t index;

	memcpy(&index, used + RING_INDEX_OFFSET, sizeof(index));
	memcpy(used + used_elem_offset(NUM, index), &elem, sizeof(elem));
	index = (uint16_t)(index + (what & 1 ? 1 : what / 32));
	memcpy(used + RING_INDEX_OFFSET, &index, sizeof(index));
	fd_signal(vhu_vq_call_fd(play->queues[q]));
}

static void stop(struct play *play, unsigned q)
{
	expect_result(play, vhu_vq_stop(play->queues[q]));
	vhu_vq_free(play->queues[q]);
	play->queues[q] = NULL;
}

void vq_step(struct play *play)
{
	unsigned what = input_u8(play->input), q = what / 8 % QUEUES, more = input_u8(play->input);
	int result;

	if (!play->queues[q]) {
		start(play, q, more);
		return;
	}
	switch (what % 8) {
	case 0: stop(play, q); break;
	case 1:
	case 2: add(play, q, more); break;
	case 3: get(play, q); break;
	case 4: use(play, q, more); break;
	case 5:
		result = vhu_vq_wait(play->queues[q], more % 32);
		if (result != 1)
			expect_result(play, result);
		break;
	case 6: vhu_vq_arm(play->queues[q]); break;
	default: used_ring(play, q)[input_u8(play->input) % 100] = (char)more; break;
	}
}

void vq_stop_all(struct play *play)
{
	for (unsigned q = 0; q < QUEUES; q++) {
		vhu_vq_free(play->queues[q]);
		play->queues[q] = NULL;
	}
}
