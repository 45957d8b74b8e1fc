/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole front-end against a back-end that says whatever the input says. What it
 * sends is always a message of the table; what it gives is what is mapped; after
 * an unmap that has succeeded the back-end holds nothing of it (rules E1 to E3 of
 * docs/iotlb.md); no call waits longer than it was allowed to.
 */
#include "frontend.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <vhu/log.h>

#include "iommu/iommu.h"

#define STEPS_MAX  200u
#define FDS_MAX    256
#define TIMEOUT_MS 100
/* Requests that one call makes at most, each of which may wait. */
#define WAITS_MAX 12

static struct vhu_guestmem *memory;
static bool loud;
static struct pollfd fds_before[FDS_MAX];

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

void expect_result(struct play *play, int result)
{
	assert_true(result <= 0 && result > -4096);
	/* Once lost it is lost. */
	if (play->n_lost)
		assert_true(result != -ETIMEDOUT && result != -EREMOTEIO);
	if (result)
		assert_true(strlen(vhu_frontend_error(play->frontend)) < 400);
	assert_true(play->n_lost <= 1);
}

/* Callbacks may not call the front-end, and are told so. */
static void config_changed(void *opaque)
{
	struct play *play = opaque;
	uint8_t status;
	int result = vhu_frontend_get_status(play->frontend, &status);

	assert_true(result == -EDEADLK || result == -EOPNOTSUPP);
}

static void lost(void *opaque)
{
	struct play *play = opaque;

	play->n_lost++;
	assert_true(vhu_frontend_run(play->frontend, -1) < 0);
}

static void map(struct play *play)
{
	unsigned first = input_below(play->input, UNITS), n = 1 + input_below(play->input, 16);
	unsigned target = input_u8(play->input);
	uint64_t uva;
	bool free = true, sure = true;
	int result;

	if (n > UNITS - first)
		n = UNITS - first;
	uva = (uintptr_t)vhu_guestmem_ptr(memory, 0, 1) + target % 32 * UNIT;
	for (unsigned i = first; i < first + n; i++) {
		free = free && play->units[i].state == UNIT_FREE;
		sure = sure && play->units[i].state != UNIT_UNSURE;
	}
	result = vhu_iommu_map(play->iommu, first * UNIT, n * UNIT, uva,
	                       (uint8_t)(1 + target / 32 % 3));
	if (play->loud)
		fprintf(stderr, "map of %u units at %u: %d\n", n, first, result);
	assert_true(result == 0 || result == -EEXIST);
	if (sure)
		assert_int_equal(result == 0, free);
	for (unsigned i = 0; i < n && !result; i++) {
		struct unit *unit = &play->units[first + i];

		assert_false(unit->held);
		unit->state = UNIT_MAPPED;
		unit->uva = uva + i * UNIT;
		unit->perm = (uint8_t)(1 + target / 32 % 3);
	}
}

static void unmap(struct play *play)
{
	unsigned first = input_below(play->input, UNITS), n = 1 + input_below(play->input, UNITS);
	int result;

	if (n > UNITS - first)
		n = UNITS - first;
	result = vhu_iommu_unmap(play->iommu, first * UNIT, n * UNIT);
	if (play->loud)
		fprintf(stderr, "unmap of %u units from %u: %d\n", n, first, result);
	assert_true(result <= 0);
	if (!result)
		peer_expect_not_held(play, first, n);
	for (unsigned i = first; i < first + n; i++) {
		struct unit *unit = &play->units[i];

		if (!result)
			unit->state = UNIT_FREE;
		else if (unit->state == UNIT_MAPPED)
			unit->state = UNIT_UNSURE;
	}
}

static void change_memory(struct play *play)
{
	unsigned what = input_u8(play->input), n;
	const struct vhu_region *regions = vhu_guestmem_regions(memory, &n);
	unsigned first = what & 1;

	n = what & 2 ? 1 : n - first;
	if (what & 4)
		expect_result(play, vhu_frontend_remove_memory(play->frontend, &regions[first]));
	else
		expect_result(play, vhu_frontend_add_memory(play->frontend, &regions[first], n));
}

static void change_config(struct play *play)
{
	unsigned offset = input_u8(play->input), len = input_u8(play->input);
	unsigned char *bytes = calloc(1, len + 1);

	assert_non_null(bytes);
	if (offset & 1)
		expect_result(play, vhu_frontend_set_config(play->frontend, offset, bytes, len,
		                                            offset & 2));
	else
		expect_result(play, vhu_frontend_get_config(play->frontend, offset, bytes, len));
	free(bytes);
}

static void change_status(struct play *play)
{
	unsigned what = input_u8(play->input);
	uint8_t status;

	if (what % 3 == 0)
		expect_result(play, vhu_frontend_set_status(play->frontend, (uint8_t)what));
	else if (what % 3 == 1)
		expect_result(play, vhu_frontend_get_status(play->frontend, &status));
	else
		expect_result(play, vhu_frontend_reset_device(play->frontend));
}

