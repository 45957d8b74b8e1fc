/* SPDX-License-Identifier: BSD-3-Clause */
#include "suite_backend.h"

/* What others depend on comes first; what may leave a back-end dead comes last. */
const struct conform_area *const backend_areas[] = {
	&area_negotiation,   &area_messages,     &area_payload,     &area_vring_state,
	&area_memory,        &area_slots,        &area_config,      &area_ring,
	&area_split,         &area_life,         &area_iotlb,       &area_iotlb_miss,
	&area_iotlb_answer,  &area_iotlb_update, &area_iotlb_cross, &area_iotlb_invalidate,
	&area_iotlb_flush,   &area_iotlb_ring,   &area_iotlb_mode,  &area_iotlb_stop,
	&area_iotlb_jam,     &area_iotlb_race,   &area_hostile,     &area_hostile_span,
	&area_hostile_table, &area_hostile_ring,
};

const unsigned n_backend_areas = sizeof(backend_areas) / sizeof(backend_areas[0]);
