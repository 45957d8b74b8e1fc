/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring/area.h"

int area_map(struct vring_area *area, struct translate_view *view, uint64_t addr, uint32_t len,
             uint8_t perm, struct hole_list *holes)
{
	int error;

	area_unmap(area);
	area->addr = addr;
	area->len = len;
	error = translate(view, addr, len, perm, &area->iov, holes);
	if (error) {
		area_unmap(area);
		return error;
	}
	if (area->iov.n == 1 && (uintptr_t)area->iov.iov[0].iov_base % 2 == 0)
		area->base = area->iov.iov[0].iov_base;
	return 0;
}

void area_unmap(struct vring_area *area)
{
	area->base = NULL;
	area->iov.n = 0;
}

void area_done(struct vring_area *area)
{
	area_unmap(area);
	iov_list_done(&area->iov);
}

bool area_check(const struct vring_area *area)
{
	uint64_t sum = 0;

	if (!area_is_mapped(area))
		return !area->base;
	for (unsigned i = 0; i < area->iov.n; i++) {
		if (!area->iov.iov[i].iov_len)
			return false;
		sum += area->iov.iov[i].iov_len;
	}
	if (area->base && (area->iov.n != 1 || area->base != area->iov.iov[0].iov_base))
		return false;
	return sum == area->len;
}

/* The piece that holds the byte at *offset, which becomes an offset in the piece. */
static const struct iovec *find_piece(const struct vring_area *area, size_t *offset)
{
	const struct iovec *piece = area->iov.iov;

	while (*offset >= piece->iov_len)
		*offset -= piece++->iov_len;
	return piece;
}

static size_t bytes_left(const struct iovec *piece, size_t offset, size_t wanted)
{
	return wanted < piece->iov_len - offset ? wanted : piece->iov_len - offset;
}

void area_read_pieces(const struct vring_area *area, uint32_t offset, void *to, size_t len)
{
	size_t at = offset;
	const struct iovec *piece = find_piece(area, &at);
	char *out = to;

	for (size_t n; len; len -= n, out += n, at = 0, piece++) {
		n = bytes_left(piece, at, len);
		memcpy(out, (const char *)piece->iov_base + at, n);
	}
}

void area_write_pieces(const struct vring_area *area, uint32_t offset, const void *from, size_t len)
{
	size_t at = offset;
	const struct iovec *piece = find_piece(area, &at);
	const char *in = from;

	for (size_t n; len; len -= n, in += n, at = 0, piece++) {
		n = bytes_left(piece, at, len);
		memcpy((char *)piece->iov_base + at, in, n);
	}
}

static uint8_t *find_byte(const struct vring_area *area, uint32_t offset)
{
	size_t at = offset;
	const struct iovec *piece = find_piece(area, &at);

	return (uint8_t *)piece->iov_base + at;
}

/* True if the two bytes can be one access. */
static bool is_field16(const uint8_t *low, const uint8_t *high)
{
	return high == low + 1 && (uintptr_t)low % 2 == 0;
}

/*
 * A field that is cut in two, or lies at an odd pointer, can't be loaded at once.
 * The high byte is loaded on both sides of the low one: equal, they are of one
 * value, as an index takes 256 steps to bring the same high byte with another low
 * one. The tries are bounded because whoever writes the field might never rest;
 * what comes out then is checked like any index.
 */
static uint16_t load_torn(const uint8_t *low, const uint8_t *high)
{
	uint8_t hi = __atomic_load_n(high, __ATOMIC_ACQUIRE), before, lo;
	unsigned tries = 0;

	do {
		before = hi;
		lo = __atomic_load_n(low, __ATOMIC_ACQUIRE);
		hi = __atomic_load_n(high, __ATOMIC_ACQUIRE);
	} while (hi != before && ++tries < 8);
	return (uint16_t)(hi << 8 | lo);
}

uint16_t area_load16_pieces(const struct vring_area *area, uint32_t offset)
{
	const uint8_t *low = find_byte(area, offset), *high = find_byte(area, offset + 1);

	if (!is_field16(low, high))
		return load_torn(low, high);
	return le16toh(__atomic_load_n((const uint16_t *)(const void *)low, __ATOMIC_ACQUIRE));
}

void area_store16_pieces(const struct vring_area *area, uint32_t offset, uint16_t value)
{
	uint8_t *low = find_byte(area, offset), *high = find_byte(area, offset + 1);

	if (is_field16(low, high)) {
		__atomic_store_n((uint16_t *)(void *)low, htole16(value), __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(low, (uint8_t)value, __ATOMIC_RELEASE);
	__atomic_store_n(high, (uint8_t)(value >> 8), __ATOMIC_RELEASE);
}