static void change_ring(struct play *play)
{
	unsigned what = input_u8(play->input), index = what / 4 % 4;
	struct vhu_vring_setup setup = { .num = 8, .kick_fd = 0, .call_fd = -1, .err_fd = -1 };
	uint16_t base;

	if (what % 4 == 0)
		expect_result(play, vhu_frontend_vring_start(play->frontend, index, &setup));
	else if (what % 4 == 1)
		expect_result(play, vhu_frontend_vring_stop(play->frontend, index, &base));
	else
		expect_result(play,
		              vhu_frontend_vring_enable(play->frontend, index, what % 4 == 2));
}

static void set_features(struct play *play)
{
	unsigned what = input_u8(play->input);
	uint64_t features = VHU_BIT(32);

	features |= what & 1 ? 0 : VHU_BIT(33);
	features |= what & 2 ? VHU_BIT(what / 4) : 0;
	expect_result(play, vhu_frontend_set_features(play->frontend, features));
}

static void run(struct play *play)
{
	int result = vhu_frontend_run(play->frontend, input_below(play->input, 16));

	expect_result(play, result);
	if (play->n_lost)
		assert_int_equal(result, -ENOTCONN);
}

/* The process that held what an unmap could not take back is known to be dead. */
static void forget_exposed(struct play *play)
{
	vhu_iommu_forget_exposed(play->iommu);
	assert_int_equal(vhu_iommu_exposed(play->iommu), 0);
	for (unsigned i = 0; i < UNITS; i++) {
		struct unit *unit = &play->units[i];

		if (unit->state == UNIT_UNSURE)
			*unit = (struct unit){ .ever = unit->ever };
	}
}

static void look(struct play *play)
{
	struct vhu_frontend_stats stats;
	uint64_t exposed = vhu_iommu_exposed(play->iommu);

	assert_true(exposed % UNIT == 0 && exposed <= UNITS * UNIT);
	vhu_frontend_stats(play->frontend, &stats);
	assert_true(stats.updates_refused <= stats.updates);
	assert_true(vhu_frontend_queues(play->frontend) <= 256);
	if (input_below(play->input, 4) == 0)
		forget_exposed(play);
}

static void step(struct play *play)
{
	switch (input_below(play->input, 16)) {
	case 0: expect_result(play, vhu_frontend_negotiate(play->frontend)); break;
	case 1: set_features(play); break;
	case 2: change_memory(play); break;
	case 3: change_config(play); break;
	case 4: change_status(play); break;
	case 5: change_ring(play); break;
	case 6:
	case 7: map(play); break;
	case 8: unmap(play); break;
	case 9:
	case 10: run(play); break;
	case 11: peer_step(play); break;
	case 12:
	case 13: vq_step(play); break;
	case 14: look(play); break;
	default: play->polite = !play->polite; break;
	}
}

static void begin(struct play *play, unsigned how)
{
	const struct vhu_iommu_config iommu = { .policy = VHU_IOMMU_PAGE };
	struct vhu_frontend_config config = {
		.timeout_ms = TIMEOUT_MS,
		.config_changed = config_changed,
		.lost = lost,
		.opaque = play,
	};
	int other;

	play->polite = how & 1;
	play->memory = memory;
	end_open(&play->main, &other);
	end_take(&play->back, -1);
	assert_int_equal(vhu_iommu_new(&iommu, &play->iommu), 0);
	config.iommu = how & 2 ? NULL : play->iommu;
	assert_int_equal(vhu_frontend_new(&config, other, &play->frontend), 0);
	memset(vhu_guestmem_ptr(memory, 0, MEMORY), 0, MEMORY);
	/* So that much of the tape is not needed to get anywhere. */
	if (how & 4) {
		play->polite = true;
		expect_result(play, vhu_frontend_negotiate(play->frontend));
		expect_result(play,
		              vhu_frontend_set_features(play->frontend, VHU_BIT(32) | VHU_BIT(33)));
	}
}

static void end(struct play *play)
{
	vq_stop_all(play);
	peer_hear(play);
	vhu_frontend_free(play->frontend);
	vhu_iommu_free(play->iommu);
	end_close(&play->main);
	end_close(&play->back);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const uint64_t sizes[FILES] = { FILE_SIZE, FILE_SIZE };

	loud = getenv("FUZZ_LOG") != NULL;
	vhu_log_set(take_line, NULL, VHU_LOG_DEBUG);
	fuzz_init();
	assert_int_equal(vhu_guestmem_new(sizes, FILES, &memory), 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct play play;
	struct input input = { data, size };
	unsigned how = input_u8(&input);

	look_at_fds(fds_before);
	memset(&play, 0, sizeof(play));
	play.input = &input;
	play.loud = loud;
	wait_set(&play);
	begin(&play, how);
	for (unsigned n = 0; n < STEPS_MAX && !input_is_over(&input); n++) {
		int64_t before = play.now_ms;

		step(&play);
		assert_true(iommu_check(play.iommu));
		assert_true(play.now_ms - before <= WAITS_MAX * (TIMEOUT_MS + 2));
	}
	end(&play);
	wait_set(NULL);
	expect_fds_as_before();
	return 0;
}
