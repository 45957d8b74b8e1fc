/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory with a choice, which users of the library do not have: tests make
 * memory that its owner can take away.
 */
#ifndef FRONTEND_GUESTMEM_H
#define FRONTEND_GUESTMEM_H

#include <vhu/frontend.h>

/* As vhu_guestmem_new(); @seals: F_SEAL_* of fcntl(2) for each file. */
int guestmem_new(const uint64_t *sizes, unsigned n, int seals, struct vhu_guestmem **ret);

#endif
