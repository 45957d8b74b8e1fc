/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One front-end's connection: what was negotiated, what memory it shares, its
 * rings and its IOTLB. The session thread owns all of it; queues that run belong
 * to lanes (lane.h), and are reached by operations (operation.c) alone.
 *
 * A message is handled to its end before the next one of the main channel is
 * looked at: where workers must first do or finish something, the handler starts
 * an *operation* and its reply goes out when that is done. Meanwhile the
 * back-channel goes on, and nothing blocks.
 *
 *	           message ---> handler ---> reply
 *	                           |           ^
 *	                           v           |
 *	  commands to lanes ---> operation --> its next step
 *	  <--- acknowledgements ---'
 *
 * Life: open --(end of the main channel, a protocol fault, session_close)-->
 * closing: one operation after the other stops the rings and detaches the
 * lanes --> over: session->over() is called, and the session may be freed.
 */
#ifndef BACKEND_SESSION_H
#define BACKEND_SESSION_H

#include <linux/virtio_config.h>
#include <stdbool.h>
#include <stdint.h>

#include <vhu/backend.h>

#include "backend/lane.h"
#include "backend/queue.h"
#include "backend/ring_set.h"
#include "base/loop.h"
#include "base/timer.h"
#include "iotlb/iotlb.h"
#include "iotlb/pending.h"
#include "memory/memtable.h"
#include "transport/channel.h"
#include "wire/message.h"

/* Ring features (virtio 1.2, 6); the kernel's header of them clashes with ours. */
#define SESSION_F_INDIRECT_DESC 28
#define SESSION_F_EVENT_IDX     29

/* A ring as the front-end has described it; the live one is in queue. */
struct ring {
	struct vring_config config;
	int kick_fd, call_fd, err_fd; /* not yet handed to a queue; -1: none */
	bool have_addresses;
	bool kicked; /* SET_VRING_KICK has come since the last stop: started */
	bool enabled;
	struct vhu_queue *queue; /* runs in a lane; NULL: stopped */
	uint64_t last_ticket;    /* of all its slots */
};

struct session;

/* What workers are doing for the message that was read last. */
struct operation {
	bool active;
	uint64_t serial;      /* of the step */
	unsigned outstanding; /* lanes that have not acknowledged, and who still commands them */
	/* The next step; runs when outstanding is 0. */
	void (*then)(struct session *session);
	/* One command per lane; only those that take part are sent. */
	struct lane_command *commands;
	struct mail none; /* to the session itself, if none was sent */
	bool over;        /* and so the next step is due */
	/* Only lanes that answer soon are to acknowledge this step; see operation_await(). */
	bool awaited;
	unsigned await_skip, await_skipped; /* how often not to wait, and how often that was */

	/* What the steps know of each other. */
	struct ring *ring;
	void (*after_start)(struct session *session);
	void (*after_stop)(struct session *session);
	struct range range;
	uint8_t perm;
	unsigned base_index;
	struct memtable *new_table;
	struct vhu_header request; /* the message that is being handled */
	int result;
};

/* Most failed accesses that wait to be told. */
#define NOTICES_FAILED_MAX 64u

/* What the front-end is yet to be told, by nobody's wish but ours. */
struct notices {
	bool config_changed;
	unsigned n_failed;
	struct hole failed[NOTICES_FAILED_MAX];
};

enum session_state {
	SESSION_OPEN,
	SESSION_CLOSING,
	SESSION_OVER,
};

struct session_config {
	const struct vhu_server_config *server;
	uint64_t number; /* of the server's sessions, from 1 */
	struct loop *loop;
	struct loop **lane_loops; /* one per worker; NULL: @loop alone */
	void (*over)(void *opaque);
	void *opaque;
};

struct session {
	const struct vhu_server_config *config;
	char subject[32]; /* of log lines: the device's name and the session's number */
	struct loop *loop;
	void (*over)(void *opaque);
	void *opaque;
	enum session_state state;

