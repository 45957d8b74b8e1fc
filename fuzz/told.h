/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end may touch, as far as the front-end that told it can know: what
 * was shared and given, until the answer came by which it was taken back (rules
 * I2, U2, F1 of docs/iotlb.md). It allows too much rather than too little: a
 * message counts from when it is sent where it gives, and from when it is known
 * to be done where it takes.
 *
 * Memory is that of a few files, each byte of which has a place: file and offset.
 */
#ifndef FUZZ_TOLD_H
#define FUZZ_TOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/range.h"
#include "wire/message.h"

#define TOLD_MAX 256u

struct told_grant {
	struct range iova;
	uint64_t uva;
	uint8_t perm;
	uint64_t seq; /* of the message */
};

struct told_region {
	struct vhu_memory_region wire;
	unsigned file;
	uint64_t seq;
};

/* A message that takes something back, or decides about what it gave. */
struct told_deed {
	uint32_t request;
	uint64_t u64;
	struct vhu_iotlb iotlb;
	struct vhu_memory_region region;
	uint64_t seq;
};

/* Zero-initialised is the beginning of a session. */
struct told {
	struct told_grant grants[TOLD_MAX];
	struct told_region regions[TOLD_MAX];
	struct told_deed deeds[TOLD_MAX];
	unsigned n_grants, n_regions, n_deeds;
	uint64_t seq;
	uint64_t platform; /* seq of the acknowledged SET_FEATURES with bit 33; 0: plain */
	bool lost;         /* it has become too much to follow: everything is allowed */
};

/* A message that was sent, with the files of its regions. Returns its number. */
uint64_t told_send(struct told *told, const struct message *message, const unsigned *files);

/* Message @seq was answered, so that those before it are done; @accepted: and it. */
void told_done(struct told *told, uint64_t seq, bool accepted);

/* Nothing may be touched any more: the back-end has let go of everything. */
void told_end(struct told *told);

/* Whether the back-end may do @perm to a byte, by its place, or to a range of user addresses. */
bool told_allows(const struct told *told, unsigned file, uint64_t offset, uint8_t perm);
bool told_allows_user(const struct told *told, uint64_t uva, uint64_t size, uint8_t perm);

#endif
