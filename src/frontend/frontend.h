/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of a front-end share: the connection and its two FIFOs.
 *
 *   exchange.c     main channel: requests out, replies in, in order
 *   backchannel.c  back-channel: misses in, replies out, in order
 *   frontend.c     life, negotiation
 *   memory.c, config.c, vrings.c   one kind of request each
 *
 * Every message on the main channel that has a reply takes a slot in the FIFO of
 * awaited replies, whether a caller waits for it or a miss does (an UPDATE). So
 * the two mix without nesting: while a caller waits, misses are taken, their
 * UPDATEs queued behind the caller's request, and replies matched to slots.
 *
 * Thread: the front-end's.
 */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include <vhu/frontend.h>

#include "base/loop.h"
#include "iommu/iommu.h"
#include "transport/channel.h"
#include "wire/message.h"

/* Replies awaited; those of misses leave RESERVED to callers. */
#define AWAITED_MAX      1024u
#define AWAITED_RESERVED 64u

/* Requests of the back-end not replied to; no more are read then. */
#define BACK_REQUESTS_MAX 256u

/* Messages that may wait for the socket before misses are read no more. */
#define WAITING_MAX 256u

/* What a caller waits for. */
struct request {
	struct message *reply; /* where a reply of its own goes; NULL: acknowledgement */
	int result;            /* -EINPROGRESS, then 0 or -errno */
};

/* A request of the back-end, until it is replied to. */
struct back_request {
	struct vhu_header header;
	unsigned updates; /* not yet acknowledged */
	bool refused;
};

/* A reply to come. Both NULL: nobody waits for it any more, it is dropped. */
struct awaited {
	struct vhu_header header; /* of the request */
	struct request *request;
	struct back_request *miss;
};

struct shared_region {
	struct vhu_memory_region wire;
	int fd;
};

struct vhu_frontend {
	struct vhu_frontend_config config;
	char name[32];
	struct loop loop;
	bool busy; /* inside a round of the loop: callers can't wait */
	bool lost;
	char lost_reason[256];
	char error[320];
	struct vhu_frontend_stats stats;

	struct channel *main;
	struct loop_source main_source;
	uint32_t main_events;
	struct awaited awaited[AWAITED_MAX]; /* a ring */
	unsigned awaited_head, n_awaited;

	struct channel *back; /* NULL: there is none */
	struct loop_source back_source;
	uint32_t back_events;
	bool back_stalled;                                    /* not read for want of room */
	struct back_request back_requests[BACK_REQUESTS_MAX]; /* a ring */
	unsigned back_head, n_back;

	bool negotiated;
	uint64_t features_offered;
	uint64_t features;
	bool gave; /* UPDATEs, to a back-end that has not since been made to drop all */
	uint64_t protocol_features;
	uint64_t queues;
	uint64_t slots;

	struct shared_region *regions;
	unsigned n_regions;

	struct iommu_device device;
	struct request invalidation;
};

bool frontend_has_protocol(const struct vhu_frontend *fe, unsigned bit);
bool frontend_translates(const struct vhu_frontend *fe);

/* One round of the loop. 0, -EDEADLK from inside of one, -errno. */
int frontend_round(struct vhu_frontend *fe, int timeout_ms);

/* Sets the error text; returns @error. */
int frontend_fault(struct vhu_frontend *fe, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The connection is of no use any more: everything awaited ends, with
 * @head_error for the oldest that is waited for and -ENOTCONN for the rest.
 */
void frontend_lose(struct vhu_frontend *fe, int head_error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* exchange.c */

int exchange_open(struct vhu_frontend *fe, int fd);

/*
 * Sends a request, with NEED_REPLY where an acknowledgement can be asked for.
 * One of @request and @miss, or neither, learns of the reply; @request is done at
 * once if there will be none. 0, -ENOTCONN, -ENOBUFS, -ENOMEM, -EMFILE.
 */
int exchange_start(struct vhu_frontend *fe, struct message *message, struct request *request,
                   struct back_request *miss);
/* Waits for a started request; forgets it on -ETIMEDOUT and -EDEADLK. */
int exchange_wait(struct vhu_frontend *fe, struct request *request);
/* Both, and the error's text. @reply may be NULL and may be @message. */
int exchange(struct vhu_frontend *fe, struct message *message, struct message *reply);
int exchange_u64(struct vhu_frontend *fe, uint32_t request, uint64_t value);
int exchange_get_u64(struct vhu_frontend *fe, uint32_t request, uint64_t *ret);

/* Sets the error text for what became of a request; returns @error. */
int exchange_explain(struct vhu_frontend *fe, uint32_t request, int error);

/* Sends what was started. */
void exchange_flush(struct vhu_frontend *fe);
bool exchange_has_room(const struct vhu_frontend *fe, unsigned messages);
/* No slot refers to a miss any more. */
void exchange_forget_misses(struct vhu_frontend *fe);

/* backchannel.c */

/* Makes the socket pair and hands one end over. */
int backchannel_open(struct vhu_frontend *fe);
void backchannel_close(struct vhu_frontend *fe);
/* Goes on reading if it was stalled and there is room again. */
void backchannel_resume(struct vhu_frontend *fe);
/* Replies to what is decided. */
void backchannel_settle(struct vhu_frontend *fe);
/* An UPDATE sent for @miss was acknowledged, or refused; settle later. */
void backchannel_updated(struct vhu_frontend *fe, struct back_request *miss, bool accepted);

/* iotlb.c */
extern const struct iommu_device_ops frontend_iommu_ops;
int iotlb_send_update(struct vhu_frontend *fe, const struct iommu_answer *answer,
                      struct back_request *miss);

#endif
