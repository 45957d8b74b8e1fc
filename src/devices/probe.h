/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a file or block device is like that has just been opened: where it lies,
 * what direct I/O asks for, how it is best cut. Reads at most a block of it.
 *
 * Thread: the one that opens the storage.
 */
#ifndef DEVICES_PROBE_H
#define DEVICES_PROBE_H

#include "devices/storage.h"

/* Of a regular file or a block device: bytes. 0 or -errno. */
int probe_size(int fd, uint64_t *ret);

/* Fills in all but fd, size and what was asked for. 0, or -errno with *why. */
int probe_abilities(struct storage *storage, struct storage_fault *why);

int storage_fault(struct storage_fault *why, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