	struct channel *main;
	struct loop_source main_source;
	uint32_t main_events;   /* what main_source waits for */
	bool main_pressing;     /* something has come during an operation */
	bool reading;           /* in session_read_main() */
	struct loop_task work;  /* goes on after an operation */
	struct mailbox reports; /* from the lanes */
	struct list reported;   /* of holes, until all that was sent before them is read */

	uint64_t features, features_offered;
	uint64_t protocol_features;
	uint8_t status; /* SET_STATUS, recorded only (B1) */

	struct ring *rings;
	unsigned n_rings;
	unsigned n_running; /* rings that have a queue */

	struct memtable *table;
	struct iotlb *iotlb;
	uint64_t evicted; /* from it, as far as misses were told (S4) */
	bool views_set;   /* the lanes have a view of the current mode */

	/* Back-channel: misses out, replies in. */
	struct channel *back;
	struct loop_source back_source;
	uint32_t back_events;
	struct {
		struct timer timer;
		bool begun; /* there was one a moment ago */
	} lost;
	struct pending *pending;
	_Atomic uint64_t answered; /* read by lanes, see lane.h */
	_Atomic bool pressure;
	struct notices notices;
	/* While misses are judged: the unsatisfied one whose waiters are told. */
	const struct hole *judged;
	struct ring_set ticketed; /* rings for which a miss was sent and not answered */
	struct ring_set starved;  /* rings of which some slot is */
	/* Rings of which a page was refused, or lost, and not asked for with success since. */
	struct ring_set doubtful;

	struct operation operation;
	struct {
		struct timer timer;
		uint64_t serial;  /* of the operation it was armed for */
		unsigned seconds; /* when it is due next, since that began */
		bool armed;
	} slow;

	struct lane *lanes;
	unsigned n_lanes;

	struct {
		uint64_t misses, updates, invalidations, refused, unsatisfied, flushes;
		/* of channels that are closed */
		uint64_t main_reads, main_sends, back_reads, back_sends;
	} counters;
};

