/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/quick.h"

#include <time.h>

#include "devices/transfer.h"

#define PAGE 4096u
/* More than that keeps the thread for long even where it is but copied. */
#define WRITE_MOST (UINT64_C(128) << 10)
/* A write that took longer has slept. */
#define SLOW_NS INT64_C(2000000)
/* After it, no other for so many times as long. */
#define PAUSE 20

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void quick_init(struct quick *quick, const struct storage *storage)
{
	bool cached = storage->nowait && !storage->direct;

	/* In memory a plain call, the engine's, can't sleep either. */
	*quick = (struct quick){
		.fd = storage->fd,
		.on = cached || storage->window,
		.reads = cached && !storage->in_memory,
		.writes = cached && !storage->in_memory,
		.window = storage->window,
		.seen = storage->window ? window_seen_new() : NULL,
	};
}

void quick_done(struct quick *quick)
{
	window_seen_free(quick->seen);
	*quick = (struct quick){ 0 };
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

static bool read_window(struct quick *quick, struct transfer *transfer)
{
	if (!window_read(quick->window, quick->seen, transfer->offset, transfer->left,
	                 transfer->iov, transfer->n_iov))
		return false;
	transfer->left = 0;
	return true;
}

bool quick_try(struct quick *quick, struct transfer *transfer)
{
	if (!quick->on)
		return false;
	switch (transfer->op) {
	case TRANSFER_READ:
		if (quick->seen && read_window(quick, transfer))
			return true;
		return quick->reads && transfer_try(transfer, quick->fd);
	case TRANSFER_WRITE:
		return quick->writes && is_quick_write(transfer) && write_timed(quick, transfer);
	case TRANSFER_DISCARD:
	case TRANSFER_ZERO:
		if (quick->window)
			window_forget(quick->window);
		return false;
	default: return false;
	}
}
