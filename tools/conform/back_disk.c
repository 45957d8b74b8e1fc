/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device behind the rings: a disk in memory (virtio 1.2, 5.2), or a network
 * that takes frames and never has one (5.1).
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#include "back.h"

#define SECTOR 512u

unsigned back_config(const struct back *b, unsigned char *ret, unsigned size)
{
	struct virtio_blk_config config = {
		.capacity = htole64(b->config_sectors ? b->config_sectors
		                                      : BACK_DISK_SIZE / SECTOR),
		.seg_max = htole32(126),
		.blk_size = htole32(SECTOR),
		.num_queues = htole16(BACK_QUEUES),
	};
	unsigned n = sizeof(config) < size ? sizeof(config) : size;

	memset(ret, 0, size);
	if (b->device != DEVICE_NET)
		memcpy(ret, &config, n);
	return size;
}

static void copy(struct iovec *iovs, int n, char *bytes, bool to_disk)
{
	for (int i = 0; i < n; i++) {
		if (to_disk)
			memcpy(bytes, iovs[i].iov_base, iovs[i].iov_len);
		else
			memcpy(iovs[i].iov_base, bytes, iovs[i].iov_len);
		bytes += iovs[i].iov_len;
	}
}

/* All of a chain's bytes that go one way, but for the last @less of them, as pieces. */
static int gather(const struct back *b, const struct back_chain *chain, uint8_t perm,
                  struct iovec *iovs, uint64_t *ret_len)
{
	int n = 0;

	*ret_len = 0;
	for (unsigned i = 0; i < chain->n; i++) {
		const struct back_span *span = &chain->spans[i];
		int more;

		if (span->perm != perm)
			continue;
		more = back_reach(b, span->addr, span->len, perm, iovs + n,
		                  BACK_IOVS - (unsigned)n);
		if (more < 0)
			return more;
		n += more;
		*ret_len += span->len;
	}
	return n;
}

/* Takes @len bytes off the front of the pieces. */
static int skip(struct iovec *iovs, int n, uint64_t len)
{
	int i = 0;

	while (i < n && len >= iovs[i].iov_len)
		len -= iovs[i++].iov_len;
	memmove(iovs, iovs + i, (size_t)(n - i) * sizeof(*iovs));
	if (n - i && len) {
		iovs[0].iov_base = (char *)iovs[0].iov_base + len;
		iovs[0].iov_len -= len;
	}
	return n - i;
}

static bool inside(uint64_t sector, uint64_t len)
{
	return sector <= BACK_DISK_SIZE / SECTOR && len <= BACK_DISK_SIZE - sector * SECTOR;
}

struct transfer {
	struct iovec out[BACK_IOVS], in[BACK_IOVS];
	int n_out, n_in; /* or -errno */
	uint64_t out_len, in_len;
};

static uint8_t perform(struct back *b, const struct virtio_blk_outhdr *header,
                       struct transfer *transfer, uint64_t *written)
{
	uint64_t sector = le64toh(header->sector), in_len = transfer->in_len;
	char id[20] = "conform";

	switch (le32toh(header->type)) {
	case VIRTIO_BLK_T_IN:
		if (transfer->n_in < 0 || !inside(sector, in_len))
			return VIRTIO_BLK_S_IOERR;
		copy(transfer->in, transfer->n_in, b->disk + sector * SECTOR, false);
		*written += in_len;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_OUT:
		if (transfer->n_out < 0 || !inside(sector, transfer->out_len))
			return VIRTIO_BLK_S_IOERR;
		copy(transfer->out, transfer->n_out, b->disk + sector * SECTOR, true);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_FLUSH: return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		if (transfer->n_in != 1 || in_len < sizeof(id))
			return VIRTIO_BLK_S_IOERR;
		memcpy(transfer->in[0].iov_base, id, sizeof(id));
		*written += sizeof(id);
		return VIRTIO_BLK_S_OK;
	default: return VIRTIO_BLK_S_UNSUPP;
	}
}

/* The last writable byte, which is the status; NULL: there is none. */
static uint8_t *find_status(const struct back *b, const struct back_chain *chain)
{
	const struct back_span *last = &chain->spans[chain->n ? chain->n - 1 : 0];
	struct iovec iov;

	if (!chain->n || last->perm != PERM_WRITE || !last->len ||
	    back_reach(b, last->addr + last->len - 1, 1, PERM_WRITE, &iov, 1) != 1)
		return NULL;
	return iov.iov_base;
}

static bool read_header(const struct back *b, const struct back_chain *chain,
                        struct virtio_blk_outhdr *ret)
{
	struct iovec iovs[4];
	int n = back_reach(b, chain->spans[0].addr, sizeof(*ret), PERM_READ, iovs, 4);

	if (n < 1 || chain->spans[0].perm != PERM_READ || chain->spans[0].len < sizeof(*ret))
		return false;
	copy(iovs, n, (char *)ret, true);
	return true;
}

/* The status byte is cut off by taking the last span one byte shorter. */
int64_t back_disk_do(struct back *b, const struct back_chain *whole)
{
	static struct transfer transfer;
	struct back_chain chain = *whole;
	struct virtio_blk_outhdr header;
	uint8_t *status = find_status(b, whole);
	uint64_t written = 1;

	if (!status || !read_header(b, whole, &header))
		return -EFAULT;
	chain.spans[chain.n - 1].len--;
	transfer.n_in = gather(b, &chain, PERM_WRITE, transfer.in, &transfer.in_len);
	transfer.n_out = gather(b, &chain, PERM_READ, transfer.out, &transfer.out_len);
	if (transfer.n_out > 0) {
		transfer.n_out = skip(transfer.out, transfer.n_out, sizeof(header));
		transfer.out_len -= sizeof(header);
	}
	*status = perform(b, &header, &transfer, &written);
	return (int64_t)written;
}
