/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end under test: a vhu_server with a trivial device in a thread of its
 * own, at the other end of a socket pair on which the test is the front-end, by
 * hand, message by message.
 *
 *	struct rig *rig = rig_new(&(struct rig_config){ .queues = 1 });
 *
 *	rig_open(rig, VHU_BIT(VIRTIO_F_ACCESS_PLATFORM));
 *	rig_map(rig, RING, 0x4000, 0, PERM_RW);
 *	rig_ring_start(rig, 0, &(struct rig_ring_config){ .num = 16, .iova = RING });
 *	rig_map(rig, 0x10000, 0x1000, 0x10000, PERM_RW);
 *	rig_add(rig, 0, buffers, n, token);
 *	rig_kick(rig, 0);
 *	rig_wait_used(rig, 0, &written);    answers misses by rig_map() meanwhile
 *	rig_free(rig);
 *
 * Everything here waits PEER_PATIENCE at most and fails the test beyond that. A
 * test that wants to see each miss takes it by rig_next_miss() and answers it by
 * rig_grant(), rig_refuse() or not at all; one that wants the back-channel
 * jammed reads nothing from it.
 *
 * Thread: the test's; the server and its workers have their own.
 */
#ifndef SUPPORT_RIG_H
#define SUPPORT_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <vhu/backend.h>
#include <vhu/frontend.h>

#include "memory/translate.h"
#include "support/census.h"
#include "support/check.h"
#include "support/peer.h"
#include "vring/driver.h"
#include "wire/message.h"

#define RIG_QUEUES_MAX  8u
#define RIG_MAPS_MAX    256u
#define RIG_WORKERS_MAX 4u

/* Zero is a good default for every field. */
struct rig_config {
	unsigned n_workers;     /* threads for the queues; 0: the server's own */
	uint32_t poll_us;       /* how long they look at their queues before they sleep */
	unsigned queues;        /* of the device; 0: 2 */
	uint64_t features;      /* of the device, beside what the library adds */
	uint64_t iotlb_entries; /* 0: the library's default */
	bool no_iommu;
	bool no_miss_hints;
	bool report_access_failures;
	unsigned n_regions;        /* of memory, adjacent in gpa (from 0) and uva; 0: 1 */
	uint64_t region_size;      /* 0: 4 MiB */
	int back_buffer;           /* bytes of socket buffer of the back-channel; 0: default */
	uint64_t protocol_without; /* protocol features not to be accepted */
	bool listen;               /* serve one front-end after the other; see rig_reconnect() */
	bool gpa_addresses;        /* accept GPA_ADDRESSES: rings, regions, updates by gpa */
};

/*
 * The device: reads all a request has to read, writes it over and over into all
 * there is to write but the last byte, which is the status: RIG_OK. Where there
 * is nothing to read it writes RIG_FILL. It touches memory only when it
 * completes, which it does at once unless it was told to hold.
 */
#define RIG_FILL    0x5a
#define RIG_OK      0
#define RIG_REFUSED 1

struct rig_miss {
	uint64_t iova;
	uint64_t size;
	uint8_t perm;
	struct vhu_header header;
};

struct rig_map {
	uint64_t iova, size, gpa;
	uint8_t perm;
};

struct rig_ring {
	struct vring_driver *driver;
	int kick, call, err;
};

struct rig {
	struct rig_config config;
	struct sockaddr_un address; /* of the server, with config.listen */
	socklen_t address_size;
	int main; /* the test's end of the main channel */
	int back; /* of the back-channel, once open; else -1 */
	struct vhu_guestmem *mem;
	char *memory; /* of gpa 0 */
	uint64_t memory_size;
	uint64_t features;
	uint64_t protocol_features;
	struct rig_ring rings[RIG_QUEUES_MAX];

	/* What rig_serve_misses() grants; the test may look and change. */
	struct rig_map maps[RIG_MAPS_MAX];
	unsigned n_maps;
	/* Counted by rig_next_miss(). */
	unsigned misses;

	struct rig_device *device;
	struct vhu_server *server;
	struct vhu_worker *workers[RIG_WORKERS_MAX];
	pthread_t server_thread, worker_threads[RIG_WORKERS_MAX];
	struct rig_control *control;
};

/* Entries of a table of tests: a test whose *state is the config to run with, run with each. */
extern const struct rig_config rig_one_thread, rig_own_threads;
#define RIG_TEST_WITH(test, config)                            \
	{                                                      \
		.name = #test ", " #config, .test_func = test, \
		.initial_state = (void *)(uintptr_t)&config,   \
	}
