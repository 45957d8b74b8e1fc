/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds options that argp would answer with two lines and no remedy. */
#ifndef VHU_BLK_SCAN_H
#define VHU_BLK_SCAN_H

#include <argp.h>

/* 0, or EINVAL after a complaint on the first option that is unknown, or has a
 * value it can't have, or lacks one. May reorder @argv, as getopt(3) does. */
int scan_options(int argc, char **argv, const struct argp_option *table);

#endif
