/* SPDX-License-Identifier: BSD-3-Clause */
/* What a driver is told of a block device (virtio 5.2.4), and the one byte it may
 * change. Thread: the session's, but for what is said otherwise. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "devices/blk_internal.h"

#define BIT(n)       (1ull << (n))
#define SEGMENTS_MAX 126 /* with header and status, a ring of 128 descriptors */

uint64_t blk_features(void *dev)
{
	const struct blk *blk = dev;
	uint64_t features = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
	                    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE) |
	                    BIT(VIRTIO_BLK_F_TOPOLOGY);

	if (blk->num_queues > 1)
		features |= BIT(VIRTIO_BLK_F_MQ);
	if (blk->storage->read_only)
		return features | BIT(VIRTIO_BLK_F_RO);
	if (blk->storage->can_discard)
		features |= BIT(VIRTIO_BLK_F_DISCARD);
	return features | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

void blk_features_set(void *dev, uint64_t negotiated)
{
	struct blk *blk = dev;

	atomic_store(&blk->features, negotiated);
}

/*
 * A driver that knows no flush gets every write stable (virtio 5.2.6.2), and so
 * does one that has chosen write-through in the configuration space. Any thread.
 */
bool blk_is_write_through(const struct blk *blk)
{
	if (!blk_has_feature(blk, VIRTIO_BLK_F_FLUSH))
		return true;
	return blk_has_feature(blk, VIRTIO_BLK_F_CONFIG_WCE) &&
	       !atomic_load_explicit(&blk->write_back, memory_order_relaxed);
}

/* Without flush a driver finds the cache switched off (virtio 5.2.5.2). */
static bool shown_write_back(const struct blk *blk)
{
	if (blk_has_feature(blk, VIRTIO_BLK_F_CONFIG_WCE) &&
	    !blk_has_feature(blk, VIRTIO_BLK_F_FLUSH))
		return false;
	return atomic_load(&blk->write_back);
}

static uint8_t exponent_of(uint32_t physical, uint32_t logical)
{
	uint8_t exponent = 0;

	while ((uint64_t)logical << (exponent + 1) <= physical)
		exponent++;
	return exponent;
}

static void fill_shape(const struct blk *blk, struct virtio_blk_config *config)
{
	const struct storage_shape *shape = &blk->storage->shape;
	uint32_t block = blk->block_size, io_min = shape->io_min / block;
	uint32_t allocation = shape->allocation > block ? shape->allocation : block;

	config->physical_block_exp = exponent_of(shape->physical, block);
	config->min_io_size = htole16((uint16_t)(io_min < UINT16_MAX ? io_min : UINT16_MAX));
	config->opt_io_size = htole32(shape->io_opt / block);
	config->discard_sector_alignment = htole32(allocation / BLK_SECTOR);
}

static void fill(const struct blk *blk, struct virtio_blk_config *config)
{
	*config = (struct virtio_blk_config){
		.capacity = htole64(blk_sectors(blk)),
		.seg_max = htole32(SEGMENTS_MAX),
		.blk_size = htole32(blk->block_size),
		.wce = shown_write_back(blk),
		.num_queues = htole16((uint16_t)blk->num_queues),
		.max_discard_sectors = htole32(BLK_DISCARD_SECTORS_MAX),
		.max_discard_seg = htole32(BLK_RANGES_MAX),
		.max_write_zeroes_sectors = htole32(BLK_ZEROES_SECTORS_MAX),
		.max_write_zeroes_seg = htole32(BLK_RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};
	fill_shape(blk, config);
}

int blk_config_get(void *dev, uint32_t offset, void *buf, uint32_t len)
{
	struct virtio_blk_config config;
	uint32_t known = offset < sizeof(config) ? (uint32_t)sizeof(config) - offset : 0;

	fill(dev, &config);
	memset(buf, 0, len);
	memcpy(buf, (const char *)&config + (known ? offset : 0), known < len ? known : len);
	return 0;
}

/*
 * The cache mode is all that can be written. A reset keeps it: front-ends show
 * their driver a copy read once, and a driver that reads write-through there
 * sends no flush.
 */
int blk_config_set(void *dev, uint32_t offset, const void *buf, uint32_t len, bool migration)
{
	const uint32_t at = offsetof(struct virtio_blk_config, wce);
	struct blk *blk = dev;
	uint8_t value;

	if (offset > at || len <= at - offset)
		return -EINVAL;
	if (!migration && len != 1)
		return -EINVAL;
	value = ((const uint8_t *)buf)[at - offset];
	if (value > 1)
		return -EINVAL;
	atomic_store(&blk->write_back, value == 1);
	return 0;
}