#define RIG_TEST_BOTH(test) \
	RIG_TEST_WITH(test, rig_one_thread), RIG_TEST_WITH(test, rig_own_threads)

struct rig *rig_new(const struct rig_config *config);
/* Closes the connection, lets held requests go, and joins all threads. */
void rig_free(struct rig *rig);

/* Only with config.listen. Another connection to the server; the caller's. */
int rig_connect(struct rig *rig);
/* Closes the connection and makes a new one, of which nothing is negotiated. */
void rig_reconnect(struct rig *rig);

/* vhu_server_stop() in the server's thread; does not wait. */
void rig_stop(struct rig *rig);
/* vhu_server_config_changed() in the server's thread; does not wait. */
void rig_config_changed(struct rig *rig);
/* Sessions that have ended, by session_end(); waits for the count. */
unsigned rig_sessions(struct rig *rig);
void rig_wait_sessions(struct rig *rig, unsigned n);
/* Counters as session_end() found them when the last session ended. */
struct vhu_stats rig_last_stats(struct rig *rig);

/* Counters of the session, fetched in the server's thread. */
struct vhu_stats rig_stats(struct rig *rig);
/* Waits until the server has nothing left to serve; -ETIMEDOUT or 0. */
int rig_wait_end(struct rig *rig);

/* rig_message.c: the main channel. */

/* Sends as it is; receives, failing the test if nothing comes. */
void rig_send(struct rig *rig, const struct message *message);
void rig_recv(struct rig *rig, struct message *ret);
/* Fails the test if anything comes on the main channel within PEER_QUIET ms. */
void rig_expect_silence(struct rig *rig);
/* The next message is a reply to @request of 8 bytes: their value. */
uint64_t rig_expect_u64(struct rig *rig, uint32_t request);
/* The next thing is the connection's end. */
void rig_expect_closed(struct rig *rig);

/*
 * Sends with NEED_REPLY and returns what was acknowledged. Without REPLY_ACK
 * sends without, has the session answer something else behind it, and returns 0.
 */
uint64_t rig_call(struct rig *rig, struct message *message);
uint64_t rig_set_u64(struct rig *rig, uint32_t request, uint64_t value);
uint64_t rig_set_state(struct rig *rig, uint32_t request, uint32_t index, uint32_t num);
/* What the process holds once the session is done with all it was sent. */
struct census rig_census(struct rig *rig);
/* Requests with a reply of their own. */
uint64_t rig_get_u64(struct rig *rig, uint32_t request);
uint32_t rig_get_vring_base(struct rig *rig, uint32_t index);

/*
 * Negotiates: @features beside bit 30, VERSION_1 being always wanted; protocol
 * features all that are offered but config.protocol_without and what the test does
 * not ask for by config.gpa_addresses; back-channel, memory. rig_open() is all four.
 */
void rig_open(struct rig *rig, uint64_t features);
void rig_negotiate_protocol(struct rig *rig);
void rig_open_back(struct rig *rig);
void rig_share(struct rig *rig);
void rig_set_features(struct rig *rig, uint64_t features);

/* rig_iotlb.c: translations. */

/* Adds what rig_serve_misses() grants. Tells nobody. */
void rig_map(struct rig *rig, uint64_t iova, uint64_t size, uint64_t gpa, uint8_t perm);
/* Takes maps that meet the range out of the list. Tells nobody. */
void rig_unmap(struct rig *rig, uint64_t iova, uint64_t size);

/* UPDATE and INVALIDATE: what was acknowledged. @gpa is made a uva. */
uint64_t rig_update(struct rig *rig, uint64_t iova, uint64_t size, uint64_t gpa, uint8_t perm);
uint64_t rig_invalidate(struct rig *rig, uint64_t iova, uint64_t size);
/* Only sends; the reply is taken by rig_expect_u64(rig, VHU_FE_IOTLB_MSG). */
void rig_send_update(struct rig *rig, uint64_t iova, uint64_t size, uint64_t gpa, uint8_t perm);
void rig_send_invalidate(struct rig *rig, uint64_t iova, uint64_t size);

