/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device's side of split rings. One request after the other, each of them
 * looked up, fetched, done and used before the next is looked at. What it can't
 * have it waits for with the channels served; if the ring is stopped meanwhile,
 * the request was never begun.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "back.h"
#include "base/fd.h"
#include "vring/layout.h"

#define TRIES 5 /* for what is invalidated between its grant and its use */

struct parts {
	struct back_span desc, avail, used;
	uint16_t num;
};

static struct parts parts_of(const struct back *b, unsigned index)
{
	const struct told_ring *ring = &b->told.rings[index];
	uint16_t num = (uint16_t)ring->num;

	return (struct parts){ { ring->addr.desc, desc_table_size(num), PERM_READ },
		               { ring->addr.avail, avail_ring_size(num, false), PERM_READ },
		               { ring->addr.used, used_ring_size(num, false), PERM_WRITE },
		               num };
}

/* Rings are named by uva unless there is an IOMMU. */
static int reach_part(const struct back *b, const struct back_span *part, uint64_t offset,
                      uint64_t len, struct iovec *iov)
{
	int n = told_iommu(&b->told) ? back_reach(b, part->addr + offset, len, part->perm, iov, 1)
	                             : back_reach_uva(b, part->addr + offset, len, iov, 1);

	return n < 0 ? n : n == 1 && iov->iov_len == len ? 0 : -EFAULT;
}

static int get(const struct back *b, const struct back_span *part, uint64_t offset, void *to,
               uint64_t len)
{
	struct iovec iov;
	int error = reach_part(b, part, offset, len, &iov);

	if (!error)
		memcpy(to, iov.iov_base, len);
	return error;
}

static int get_u16(const struct back *b, const struct back_span *part, uint64_t offset,
                   uint16_t *ret)
{
	struct iovec iov;
	int error = reach_part(b, part, offset, sizeof(*ret), &iov);

	if (!error)
		*ret = le16toh(__atomic_load_n((uint16_t *)iov.iov_base, __ATOMIC_ACQUIRE));
	return error;
}

static int put(const struct back *b, const struct back_span *part, uint64_t offset,
               const void *from, uint64_t len)
{
	struct iovec iov;
	int error = reach_part(b, part, offset, len, &iov);

	if (!error)
		memcpy(iov.iov_base, from, len);
	return error;
}

static int put_u16(const struct back *b, const struct back_span *part, uint64_t offset,
                   uint16_t value)
{
	struct iovec iov;
	int error = reach_part(b, part, offset, sizeof(value), &iov);

	if (!error)
		__atomic_store_n((uint16_t *)iov.iov_base, htole16(value), __ATOMIC_RELEASE);
	return error;
}

/* Pages of the ring itself are asked for where they are not held. */
static int fetch_ring(struct back *b, const struct parts *parts)
{
	const struct back_span *all[] = { &parts->desc, &parts->avail, &parts->used };
	struct iovec iovs[16];

	if (!told_iommu(&b->told))
		return 0;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int n = back_reach(b, all[i]->addr, all[i]->len, all[i]->perm, iovs, 16);
		int error = n == -EFAULT ? back_fetch(b, all[i], 1) : 0;

		if (error)
			return error;
	}
	return 0;
}

static int read_chain(const struct back *b, const struct parts *parts, uint16_t head,
                      struct back_chain *ret)
{
	struct ring_desc desc = { .flags = htole16(DESC_NEXT), .next = htole16(head) };

	ret->n = 0;
	while (le16toh(desc.flags) & DESC_NEXT) {
		uint16_t next = le16toh(desc.next);
		int error;

		if (next >= parts->num || ret->n == BACK_SEGS || ret->n == parts->num)
			return -EINVAL;
		error = get(b, &parts->desc, next * sizeof(desc), &desc, sizeof(desc));
		if (error)
			return error;
		if (le16toh(desc.flags) & DESC_INDIRECT)
			return -EINVAL;
		ret->spans[ret->n++] = (struct back_span){ le64toh(desc.addr), le32toh(desc.len),
			                                   le16toh(desc.flags) & DESC_WRITE
			                                           ? PERM_WRITE
			                                           : PERM_READ };
	}
	return 0;
}

