/* SPDX-License-Identifier: BSD-3-Clause */
/* The areas of cases that judge front-ends. A new file of cases is named here. */
#ifndef CONFORM_SUITE_FRONTEND_H
#define CONFORM_SUITE_FRONTEND_H

#include "trial.h"

extern const struct conform_area area_fe_message;
extern const struct conform_area area_fe_negotiation;
extern const struct conform_area area_fe_memory;
extern const struct conform_area area_fe_ring;
extern const struct conform_area area_fe_iotlb;
extern const struct conform_area area_fe_miss;
extern const struct conform_area area_fe_back_channel;
extern const struct conform_area area_fe_mishap;

/* Their rest. */
extern const struct conform_area more_fe_mishap;

/* In the order in which they are tried. */
extern const struct conform_area *const frontend_areas[];
extern const unsigned n_frontend_areas;

#endif
