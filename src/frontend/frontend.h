/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of a front-end share: the connection and its two FIFOs.
 *
 *   frontend.c     life
 *   pump.c         the lock, waiting, callbacks
 *   exchange.c     main channel: requests out, replies in, in order
 *   backchannel.c  back-channel: misses in, replies out, in order
 *   iotlb.c        what the IOMMU wants to have sent
 *   negotiate.c, memory.c, config.c, vrings.c   one kind of request each
 *   ring.c         what is remembered of a ring
 *   reconnect.c    all of them once more
 *
 * Every message on the main channel that has a reply takes a slot in the FIFO of
 * awaited replies, whether a caller waits for it or a miss does (an UPDATE). So
 * the two mix without nesting: while a caller waits, misses are taken, their
 * UPDATEs queued behind the caller's request, and replies matched to slots.
 *
 * Thread: any that holds the lock. It is held while messages are sent and
 * received, which never blocks, and by nobody who waits: of those who do one reads
 * from the back-end for all (the *pump*), the others sleep until something has
 * changed. The IOMMU's lock is taken inside of this one.
 */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include <pthread.h>

#include <vhu/frontend.h>

#include "iommu/iommu.h"
#include "transport/channel.h"
#include "wire/message.h"

/* Replies awaited; those of misses leave RESERVED to callers, some of whom ask much at once. */
#define AWAITED_MAX      1280u
#define AWAITED_RESERVED 320u

/* Requests of the back-end not replied to; no more are read then. */
#define BACK_REQUESTS_MAX 256u

/* Messages that may wait for the socket before misses are read no more. */
#define WAITING_MAX 256u

/* Faults not yet reported; no more misses are read then. */
#define FAULTS_MAX 256u

#define RINGS_MAX  (VHU_VRING_INDEX_MASK + 1)

/* What a caller waits for: the replies to one message, or to several. */
struct request {
	struct message *reply; /* where a reply of its own goes; NULL: acknowledgements */
	unsigned pending;
	int result;      /* the first -errno */
	uint32_t failed; /* the message it was that of */
};

/* A request of the back-end, until it is replied to. */
struct back_request {
	struct vhu_header header;
	unsigned updates; /* not yet acknowledged */
	bool refused;
};

enum awaited_by {
	AWAITED_BY_NOBODY, /* any more: the reply is dropped */
	AWAITED_BY_CALLER,
	AWAITED_BY_MISS,
	AWAITED_BY_UNMAP,
	AWAITED_BY_PUSH,
};

/* Who is told of a reply to come. */
struct awaiter {
	enum awaited_by by;
	union {
		struct request *request;
		struct back_request *miss;
		struct iommu_ticket *ticket;
	};
};

struct awaited {
	struct vhu_header header; /* of the request */
	struct awaiter awaiter;
};

struct fault {
	uint64_t iova;
	uint8_t perm;
	bool reported;
};

struct shared_region {
	struct vhu_memory_region wire;
	int fd;
};

/* As it was handed over; the fds are our own. */
struct ring {
	bool started;
	bool enabled;
	struct vhu_vring_setup setup;
};

struct vhu_frontend {
	struct vhu_frontend_config config;
	char name[32];
	char *path;   /* where the back-end is met; NULL: only its fd was given */
	int listener; /* at the path, or -1 */

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t changed;
	unsigned n_waiting; /* for that */
	bool pumping;
	int epoll;
	int wake; /* an eventfd */

	bool lost;
	bool replaying;       /* all is told to the next back-end, by one thread alone */
	unsigned connections; /* made so far */
	char lost_reason[256];
	char error[320];
	struct vhu_frontend_stats stats;

	/* Callbacks that are due, see pump.c. */
	bool lost_due, timer_due;
	unsigned config_due;
	struct fault faults[FAULTS_MAX];
	unsigned n_faults;
	struct list deferred;

	struct channel *main;
	uint32_t main_events;
	struct awaited awaited[AWAITED_MAX]; /* a ring */
	unsigned awaited_head, n_awaited;
	uint64_t replied; /* that have left it, over all */

	struct channel *back; /* NULL: there is none */
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
	int status; /* the last that was set; -1: none since the device was reset */

	struct shared_region *regions;
	unsigned n_regions;
	bool sharing; /* one thread changes what they are, or tells it to another back-end */
	struct ring rings[RINGS_MAX];
	unsigned n_started;
	struct list vqs;

	struct iommu_device device;
	struct list tickets; /* under way, the oldest first */
};

/* Of a front-end that is only looked at; its lock is no part of what it is. */
pthread_mutex_t *frontend_lock_of(const struct vhu_frontend *fe);

bool frontend_has_protocol(const struct vhu_frontend *fe, unsigned bit);
bool frontend_translates(const struct vhu_frontend *fe);

