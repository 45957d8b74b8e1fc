/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a front-end remembers of a ring that it has handed over, so that it can hand
 * it over once more; see frontend.h for when.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "frontend/frontend.h"

static int keep_fd(int fd, int *ret)
{
	*ret = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fd >= 0 && *ret < 0 ? -errno : 0;
}

void ring_close_setup(struct vhu_vring_setup *setup)
{
	fd_close(&setup->kick_fd);
	fd_close(&setup->call_fd);
	fd_close(&setup->err_fd);
}

void ring_forget(struct vhu_frontend *fe, struct ring *ring)
{
	if (!ring->started)
		return;
	ring_close_setup(&ring->setup);
	ring->started = false;
	fe->n_started--;
}

int ring_remember(struct vhu_frontend *fe, struct ring *ring, const struct vhu_vring_setup *setup)
{
	struct vhu_vring_setup copy = *setup;
	int error;

	copy.call_fd = copy.err_fd = -1;
	error = keep_fd(setup->kick_fd, &copy.kick_fd);
	if (!error)
		error = keep_fd(setup->call_fd, &copy.call_fd);
	if (!error)
		error = keep_fd(setup->err_fd, &copy.err_fd);
	if (error) {
		ring_close_setup(&copy);
		return frontend_fault(fe, error, "ring: %s", strerror(-error));
	}
	ring_forget(fe, ring);
	ring->started = true;
	ring->setup = copy;
	fe->n_started++;
	return 0;
}

/* Nothing else is known of it. */
uint16_t ring_base(const struct vhu_vring_setup *setup)
{
	const uint16_t *used = setup->used_ptr;

	return used ? __atomic_load_n(&used[1], __ATOMIC_ACQUIRE) : setup->base;
}

void rings_forget(struct vhu_frontend *fe, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		ring_forget(fe, &fe->rings[i]);
		fe->rings[i].enabled = false;
	}
}
