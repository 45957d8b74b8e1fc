/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of feature bits, for people. Any thread. */
#ifndef WIRE_FEATURE_H
#define WIRE_FEATURE_H

/*
 * Without prefix, "EVENT_IDX"; NULL for a bit without a name here. Bits 0 to 23
 * mean something else with each type of device and have none.
 */
const char *feature_name(unsigned bit);
const char *protocol_feature_name(unsigned bit);

/* Bits of the virtio device status, "DRIVER_OK". */
const char *status_name(unsigned bit);

#endif
