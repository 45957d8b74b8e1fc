/* SPDX-License-Identifier: BSD-3-Clause */
/* The areas of cases that judge back-ends. A new file of cases is named here. */
#ifndef CONFORM_SUITE_BACKEND_H
#define CONFORM_SUITE_BACKEND_H

#include "trial.h"

extern const struct conform_area area_negotiation;
extern const struct conform_area area_messages;
extern const struct conform_area area_payload;
extern const struct conform_area area_vring_state;
extern const struct conform_area area_memory;
extern const struct conform_area area_slots;
extern const struct conform_area area_config;
extern const struct conform_area area_ring;
extern const struct conform_area area_split;
extern const struct conform_area area_life;
extern const struct conform_area area_hostile;
extern const struct conform_area area_hostile_ring;
extern const struct conform_area area_hostile_span;
extern const struct conform_area area_hostile_table;
extern const struct conform_area area_iotlb;
extern const struct conform_area area_iotlb_answer;
extern const struct conform_area area_iotlb_cross;
extern const struct conform_area area_iotlb_flush;
extern const struct conform_area area_iotlb_invalidate;
extern const struct conform_area area_iotlb_jam;
extern const struct conform_area area_iotlb_miss;
extern const struct conform_area area_iotlb_mode;
extern const struct conform_area area_iotlb_race;
extern const struct conform_area area_iotlb_ring;
extern const struct conform_area area_iotlb_stop;
extern const struct conform_area area_iotlb_update;

/* Their rest. */
extern const struct conform_area more_iotlb_answer;
extern const struct conform_area more_vring_state;

/* In the order in which they are tried. */
extern const struct conform_area *const backend_areas[];
extern const unsigned n_backend_areas;

#endif
