/* SPDX-License-Identifier: BSD-3-Clause */
#include "suite_frontend.h"

/* What only observes comes first; what may leave a front-end dead comes last. */
const struct conform_area *const frontend_areas[] = {
	&area_fe_message, &area_fe_negotiation, &area_fe_memory,       &area_fe_ring,
	&area_fe_iotlb,   &area_fe_miss,        &area_fe_back_channel, &area_fe_mishap,
};

const unsigned n_frontend_areas = sizeof(frontend_areas) / sizeof(frontend_areas[0]);
