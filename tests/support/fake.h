/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end for tests of the front-end: well-behaved in a thread of its own,
 * but for one request, which a function of the test takes over.
 *
 * A test's function runs in the fake's thread, where it must not assert: it
 * returns 0, or says by MUST() in which line it was disappointed.
 * fake_free() fails the test for that.
 *
 * SET_STATUS is taken for "go" by convention: it means nothing to the fake.
 */
#ifndef SUPPORT_FAKE_H
#define SUPPORT_FAKE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <vhu/frontend.h>

#include "support/check.h"
#include "support/peer.h"

#define MUST(condition)                  \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

struct fake;

typedef int fake_script(struct fake *fake, const struct message *request);

struct fake_config {
	uint64_t features;
	uint64_t protocol_features;
	uint64_t slots;
	uint64_t queues;
	uint32_t request;    /* the one that @script takes over; 0: none */
	unsigned script_at;  /* or the n-th message, from 1; 0: none */
	fake_script *script; /* replies to it, or not */
	fake_script *beside; /* called at each message, before it is dealt with */
	bool careless;       /* that its replies find nobody is no failure */
	int timeout_ms;      /* of the front-end; 0: more than anything should take */
	struct vhu_iommu *iommu;
	void (*config_changed)(void *opaque);
	void (*lost)(void *opaque);
	void *opaque;       /* of the front-end's callbacks */
	unsigned die_at;    /* the n-th message is the last, from 1; 0: never */
	unsigned silent_at; /* the n-th message is not replied to */
};

struct fake {
	struct fake_config config;
	struct vhu_frontend *frontend;
	int main, back; /* the fake's ends */
	unsigned received;
	unsigned kinds[64]; /* how often each request came */
	struct message last[64];
	int trouble;           /* line of the script */
	_Atomic bool scripted; /* the script has run */
	_Atomic bool busy;     /* with a message, which may be replied to already */
	pthread_t thread;
};

/* All that the front-end knows how to use, and bit 33. */
extern const struct fake_config fake_full;

/* Makes the pair; negotiates nothing. */
struct fake *fake_new(const struct fake_config *config);
/* The same, negotiated with @features. */
struct fake *fake_ready(const struct fake_config *config, uint64_t features);
void fake_free(struct fake *fake);
/* Dies, and is another from here on, of which nothing was received: what vhu_frontend_reconnect()
 * says to it. */
int fake_reconnect(struct fake *fake, const struct fake_config *config);

/* The front-end's patience from now on. */
void fake_set_timeout(struct fake *fake, int ms);

/* Another script, which may run as the first one could, once that has ended. */
void fake_set_script(struct fake *fake, uint32_t request, fake_script *script);

/* Runs the front-end until the script has run. */
void fake_run(struct fake *fake);

/* For scripts. */
int fake_send_miss(struct fake *fake, uint64_t iova, uint8_t perm);
int fake_send_iotlb(struct fake *fake, uint8_t type, uint64_t iova, uint8_t perm);
/* The next message on the main channel is this UPDATE or INVALIDATE. */
bool fake_expect_iotlb(struct fake *fake, uint8_t type, uint64_t iova, struct message *ret);
/* The next on the back-channel is a reply of this value; or nothing comes. */
bool fake_expect_back(struct fake *fake, uint64_t value);
bool fake_expect_back_silence(struct fake *fake);

#endif
