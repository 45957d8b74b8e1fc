/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ring whose driver writes whatever the input says, while the device takes
 * chains, gives them back, loses its mapping and gains it again. Every part ends
 * where its memory ends; the device may write its own part alone, and shows the
 * driver exactly what it was given.
 */
#include "input.h"
#include "unit/vring/yard.h"

#define STEPS_MAX 96u

static const struct shape {
	uint16_t num;
	bool event_idx;
	unsigned piece;
} shapes[] = {
	{ 1, false, 0 }, { 2, true, 1 },    { 4, false, 0 },  { 4, true, 0 },
	{ 8, true, 37 }, { 16, false, 13 }, { 256, true, 0 }, { 256, false, 1000 },
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* What the input drives: the yard, and what the device was given of it. */
struct play {
	struct input *input;
	struct yard *yard;
	uint16_t out[CHAIN_LIMIT_MAX]; /* heads taken and not put */
	unsigned n_out;
	bool is_out[CHAIN_LIMIT_MAX];
	uint16_t put; /* used index beyond what was put */
	bool put_known;
};

static struct yard yards[SHAPES];
static char before[ZONES][ZONE_SIZE];

static void remember(const struct yard *yard)
{
	for (unsigned i = 0; i < ZONES; i++)
		memcpy(before[i], yard->zones[i].at[0], yard->zones[i].len);
}

static void expect_driver_parts_untouched(const struct yard *yard)
{
	for (unsigned i = 0; i < ZONES; i++)
		if (i != ZONE_USED)
			assert_memory_equal(before[i], yard->zones[i].at[0], yard->zones[i].len);
}

/* Numbers near the ones that matter are likelier than others. */
static uint32_t near(struct input *input, uint32_t value)
{
	unsigned what = input_u8(input);

	return what < 200 ? value + what % 16 - 4 : input_u32(input);
}

static void write_desc(struct play *play)
{
	struct zone *zone =
		&play->yard->zones[input_below(play->input, 2) ? ZONE_TABLE : ZONE_DESC];
	unsigned i = input_u8(play->input) % (zone->len / 16);
	unsigned what = input_u8(play->input);
	struct zone *table = &play->yard->zones[ZONE_TABLE];
	struct ring_desc desc = {
		.addr = htole64(table->addr + (what & 8 ? near(play->input, table->len) : 0)),
		.len = htole32(what & 16 ? near(play->input, table->len)
		                         : 16 * input_u8(play->input)),
		.flags = htole16(what & 7),
		.next = htole16((uint16_t)(what & 32 ? near(play->input, zone->len / 16) : i + 1)),
	};

	if (what & 64)
		desc.addr = htole64(input_u64(play->input));
	memcpy(zone->at[0] + 16 * i, &desc, sizeof(desc));
}

static void poke(struct play *play)
{
	struct zone *zone = &play->yard->zones[input_below(play->input, ZONES)];
	uint32_t at = input_u16(play->input) % zone->len, n = 1 + input_below(play->input, 8);

	input_bytes(play->input, zone->at[0] + at, n < zone->len - at ? n : zone->len - at);
}

static void show_head(struct play *play)
{
	char *avail = play->yard->zones[ZONE_AVAIL].at[0];
	uint16_t head = htole16(input_u8(play->input)), index;

	memcpy(&index, avail + RING_INDEX_OFFSET, 2);
	index = le16toh(index);
	memcpy(avail + avail_entry_offset(play->yard->config.num, index), &head, 2);
	index = htole16((uint16_t)(index + 1));
	memcpy(avail + RING_INDEX_OFFSET, &index, 2);
}

static void jump(struct play *play)
{
	uint16_t index = (uint16_t)near(play->input, play->yard->ring.next_avail);

	index = htole16(index);
	memcpy(play->yard->zones[ZONE_AVAIL].at[0] + RING_INDEX_OFFSET, &index, 2);
}

static void load_table(struct yard *yard)
{
	struct hole at[4];
	struct hole_list holes = { .holes = at, .cap = 4 };
	const char *fault = NULL;
	int rc = chain_load_table(&yard->chain, &yard->view, &holes, &fault);

	assert_true(rc == 0 || rc == -EAGAIN || rc == -EPROTO);
	assert_true((rc == -EAGAIN) == (holes.n != 0));
	if (rc == -EPROTO) {
		assert_non_null(fault);
		vring_break(&yard->ring, fault);
	}
}

static void take(struct play *play)
{
	struct yard *yard = play->yard;
	struct chain *chain = &yard->chain;
	int rc;

	if (!vring_is_mapped(&yard->ring))
		return;
	rc = vring_take(&yard->ring, chain);
	assert_true(rc == 1 || rc == 0 || (rc == -EPROTO && yard->ring.broken));
	if (rc != 1)
		return;
	if (play->is_out[chain->head]) {
		vring_break(&yard->ring, "twice");
		vring_untake(&yard->ring, 1);
		return;
	}
	if (chain->table.len)
		load_table(yard);
	yard_check_chain(yard);
	if (input_below(play->input, 8) == 0) {
		vring_untake(&yard->ring, 1);
		return;
	}
	play->is_out[chain->head] = true;
	play->out[play->n_out++] = chain->head;
	assert_true(play->n_out <= yard->config.num);
}

static void put(struct play *play)
{
	unsigned i;
	uint16_t head;

	if (!play->n_out || !vring_is_mapped(&play->yard->ring))
		return;
	i = input_u8(play->input) % play->n_out;
	head = play->out[i];
	play->out[i] = play->out[--play->n_out];
	play->is_out[head] = false;
	vring_put(&play->yard->ring, head, head + 1u);
	play->put++;
}

/* The driver sees the index, and behind it the element put last if it did not touch that. */
static void publish(struct play *play)
{
	struct vring *ring = &play->yard->ring;
	const char *used = play->yard->zones[ZONE_USED].at[0];
	bool any = ring->next_used != ring->published;
	uint16_t index;

	if (!vring_is_mapped(ring))
		return;
	vring_publish(ring);
	memcpy(&index, used + RING_INDEX_OFFSET, 2);
	if (any)
		assert_int_equal(le16toh(index), play->put);
	vring_wants_call(ring);
	assert_false(vring_wants_call(ring));
}

static void map(struct play *play)
{
	struct vring *ring = &play->yard->ring;
	struct hole at[3];
	struct hole_list holes = { .holes = at, .cap = 3 };

	if (vring_is_mapped(ring)) {
		publish(play);
		vring_unmap(ring);
		return;
	}
	assert_int_equal(vring_map(ring, &play->yard->view, &holes), 0);
	if (!play->put_known)
		play->put = ring->next_used;
	play->put_known = true;
}

static void restart(struct play *play)
{
	struct yard *yard = play->yard;

	yard->config.avail_base = input_u16(play->input);
	yard->config.indirect = input_below(play->input, 4);
	assert_int_equal(vring_start(&yard->ring, &yard->config), 0);
	play->n_out = 0;
	memset(play->is_out, 0, sizeof(play->is_out));
	play->put_known = false;
	map(play);
}

/* Addresses as a front-end may send them: right, or not to be taken. */
static void move(struct play *play)
{
	struct vring *ring = &play->yard->ring;
	struct vring_config config = play->yard->config;
	bool right;

	if (input_below(play->input, 2)) {
		config.desc += near(play->input, 0);
		config.used += (uint64_t)near(play->input, 0) << input_below(play->input, 64);
	}
	right = config.desc == play->yard->config.desc && config.used == play->yard->config.used;
	publish(play);
	if (vring_move(ring, &config))
		assert_false(right);
	if (!right)
		assert_true(vring_move(ring, &play->yard->config) == 0);
}

static void step(struct play *play)
{
	struct vring *ring = &play->yard->ring;

	switch (input_below(play->input, 16)) {
	case 0:
	case 1:
	case 2: write_desc(play); break;
	case 3: poke(play); break;
	case 4:
	case 5: show_head(play); break;
	case 6: jump(play); break;
	case 7:
	case 8: take(play); break;
	case 9: put(play); break;
	case 10: publish(play); break;
	case 11: map(play); break;
	case 12:
		if (vring_is_mapped(ring))
			vring_quiet(ring);
		break;
	case 13:
		if (vring_is_mapped(ring))
			vring_arm(ring);
		break;
	case 14: move(play); break;
	default: restart(play); break;
	}
}

/* A step is the driver's or the device's: only the latter leaves the driver's parts alone. */
static bool next_is_drivers(const struct input *input)
{
	return input->left && input->at[0] % 16 <= 6;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_init();
	for (unsigned i = 0; i < SHAPES; i++)
		yard_init(&yards[i], shapes[i].num, shapes[i].event_idx, shapes[i].piece);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct play play = { .input = &input, .yard = &yards[input_below(&input, SHAPES)] };

	for (unsigned i = 0; i < ZONES; i++)
		memset(play.yard->zones[i].at[0], 0, play.yard->zones[i].len);
	restart(&play);
	for (unsigned n = 0; n < STEPS_MAX && !input_is_over(&input); n++) {
		bool drivers = next_is_drivers(&input);

		remember(play.yard);
		step(&play);
		if (!drivers)
			expect_driver_parts_untouched(play.yard);
		assert_true(vring_check(&play.yard->ring));
	}
	return 0;
}
