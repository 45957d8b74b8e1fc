/* SPDX-License-Identifier: BSD-3-Clause */
/* What all parts of one front-end's session know. Thread: the driver's. */
#ifndef SOAK_SCENE_H
#define SOAK_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include <vhu/frontend.h>

#include "base/range.h"
#include "frames.h"

struct scene {
	struct frames *frames;
	struct vhu_frontend *frontend;
	struct vhu_iommu *iommu; /* NULL: addresses are plain */
	bool event_idx, indirect;
	struct range
		exchanged; /* addresses without memory for a moment; missing them is no fault */
	int patience_ms;
};

#endif