/* The next miss; false: none within the time. */
bool rig_try_miss(struct rig *rig, struct rig_miss *ret, int timeout_ms);
struct rig_miss rig_next_miss(struct rig *rig);
void rig_expect_no_miss(struct rig *rig);
/*
 * Replies to a miss; to be done in the order of the misses. rig_grant() sends
 * the page of the miss as the maps have it, takes the acknowledgement and replies
 * 0; false, having sent nothing: the maps don't have it.
 */
void rig_answer(struct rig *rig, const struct rig_miss *miss, uint64_t value);
void rig_refuse(struct rig *rig, const struct rig_miss *miss);
bool rig_grant(struct rig *rig, const struct rig_miss *miss);
/* Grants or refuses misses, by the maps, until none has come for @quiet_ms. */
void rig_serve_misses(struct rig *rig, int quiet_ms);

/* rig_ring.c: rings. */

struct rig_ring_config {
	uint16_t num;  /* 0: 16 */
	uint16_t base; /* SET_VRING_BASE */
	uint64_t gpa;  /* where the ring lies; rig_ring_bytes() bytes */
	uint64_t iova; /* the same for the device; ignored without bit 33 */
	bool event_idx;
	uint16_t table_entries; /* of indirect tables; 0: none */
	bool disabled;          /* started but not enabled */
};

uint64_t rig_ring_bytes(const struct rig_ring_config *config);
uint64_t rig_ring_used_offset(const struct rig_ring_config *config);
void rig_ring_start(struct rig *rig, unsigned index, const struct rig_ring_config *config);
/* One message of those that make rig_ring_start(); fd -1: the bit that there is none. */
uint64_t rig_set_vring_addr(struct rig *rig, unsigned index, const struct rig_ring_config *config);
uint64_t rig_set_vring_fd(struct rig *rig, uint32_t request, unsigned index, int fd);
void rig_ring_enable(struct rig *rig, unsigned index, bool enable);
/* GET_VRING_BASE, and lets go of the ring. */
uint32_t rig_ring_stop(struct rig *rig, unsigned index);

/* Makes available without showing it; rig_kick() shows and always kicks. */
void rig_add(struct rig *rig, unsigned index, const struct vring_buffer *buffers, unsigned n,
             void *token);
void rig_kick(struct rig *rig, unsigned index);
/* Takes a used element; misses are served meanwhile unless told not to. */
void *rig_wait_used(struct rig *rig, unsigned index, uint32_t *ret_written);
bool rig_try_used(struct rig *rig, unsigned index, void **ret_token, uint32_t *ret_written);
void rig_expect_unused(struct rig *rig, unsigned index);
/* Waits for the ring's error eventfd. */
void rig_expect_ring_error(struct rig *rig, unsigned index);

/* What stands for a gpa in regions, updates and rings: its uva, or with GPA_ADDRESSES itself. */
uint64_t rig_user_address(const struct rig *rig, uint64_t gpa);
/* Memory of a gpa as this process sees it; fails the test outside of memory. */
void *rig_ptr(struct rig *rig, uint64_t gpa, uint64_t len);

/* rig_device.c: the device. */

/* Requests submitted from now on are kept; release completes them all. */
void rig_hold(struct rig *rig);
void rig_release(struct rig *rig);
/*
 * The next request submitted, to whatever queue, completes them all, as where
 * queues share a kernel ring; with one thread for all queues.
 */
void rig_release_by_next(struct rig *rig);
/*
 * The next batch of requests submitted, to whatever queue, runs @then when it
 * ends, in the thread that submits it; returns when it has.
 */
void rig_at_batch_end(struct rig *rig, void (*then)(void *opaque), void *opaque);
void rig_wait_batch_end(struct rig *rig);
/* What becomes of what a queue holds when it is waited for. */
enum rig_drain {
	RIG_DRAIN_KEEP,
	RIG_DRAIN_COMPLETE,
	RIG_DRAIN_RETURN,
	RIG_DRAIN_RETURN_FIRST, /* and complete the others */
};
void rig_at_drain(struct rig *rig, enum rig_drain what);
/* How often the device was told. */
unsigned rig_drains(struct rig *rig);
/* Requests the device was given, since the start; waits for the count. */
unsigned rig_submitted(struct rig *rig);
void rig_wait_submitted(struct rig *rig, unsigned n);
unsigned rig_refused(struct rig *rig);
unsigned rig_resets(struct rig *rig);

/* For rig.c. */
struct rig_device *rig_device_new(unsigned queues, uint64_t features);
void rig_device_free(struct rig_device *device);
extern const struct vhu_device_ops rig_device_ops;

#endif
