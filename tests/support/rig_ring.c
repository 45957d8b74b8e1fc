/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of the rig: the driver's side, handed over message by message. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>

#include "base/fd.h"
#include "support/rig.h"

#define NUM_DEFAULT 16u

static uint16_t ring_num(const struct rig_ring_config *config)
{
	return config->num ? config->num : NUM_DEFAULT;
}

/* Offsets as in vhu_vq_start(): avail behind the table, used on a page of its own. */
uint64_t rig_ring_used_offset(const struct rig_ring_config *config)
{
	return (16u * ring_num(config) + 6 + 2u * ring_num(config) + 4095) & ~UINT64_C(4095);
}

static uint64_t tables_offset(const struct rig_ring_config *config)
{
	return rig_ring_used_offset(config) +
	       ((6 + 8u * ring_num(config) + 4095) & ~UINT64_C(4095));
}

uint64_t rig_ring_bytes(const struct rig_ring_config *config)
{
	return tables_offset(config) +
	       ((16u * ring_num(config) * config->table_entries + UINT64_C(4095)) &
	        ~UINT64_C(4095));
}

void *rig_ptr(struct rig *rig, uint64_t gpa, uint64_t len)
{
	void *ptr = vhu_guestmem_ptr(rig->mem, gpa, len);

	assert_non_null(ptr);
	return ptr;
}

uint64_t rig_user_address(const struct rig *rig, uint64_t gpa)
{
	return rig->config.gpa_addresses ? gpa : (uintptr_t)rig->memory + gpa;
}

static bool translates(const struct rig *rig)
{
	return rig->features & VHU_BIT(VIRTIO_F_ACCESS_PLATFORM);
}

static void make_driver(struct rig *rig, struct rig_ring *ring,
                        const struct rig_ring_config *config)
{
	char *mem = rig_ptr(rig, config->gpa, rig_ring_bytes(config));
	const struct vring_driver_config driver = {
		.num = ring_num(config),
		.event_idx = config->event_idx,
		.desc = mem,
		.avail = mem + 16 * ring_num(config),
		.used = mem + rig_ring_used_offset(config),
		.tables = config->table_entries ? mem + tables_offset(config) : NULL,
		.tables_addr = (translates(rig) ? config->iova : config->gpa) +
		               tables_offset(config),
		.table_entries = config->table_entries,
	};

	vring_driver_free(ring->driver);
	ring->driver = NULL;
	assert_int_equal(vring_driver_new(&driver, &ring->driver), 0);
}

uint64_t rig_set_vring_addr(struct rig *rig, unsigned index, const struct rig_ring_config *config)
{
	uint64_t base = translates(rig) ? config->iova : rig_user_address(rig, config->gpa);
	struct message message;

	message_init(&message, VHU_FE_SET_VRING_ADDR);
	message.header.size = sizeof(message.payload.addr);
	message.payload.addr = (struct vhu_vring_addr){
		.index = index,
		.desc = base,
		.avail = base + 16u * ring_num(config),
		.used = base + rig_ring_used_offset(config),
	};
	return rig_call(rig, &message);
}

uint64_t rig_set_vring_fd(struct rig *rig, uint32_t request, unsigned index, int fd)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = index | (fd < 0 ? VHU_VRING_NOFD : 0);
	message.fds[0] = fd;
	message.n_fds = fd < 0 ? 0 : 1;
	return rig_call(rig, &message);
}

static void set_event(struct rig *rig, uint32_t request, unsigned index, int *fd)
{
	fd_close(fd);
	assert_int_equal(fd_event(fd), 0);
	assert_int_equal(rig_set_vring_fd(rig, request, index, *fd), 0);
}

void rig_ring_start(struct rig *rig, unsigned index, const struct rig_ring_config *config)
{
	struct rig_ring *ring = &rig->rings[index];

	make_driver(rig, ring, config);
	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_NUM, index, ring_num(config)), 0);
	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_BASE, index, config->base), 0);
	assert_int_equal(rig_set_vring_addr(rig, index, config), 0);
	/* It may have been enabled in an earlier life. */
	if (config->disabled && rig->features & VHU_BIT(VHU_F_PROTOCOL_FEATURES))
		rig_ring_enable(rig, index, false);
	set_event(rig, VHU_FE_SET_VRING_CALL, index, &ring->call);
	set_event(rig, VHU_FE_SET_VRING_ERR, index, &ring->err);
	set_event(rig, VHU_FE_SET_VRING_KICK, index, &ring->kick);
	if (!config->disabled)
		rig_ring_enable(rig, index, true);
}

void rig_ring_enable(struct rig *rig, unsigned index, bool enable)
{
	assert_int_equal(rig_set_state(rig, VHU_FE_SET_VRING_ENABLE, index, enable), 0);
}

uint32_t rig_ring_stop(struct rig *rig, unsigned index)
{
	struct rig_ring *ring = &rig->rings[index];
	uint32_t base = rig_get_vring_base(rig, index);

	vring_driver_free(ring->driver);
	ring->driver = NULL;
	fd_close(&ring->kick);
	fd_close(&ring->call);
	fd_close(&ring->err);
	return base;
}

void rig_add(struct rig *rig, unsigned index, const struct vring_buffer *buffers, unsigned n,
             void *token)
{
	assert_int_equal(vring_driver_add(rig->rings[index].driver, buffers, n, token), 0);
}

void rig_kick(struct rig *rig, unsigned index)
{
	vring_driver_kick_needed(rig->rings[index].driver);
	assert_int_equal(fd_signal(rig->rings[index].kick), 0);
}

bool rig_try_used(struct rig *rig, unsigned index, void **ret_token, uint32_t *ret_written)
{
	int error = 0;
	bool got = vring_driver_get(rig->rings[index].driver, ret_token, ret_written, &error);

	assert_int_equal(error, 0);
	return got;
}

/* Looks every few milliseconds, so that a call that is missing is not missed. */
void *rig_wait_used(struct rig *rig, unsigned index, uint32_t *ret_written)
{
	struct pollfd fds[] = {
		{ .fd = rig->rings[index].call, .events = POLLIN },
		{ .fd = rig->back, .events = POLLIN },
	};
	void *token;

	for (int ms = 0; ms < PEER_PATIENCE; ms += 5) {
		if (rig_try_used(rig, index, &token, ret_written))
			return token;
		poll(fds, rig->back < 0 ? 1 : 2, 5);
		if (fds[0].revents)
			fd_drain(rig->rings[index].call);
		if (rig->back >= 0 && fds[1].revents)
			rig_serve_misses(rig, 0);
	}
	fail_msg("queue %u: nothing used", index);
	return NULL;
}

void rig_expect_unused(struct rig *rig, unsigned index)
{
	struct pollfd poller = { .fd = rig->rings[index].call, .events = POLLIN };
	uint32_t written;
	void *token;

	poll(&poller, 1, PEER_QUIET);
	assert_false(rig_try_used(rig, index, &token, &written));
}

void rig_expect_ring_error(struct rig *rig, unsigned index)
{
	struct pollfd poller = { .fd = rig->rings[index].err, .events = POLLIN };

	if (poll(&poller, 1, PEER_PATIENCE) != 1)
		fail_msg("queue %u: no error was signalled", index);
	fd_drain(rig->rings[index].err);
}
