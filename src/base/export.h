/* SPDX-License-Identifier: BSD-3-Clause */
/* Marks the definitions of what include/vhu/ declares; all else stays inside. */
#ifndef BASE_EXPORT_H
#define BASE_EXPORT_H

#define VHU_EXPORT __attribute__((visibility("default")))

#endif