/* Sets the error text; returns @error. */
int frontend_fault(struct vhu_frontend *fe, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The connection is of no use any more: everything awaited ends, with
 * @head_error for the oldest that is waited for and -ENOTCONN for the rest.
 */
void frontend_lose(struct vhu_frontend *fe, int head_error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* pump.c */

int pump_open(struct vhu_frontend *fe);
void pump_close(struct vhu_frontend *fe);

/* What the epoll set knows them by. */
enum pump_source { PUMP_WAKE, PUMP_MAIN, PUMP_BACK, PUMP_TIMER };
/* 0 or -errno of epoll_ctl(2). */
int pump_add(struct vhu_frontend *fe, int fd, enum pump_source source);
void pump_remove(struct vhu_frontend *fe, int fd);
void pump_change(struct vhu_frontend *fe, int fd, enum pump_source source, uint32_t events,
                 uint32_t *now);

/* Whether this thread is inside a callback. */
bool pump_in_callback(void);

/* Takes the lock, for a function that may wait. -EDEADLK: it may not, and there is no lock. */
int pump_enter(struct vhu_frontend *fe);
/* The same for one that asks something; so -ENOTCONN as long as there is a replay. */
int frontend_enter(struct vhu_frontend *fe);
/* Calls back what is due, and drops the lock; returns @result. */
int frontend_leave(struct vhu_frontend *fe, int result);

/*
 * Waits until something has happened, and deals with it, or until somebody else
 * has. 0 or -errno.
 */
int frontend_round(struct vhu_frontend *fe, int timeout_ms);
/* Waits for what other threads do, whoever serves the back-end meanwhile. */
void frontend_sleep(struct vhu_frontend *fe, int timeout_ms);
int64_t frontend_now_ms(void);

/* exchange.c */

int exchange_open(struct vhu_frontend *fe, int fd);

/*
 * Sends a request, with NEED_REPLY where an acknowledgement can be asked for. The
 * awaiter learns of the reply, if there will be one; a request, or ticket, counts it.
 * 0, -ENOTCONN, -ENOBUFS, -ENOMEM, -EMFILE.
 */
int exchange_start(struct vhu_frontend *fe, struct message *message, struct awaiter awaiter);
/* The same for a caller; after an error the request has that result. */
void exchange_add(struct vhu_frontend *fe, struct message *message, struct request *request);
/* Waits for what was started, forgets it on -ETIMEDOUT, and sets the error's text. */
int exchange_wait(struct vhu_frontend *fe, struct request *request);
/* The same for several, in no more time; each has its result. */
int exchange_wait_all(struct vhu_frontend *fe, struct request *requests, unsigned n);
/* All of that. @reply may be NULL and may be @message. */
int exchange(struct vhu_frontend *fe, struct message *message, struct message *reply);
int exchange_u64(struct vhu_frontend *fe, uint32_t request, uint64_t value);
int exchange_get_u64(struct vhu_frontend *fe, uint32_t request, uint64_t *ret);

/* Takes what the back-end has replied. */
void exchange_receive(struct vhu_frontend *fe);
/* Sends what was started. */
void exchange_flush(struct vhu_frontend *fe);
bool exchange_has_room(const struct vhu_frontend *fe, unsigned messages);
/* No slot refers to a miss, or to this ticket, any more. */
void exchange_forget_misses(struct vhu_frontend *fe);
void exchange_forget_ticket(struct vhu_frontend *fe, const struct iommu_ticket *ticket);
/* Ends all that is awaited. */
void exchange_end(struct vhu_frontend *fe, int head_error);

/* backchannel.c */

/* Makes the socket pair and hands one end over. */
int backchannel_open(struct vhu_frontend *fe);
void backchannel_close(struct vhu_frontend *fe);
/* Takes what the back-end asks, as far as there is room. */
void backchannel_receive(struct vhu_frontend *fe, uint32_t events);
/* Goes on with that if it had to stop and there is room again, which no event may tell. */
bool backchannel_can_resume(const struct vhu_frontend *fe);
void backchannel_resume(struct vhu_frontend *fe);
/* Replies to what is decided, and sends. */
void backchannel_settle(struct vhu_frontend *fe);
/* An UPDATE sent for @miss was acknowledged, or refused; settle later. */
void backchannel_updated(struct vhu_frontend *fe, struct back_request *miss, bool accepted);

/* iotlb.c */
extern const struct iommu_device_ops frontend_iommu_ops;
int iotlb_send_update(struct vhu_frontend *fe, const struct iommu_answer *answer,
                      struct awaiter awaiter);
/* An INVALIDATE of the ticket was replied to, or never will be. */
void iotlb_invalidated(struct vhu_frontend *fe, struct iommu_ticket *ticket, int error);
/* Tells a back-end that is about to work of all there is, where that is the policy. */
int iotlb_push_all(struct vhu_frontend *fe);

/* negotiate.c */
int negotiate(struct vhu_frontend *fe);
/* What the driver may choose from. */
uint64_t negotiate_offer(const struct vhu_frontend *fe);
int negotiate_features(struct vhu_frontend *fe, uint64_t features);

/* memory.c */
/* One change at a time, also while it waits for replies. 0, -ETIMEDOUT: it is not our turn. */
int memory_begin_change(struct vhu_frontend *fe);
void memory_end_change(struct vhu_frontend *fe);
int memory_share_again(struct vhu_frontend *fe);
void memory_close(struct vhu_frontend *fe);

/* config.c */
int config_restore(struct vhu_frontend *fe);
/* The driver, which is this process, is ready; where nobody has said anything of it. */
int config_driver_ok(struct vhu_frontend *fe);

/* ring.c */

/* Keeps @setup, with fds of its own, in the place of what there was. 0 or -errno of fcntl(2). */
int ring_remember(struct vhu_frontend *fe, struct ring *ring, const struct vhu_vring_setup *setup);
/* It is not the back-end's any more; whether it is enabled is another matter. */
void ring_forget(struct vhu_frontend *fe, struct ring *ring);
void ring_close_setup(struct vhu_vring_setup *setup);
/* Where another device has left it. */
uint16_t ring_base(const struct vhu_vring_setup *setup);
/* They are neither the back-end's any more, nor enabled. */
void rings_forget(struct vhu_frontend *fe, unsigned first, unsigned n);

/* vrings.c */
int vrings_start_again(struct vhu_frontend *fe);

/* vq.c */

/* A queue, as its front-end knows it. */
struct vq_node {
	struct list node;
	unsigned index;
	int call_fd; /* signalled when the back-end is gone: nobody else will */
	/* Prepares it for another device: 0, and from where it is to go on; or -errno. */
	int (*requeue)(struct vq_node *vq, uint16_t *ret_base);
};

#endif
