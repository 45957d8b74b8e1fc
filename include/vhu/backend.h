/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serve a virtio device to vhost-user front-ends: a server owns a listening or
 * connected socket and one session at a time.
 *
 * The library creates no thread. A server exposes one fd to poll and one
 * function to run; queues are served by the same thread unless workers are
 * given, each of which is likewise an fd and a function for a thread of the
 * caller's.
 */
#ifndef VHU_BACKEND_H
#define VHU_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include <vhu/device.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhu_server;
struct vhu_worker;

/**
 * struct vhu_server_config - how a server behaves; zero is a good default for
 * every field but the first two.
 * @ops: the device's functions; kept by reference
 * @dev: passed to them
 * @workers: threads that serve queues, queue i by workers[i % n_workers]; NULL
 *	or @n_workers 0: the server's own thread
 * @n_workers: number of @workers
 * @iotlb_entries: bound of the device IOTLB in entries; 0: 1,048,576
 * @poll_us: for so many microseconds a thread that serves queues goes on looking
 *	at them before it sleeps, and has drivers not kick meanwhile; 0: it sleeps
 *	at once. Such a thread has a CPU for itself, or should have
 * @poll_adapts: each sleep that is longer than @poll_us halves the time that is spent
 *	looking before the next, and a shorter one restores it. For a few tens of
 *	microseconds and threads that have no CPU for themselves
 * @no_iommu: do not offer VIRTIO_F_ACCESS_PLATFORM
 * @no_miss_hints: send misses with size 0 (rule S3)
 * @report_access_failures: tell the front-end, by an ACCESS_FAIL message, of each access
 *	that failed because a miss was refused or answered without the translation (rule
 *	S8). QEMU does not know that message and complains
 * @session_end: called when a front-end has gone and everything of it has been
 *	released; statistics still hold the finished session's numbers
 */
struct vhu_server_config {
	const struct vhu_device_ops *ops;
	void *dev;
	struct vhu_worker **workers;
	unsigned n_workers;
	uint64_t iotlb_entries;
	uint32_t poll_us;
	bool poll_adapts;
	bool no_iommu;
	bool no_miss_hints;
	bool report_access_failures;
	void (*session_end)(struct vhu_server *server, void *opaque);
	void *opaque;
};

/**
 * struct vhu_stats - counters of one session, from its first message on.
 * @requests: chains given to the device
 * @refused_requests: chains that failed because an address was refused
 * @kicks: kick events read
 * @calls: call events signalled
 * @ring_errors: rings declared broken
 * @iotlb_entries: entries now in the cache
 * @iotlb_hits: pages found in a worker's front cache
 * @iotlb_walks: pages looked up in the shared map
 * @misses: MISS messages sent
 * @pages_needed: sum over requests of the distinct (page, permission) pairs of
 *	the chain: what a cache that remembers nothing would have to ask for
 * @updates: UPDATE messages accepted
 * @invalidations: INVALIDATE messages accepted
 * @refused: misses answered by a non-zero reply
 * @unsatisfied: misses answered by a zero reply without the translation
 * @evicted: entries dropped for the bound
 * @flushes: times the whole cache was dropped
 * @main_reads: system calls that read the main channel
 * @main_sends: system calls that sent replies on it
 * @back_reads: system calls that read the back-channel
 * @back_sends: system calls that sent misses on it
 */
struct vhu_stats {
	uint64_t requests;
	uint64_t refused_requests;
	uint64_t kicks;
	uint64_t calls;
	uint64_t ring_errors;
	uint64_t iotlb_entries;
	uint64_t iotlb_hits;
	uint64_t iotlb_walks;
	uint64_t misses;
	uint64_t pages_needed;
	uint64_t updates;
	uint64_t invalidations;
	uint64_t refused;
	uint64_t unsatisfied;
	uint64_t evicted;
	uint64_t flushes;
	uint64_t main_reads;
	uint64_t main_sends;
	uint64_t back_reads;
	uint64_t back_sends;
};

/**
 * vhu_server_new - a server on a socket.
 * @config: what to serve and how; copied
 * @fd: a Unix stream socket, listening or connected (found out)
 * @ret: the server
 *
 * A connected socket serves one session, after which vhu_server_done() is true;
 * a listening one serves front-ends one after the other, and refuses a second
 * one while the first is there (rule B2).
 *
 * Context: any thread; does not block.
 * Ownership: @fd belongs to the server on success, to the caller on failure.
 * Return: 0, -EINVAL for a bad @config; of @fd -EBADF, -ENOTSOCK, -EPROTOTYPE for another
 * kind of socket, -ENOTCONN for one that is neither; -ENOMEM, -EMFILE.
 */
int vhu_server_new(const struct vhu_server_config *config, int fd, struct vhu_server **ret);

