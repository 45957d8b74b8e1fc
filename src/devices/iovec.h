/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cutting and copying arrays of iovecs in place. Elements of length 0 are
 * allowed everywhere. Pure; any thread.
 */
#ifndef DEVICES_IOVEC_H
#define DEVICES_IOVEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

uint64_t iovec_bytes(const struct iovec *iov, unsigned n);

/* Takes up to @bytes off the front: *iov and *n then are what is left. */
void iovec_drop_front(struct iovec **iov, unsigned *n, uint64_t bytes);

/* Takes the last byte off and gives its address; NULL if there is none. */
void *iovec_drop_last(struct iovec *iov, unsigned *n);

/* Copies between the front of the array and @buf; bytes copied, less than @len
 * only where the array is shorter. */
size_t iovec_read(const struct iovec *iov, unsigned n, void *buf, size_t len);
size_t iovec_write(const struct iovec *iov, unsigned n, const void *buf, size_t len);

/* Whether each address is a multiple of @base_align and each length one of
 * @len_align, both powers of two. */
bool iovec_is_aligned(const struct iovec *iov, unsigned n, size_t base_align, size_t len_align);

#endif