static int64_t perform(struct back *b, const struct back_chain *chain)
{
	return b->device == DEVICE_NET ? 0 : back_disk_do(b, chain);
}

/* Of what was fetched something may be gone again. */
static int64_t fetch_and_perform(struct back *b, const struct parts *parts,
                                 const struct back_chain *chain)
{
	int64_t written = -EFAULT;

	for (unsigned i = 0; i < TRIES && written == -EFAULT; i++) {
		int error = back_fetch(b, chain->spans, chain->n);

		if (!error)
			error = fetch_ring(b, parts);
		if (error)
			return error;
		written = perform(b, chain);
	}
	return written;
}

static int use(struct back *b, unsigned index, const struct parts *parts, uint16_t head,
               uint32_t written)
{
	struct ring_used_elem elem = { htole32(head), htole32(written) };
	uint16_t used, flags = 0;
	int error = get_u16(b, &parts->used, RING_INDEX_OFFSET, &used);

	if (!error)
		error = put(b, &parts->used, used_elem_offset(parts->num, used), &elem,
		            sizeof(elem));
	if (!error)
		error = put_u16(b, &parts->used, RING_INDEX_OFFSET, (uint16_t)(used + 1));
	if (error)
		return error;
	get_u16(b, &parts->avail, RING_FLAGS_OFFSET, &flags);
	b->rings[index].next++;
	b->served++;
	if (!(flags & AVAIL_NO_CALL) && b->rings[index].call >= 0)
		fd_signal(b->rings[index].call);
	return 0;
}

/* 1: a request was served, 0: there is none. */
static int serve_one(struct back *b, unsigned index, const struct parts *parts)
{
	static struct back_chain chain;
	uint16_t avail, head;
	int64_t written;
	int error = fetch_ring(b, parts);

	if (!error)
		error = get_u16(b, &parts->avail, RING_INDEX_OFFSET, &avail);
	if (error || avail == b->rings[index].next)
		return error;
	error = get_u16(b, &parts->avail, avail_entry_offset(parts->num, b->rings[index].next),
	                &head);
	if (!error)
		error = read_chain(b, parts, head, &chain);
	if (error)
		return error;
	written = fetch_and_perform(b, parts, &chain);
	if (written < 0)
		return (int)written;
	error = use(b, index, parts, head, (uint32_t)written);
	return error ? error : 1;
}

/* Rings of a network that a driver only fills are left alone. */
static bool is_served(const struct back *b, unsigned index)
{
	if (b->device == DEVICE_ANY || b->rings[index].broken || !told_runs(&b->told, index))
		return false;
	return b->device != DEVICE_NET || index % 2;
}

void back_ring_serve(struct back *b, unsigned index)
{
	struct back_ring *ring = &b->rings[index];
	struct parts parts;
	int result;

	ring->owed = false;
	if (!is_served(b, index))
		return;
	parts = parts_of(b, index);
	if (!parts.num || parts.num & (parts.num - 1))
		return;
	result = serve_one(b, index, &parts);
	/* One of them, and a look at the channels before the next. */
	ring->owed = result > 0 || result == -ETIMEDOUT || result == -EINTR;
	/* What was refused is asked for again at the next kick. */
	if (result == -EINVAL)
		ring->broken = true;
}

void back_ring_start(struct back *b, unsigned index)
{
	b->rings[index].broken = false;
	b->rings[index].owed = true;
	b->rings[index].next = (uint16_t)b->told.rings[index].base.num;
}

void back_ring_kicked(struct back *b, unsigned index)
{
	fd_drain(b->rings[index].kick);
	b->rings[index].owed = true;
}
