/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device of the soak. A request begins with a header that says what the rest
 * of what the device reads is, what it is to write, and when: at once, when the
 * batch ends, or from a thread of its own after a while, out of order, as an
 * asynchronous disk would. It ends the run if it reads anything else than the
 * header says.
 *
 * Threads: queues' functions on their workers; two threads of the device's own.
 */
#ifndef SOAK_DEVICE_H
#define SOAK_DEVICE_H

#include <stdint.h>

#include <vhu/device.h>

#define DEVICE_QUEUES 4u
#define DEVICE_MAGIC  UINT64_C(0x736f616b206f6b21)

enum device_when {
	DEVICE_NOW,
	DEVICE_BATCH_END,
	DEVICE_LATER,
};

/* What a request begins with, in what the device reads. */
struct device_header {
	uint64_t magic;
	uint64_t out_key; /* pattern of what follows the header */
	uint64_t in_key;  /* pattern to write */
	uint32_t when;    /* an enum device_when */
	uint32_t delay_us;
	uint32_t out_len; /* bytes that follow */
	uint32_t in_len;  /* bytes to write, the status not counted */
};

/* The last byte that the device writes. */
#define STATUS_NONE    0xff /* before */
#define STATUS_OK      0xa5
#define STATUS_REFUSED 0x5a

struct device;

struct device *device_new(void);
/* No server may use it any more. */
void device_free(struct device *device);

extern const struct vhu_device_ops device_ops;

#endif
