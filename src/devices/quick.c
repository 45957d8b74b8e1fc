/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/quick.h"

#include <time.h>

#include "devices/transfer.h"

#define PAGE 4096u
/* More than that keeps the thread for long even where it is but copied. */
#define WRITE_MOST (UINT64_C(128) << 10)
/* A write that took longer has slept. */
#define SLOW_NS INT64_C(1000000)
/* After it, no other for so many times as long. */
#define PAUSE 50

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void quick_init(struct quick *quick, const struct storage *storage)
{
	*quick = (struct quick){ .fd = storage->fd, .on = storage->nowait && !storage->direct };
}

/* A part of a page may have to be read before it is written. */
static bool is_quick_write(const struct transfer *transfer)
{
	return !transfer->durable && transfer->left <= WRITE_MOST &&
	       ((transfer->offset | transfer->left) & (PAGE - 1)) == 0;
}

static bool write_timed(struct quick *quick, struct transfer *transfer)
{
	int64_t start = now_ns(), end;

	if (start < quick->writes_from_ns)
		return false;
	transfer_run(transfer, quick->fd);
	end = now_ns();
	if (end - start > SLOW_NS)
		quick->writes_from_ns = end + (end - start) * PAUSE;
	return true;
}

bool quick_try(struct quick *quick, struct transfer *transfer)
{
	if (!quick->on)
		return false;
	if (transfer->op == TRANSFER_READ)
		return transfer_try(transfer, quick->fd);
	return transfer->op == TRANSFER_WRITE && is_quick_write(transfer) &&
	       write_timed(quick, transfer);
}
