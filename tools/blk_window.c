/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_window.h"

#include <errno.h>
#include <stdlib.h>

/* Windows that may wait for a flush beside those in use: more than wait at a time. */
#define SPARE_LAZY 1024u
/* Of one request: what the device reads, and what it writes. */
#define MAPPINGS 2u

struct blk_windows {
	struct blk_windows_config config;
	struct blk_window *windows;
	struct blk_window **spare; /* a stack */
	unsigned n_spare;
	int error; /* of a lazy unmap; the memory is exposed */

	struct vhu_mapping mappings[MAPPINGS * WINDOWS_BATCH];
	unsigned n_mappings;
	struct vhu_iova_range ranges[WINDOWS_BATCH];
	struct blk_window *ending[WINDOWS_BATCH];
	unsigned n_ranges;
};

int blk_windows_new(const struct blk_windows_config *config, struct blk_windows **ret)
{
	struct blk_windows *windows = calloc(1, sizeof(*windows));
	unsigned n = config->depth + (config->lazy ? SPARE_LAZY : 0);

	if (!windows)
		return -ENOMEM;
	windows->config = *config;
	windows->windows = calloc(n, sizeof(*windows->windows));
	windows->spare = calloc(n, sizeof(struct blk_window *));
	if (!windows->windows || !windows->spare) {
		blk_windows_free(windows);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n; i++) {
		windows->windows[i] = (struct blk_window){ config->iova + i * config->bytes,
			                                   windows };
		windows->spare[windows->n_spare++] = &windows->windows[i];
	}
	*ret = windows;
	return 0;
}

void blk_windows_free(struct blk_windows *windows)
{
	if (!windows)
		return;
	free(windows->windows);
	free(windows->spare);
	free(windows);
}

static void give_back(struct blk_window *window)
{
	struct blk_windows *windows = window->all;

	windows->spare[windows->n_spare++] = window;
}

struct blk_window *blk_windows_take(struct blk_windows *windows, int *ret_error)
{
	*ret_error = windows->error;
	if (!windows->n_spare && !*ret_error)
		*ret_error = vhu_iommu_flush(windows->config.iommu);
	if (!windows->n_spare && !*ret_error)
		*ret_error = -ENOBUFS;
	return *ret_error ? NULL : windows->spare[--windows->n_spare];
}

int blk_window_map(struct blk_window *window, uint64_t offset, uint64_t size, const void *ptr,
                   uint8_t perm)
{
	struct blk_windows *windows = window->all;

	windows->mappings[windows->n_mappings++] = (struct vhu_mapping){ window->iova + offset,
		                                                         size, (uintptr_t)ptr,
		                                                         perm };
	return windows->n_mappings < MAPPINGS * WINDOWS_BATCH ? 0 : blk_windows_commit(windows);
}

/*
 * What is pushed is on its way when this returns, ahead of the kick that makes it
 * needed. Should the kick overtake it, it is missed.
 */
int blk_windows_commit(struct blk_windows *windows)
{
	unsigned n = windows->n_mappings;

	windows->n_mappings = 0;
	return n ? vhu_iommu_map_batch(windows->config.iommu, windows->mappings, n, NULL) : 0;
}

static void lazily_done(void *opaque, int error)
{
	struct blk_window *window = opaque;

	if (error)
		window->all->error = error;
	else
		give_back(window);
}

int blk_window_unmap(struct blk_window *window)
{
	struct blk_windows *windows = window->all;
	const struct blk_windows_config *config = &windows->config;

	if (config->lazy)
		return vhu_iommu_unmap_lazy(config->iommu, window->iova, config->bytes, lazily_done,
		                            window);
	windows->ranges[windows->n_ranges] = (struct vhu_iova_range){ window->iova, config->bytes };
	windows->ending[windows->n_ranges++] = window;
	return windows->n_ranges < WINDOWS_BATCH ? 0 : blk_windows_finish(windows);
}

int blk_windows_finish(struct blk_windows *windows)
{
	unsigned n = windows->n_ranges;
	int error;

	if (!n)
		return 0;
	windows->n_ranges = 0;
	error = vhu_iommu_unmap_batch(windows->config.iommu, windows->ranges, n);
	for (unsigned i = 0; !error && i < n; i++)
		give_back(windows->ending[i]);
	return error;
}
