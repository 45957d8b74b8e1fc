/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/iovec.h"

#include <string.h>

uint64_t iovec_bytes(const struct iovec *iov, unsigned n)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

void iovec_drop_front(struct iovec **iov, unsigned *n, uint64_t bytes)
{
	while (*n > 0 && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		(*iov)++;
		(*n)--;
	}
	if (*n == 0 || bytes == 0)
		return;
	(*iov)->iov_base = (char *)(*iov)->iov_base + bytes;
	(*iov)->iov_len -= bytes;
}

void *iovec_drop_last(struct iovec *iov, unsigned *n)
{
	struct iovec *last;

	while (*n > 0 && iov[*n - 1].iov_len == 0)
		(*n)--;
	if (*n == 0)
		return NULL;
	last = &iov[*n - 1];
	if (--last->iov_len == 0)
		(*n)--;
	return (char *)last->iov_base + last->iov_len;
}

size_t iovec_read(const struct iovec *iov, unsigned n, void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		if (part)
			memcpy((char *)buf + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

size_t iovec_write(const struct iovec *iov, unsigned n, const void *buf, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		if (part)
			memcpy(iov[i].iov_base, (const char *)buf + done, part);
		done += part;
	}
	return done;
}

bool iovec_is_aligned(const struct iovec *iov, unsigned n, size_t base_align, size_t len_align)
{
	uintptr_t bases = 0;
	size_t lens = 0;

	for (unsigned i = 0; i < n; i++) {
		bases |= (uintptr_t)iov[i].iov_base;
		lens |= iov[i].iov_len;
	}
	return (bases & (base_align - 1)) == 0 && (lens & (len_align - 1)) == 0;
}