/**
 * vhu_server_free - end the session, if any, and release everything.
 * @server: a server or NULL
 *
 * Requests the device holds are waited for: run the workers meanwhile if there
 * are any. Use vhu_server_stop() and run until vhu_server_done() to wait in
 * your own loop.
 *
 * Context: the server's thread; blocks until the device has completed what it
 * holds.
 */
void vhu_server_free(struct vhu_server *server);

/**
 * vhu_server_fd - the fd to poll for reading.
 * @server: a server
 *
 * Context: any. Ownership: stays the server's.
 */
int vhu_server_fd(const struct vhu_server *server);

/**
 * vhu_server_run - do what there is to do.
 * @server: a server
 * @timeout_ms: how long to wait for something: 0 not at all, -1 for ever
 *
 * With poll_us and a @timeout_ms that is not 0 it looks at the queues meanwhile,
 * and may return though there is more to do, every 10 ms or so.
 *
 * Context: one thread, always the same; blocks for @timeout_ms at the most
 * beside what the device's functions take.
 * Return: 0, or the -errno of epoll_wait(2). A front-end's faults are no
 * error: they end its session with a log line.
 */
int vhu_server_run(struct vhu_server *server, int timeout_ms);

/**
 * vhu_server_watch - let the server's sleep end for an fd of the caller's, too.
 * @server: a server
 * @fd: polled for reading, level-triggered
 * @ready: called by vhu_server_run() when it is readable
 * @opaque: passed to @ready
 *
 * One fd per server, such as a signalfd: a daemon then needs no poll of its own.
 *
 * Context: the server's thread; does not block.
 * Ownership: @fd stays the caller's, and open until vhu_server_free().
 * Return: 0, -EBUSY if there is a watch already, or the -errno of epoll_ctl(2).
 */
int vhu_server_watch(struct vhu_server *server, int fd, void (*ready)(void *opaque), void *opaque);

/**
 * vhu_server_stop - accept nothing more, end the session in an orderly way.
 * @server: a server
 *
 * Context: the server's thread; does not block. Keep running the server until
 * vhu_server_done().
 */
void vhu_server_stop(struct vhu_server *server);

/**
 * vhu_server_done - whether there is nothing left to serve.
 * @server: a server
 *
 * Context: the server's thread.
 */
bool vhu_server_done(const struct vhu_server *server);

/**
 * vhu_server_config_changed - the device's configuration space is another now.
 * @server: a server
 *
 * Tells the front-end, at once if a ring runs and else when the next one starts,
 * if it has negotiated that it wants to know (protocol features CONFIG and
 * BACKEND_REQ). It then reads the configuration anew. Several changes may be told
 * as one. Without a front-end there is nothing to do: the next one reads.
 *
 * Context: the server's thread; does not block.
 */
void vhu_server_config_changed(struct vhu_server *server);

/**
 * vhu_server_stats - the counters of the current session, or of the last one.
 * @server: a server
 * @ret: filled
 *
 * Context: the server's thread; does not block.
 */
void vhu_server_stats(const struct vhu_server *server, struct vhu_stats *ret);

/**
 * vhu_server_unblock - let go threads that a front-end holds up.
 * @server: a server
 *
 * A front-end can make an eventfd that it has given block whoever signals it, for as
 * long as it likes. A thread that runs the server or one of its workers, and is in the
 * same signal as when this was called the last time, is let go; the session of that
 * front-end then ends. To be called once a second or so, by a thread that runs neither:
 * who serves only front-ends that it trusts can do without.
 *
 * Context: any one thread, the same for all servers that share workers, between
 * vhu_server_new() and vhu_server_free(); does not block.
 * Return: how many threads were let go.
 */
unsigned vhu_server_unblock(struct vhu_server *server);

/**
 * vhu_worker_new - something that serves queues in a thread of the caller's.
 * @ret: the worker
 *
 * Ownership: lives until vhu_worker_free(), which must come after the free of
 * every server that uses it.
 * Return: 0, -ENOMEM, -EMFILE.
 */
int vhu_worker_new(struct vhu_worker **ret);

/**
 * vhu_worker_free - release a worker that no server uses.
 * @worker: a worker or NULL
 */
void vhu_worker_free(struct vhu_worker *worker);

/**
 * vhu_worker_fd - the fd to poll for reading.
 * @worker: a worker
 *
 * Context: any. Ownership: stays the worker's.
 */
int vhu_worker_fd(const struct vhu_worker *worker);

/**
 * vhu_worker_run - do what there is to do.
 * @worker: a worker
 * @timeout_ms: how long to wait for something: 0 not at all, -1 for ever
 *
 * Context: one thread per worker, always the same.
 * Return: 0, or the -errno of epoll_wait(2).
 */
int vhu_worker_run(struct vhu_worker *worker, int timeout_ms);

/**
 * vhu_worker_wake - make a vhu_worker_run() that waits return.
 * @worker: a worker
 *
 * Context: any thread; does not block.
 */
void vhu_worker_wake(struct vhu_worker *worker);

#ifdef __cplusplus
}
#endif
#endif