/* Takes @fd, a connected socket, on success. 0 or -errno. */
int session_new(const struct session_config *config, int fd, struct session **ret);
/* Only when it is over. */
void session_free(struct session *session);
/* Begins to end it; why is for the log, NULL for none. Harmless when closing. */
void session_close(struct session *session, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The next step of ending it; for session_finish(). */
void session_closing(struct session *session);
/* Whether the front-end has already gone, read or not. */
bool session_peer_gone(const struct session *session);
void session_stats(const struct session *session, struct vhu_stats *ret);
/* Closes a channel, if it is open, and keeps its numbers. */
void session_close_main(struct session *session);
void session_close_back(struct session *session);
bool session_check(const struct session *session);

static inline bool session_uses_iova(const struct session *session)
{
	return session->features >> VIRTIO_F_ACCESS_PLATFORM & 1;
}

static inline bool session_has(const struct session *session, unsigned protocol_feature)
{
	return session->protocol_features >> protocol_feature & 1;
}

static inline struct lane *session_lane(const struct session *session, unsigned ring)
{
	return &session->lanes[ring % session->n_lanes];
}

/* server.c: the session of now, or NULL. For tests. */
const struct session *server_session(const struct vhu_server *server);

/* dispatch.c: what comes on the main channel */

/* A handler's result beside -errno: the reply is its own business. */
#define HANDLER_REPLIES 1

void session_read_main(struct session *session);
/* A reply of its own, of @size bytes of payload. */
void session_reply(struct session *session, struct message *reply, uint32_t size);
/* Answers the current message with an error, and ends the session. HANDLER_REPLIES. */
int session_refuse(struct session *session, int error, const char *why);
/* The end of the message that began the operation: 0 or -errno. */
void session_finish(struct session *session, int result);
void session_update_events(struct session *session);

/* operation.c: what lanes do */

/*
 * Starts the operation of the current message, or its next step, with one
 * command to each lane (template->lane NULL) or to one. @then may run before
 * this returns to the loop, but not before this returns.
 */
void operation_run(struct session *session, struct lane *lane, const struct lane_command *template,
                   void (*then)(struct session *session));
/* All lanes forget @range, at once or before they do anything else; then @then, as above. */
void operation_shoot(struct session *session, struct range range,
                     void (*then)(struct session *session));
/* While messages are read: goes on, where workers are awake after a moment's waiting. */
void operation_await(struct session *session);
/* Empties the IOTLB's map; what the lanes have of it is to be drained next. */
void operation_empty(struct session *session);
/* Drops everything of the IOTLB, then @then. */
void operation_flush(struct session *session, void (*then)(struct session *session));
/* Gives the lanes the current table and mode, then @then; drains everything. */
void operation_view(struct session *session, struct memtable *table,
                    void (*then)(struct session *session));
/* Stops a ring that has a queue, then @then; the ring's avail_base is set. */
void operation_stop(struct session *session, struct ring *ring,
                    void (*then)(struct session *session));
/* Starts it if all that it needs is there, then @then. */
void operation_start(struct session *session, struct ring *ring,
                     void (*then)(struct session *session));

/* The usual last step: reply with operation.result. */
void operation_reply(struct session *session);

/* slow.c: a line for operations that take long (I3) */
int slow_init(struct session *session);
void slow_done(struct session *session);
/* The session goes to sleep; if an operation is under way, how long is watched. */
void slow_watch(struct session *session);

/* lost.c: the front-end has closed the back-channel, and perhaps more */
int lost_init(struct session *session);
void lost_done(struct session *session);
void lost_begin(struct session *session);
/* There is another one, or none. Harmless if it has not begun. */
void lost_end(struct session *session);

/* on_*.c: handlers by concern, each 0, -errno or HANDLER_REPLIES */
#define HANDLER(name) int on_##name(struct session *session, struct message *message)
HANDLER(get_features);
HANDLER(set_features);
HANDLER(set_owner);
HANDLER(reset_owner);
HANDLER(get_protocol_features);
HANDLER(set_protocol_features);
HANDLER(get_queue_num);
HANDLER(reset_device);
HANDLER(set_status);
HANDLER(get_status);
HANDLER(get_config);
HANDLER(set_config);
HANDLER(set_mem_table);
HANDLER(get_max_mem_slots);
HANDLER(add_mem_reg);
HANDLER(rem_mem_reg);
HANDLER(set_vring_num);
HANDLER(set_vring_addr);
HANDLER(set_vring_base);
HANDLER(get_vring_base);
HANDLER(set_vring_kick);
HANDLER(set_vring_call);
HANDLER(set_vring_err);
HANDLER(set_vring_enable);
HANDLER(set_backend_req_fd);
HANDLER(iotlb_msg);

/* misses.c */
/* Takes @channel over, also on failure. 0 or -errno. */
int misses_open(struct session *session, struct channel *channel);
void misses_close(struct session *session, const char *why);
/* Sends what misses it may. */
void misses_send(struct session *session);
/* The ring has no queue any more; if it was the last, nothing more is said (S6). */
void misses_stopped(struct session *session, unsigned ring);
/* The ring's pages are others now: what the old ones were asked for means nothing to it. */
void misses_moved(struct session *session, struct ring *ring);
/* Judges answered misses, once all updates read so far are applied. */
void misses_judge(struct session *session);
/* A report of holes from a lane: it is taken when what has been sent is read. */
void misses_reported(struct mail *mail);
void misses_take_reports(struct session *session);
/* An update was applied: wakes halted rings it touches, starved ones, too. */
void misses_updated(struct session *session, struct range range);
extern const struct pending_ops misses_pending_ops;

/* notice.c */
/* The device's configuration has changed: the front-end is told when it may be. */
void notice_config_changed(struct session *session);
/* An access has failed: the front-end is told by the next misses_send(), if it is to be. */
void notice_access_failed(struct session *session, const struct hole *access);
void notice_forget_accesses(struct session *session);
/* Whether it is to be told as soon as there is room in the back-channel. */
bool notice_waits(const struct session *session);
/* Part of misses_send(), with an empty channel: 0, or -errno of channel_flush(). */
int notice_send(struct session *session);

#endif
