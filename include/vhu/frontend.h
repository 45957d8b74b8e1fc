/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Be the front-end of a vhost-user back-end: negotiate, share memory, start
 * rings, answer the misses of its device IOTLB from a software IOMMU
 * (vhu/iommu.h), and, with vhu_vq_*, drive its queues.
 *
 * The library creates no thread. Functions that ask the back-end something wait
 * for its answer up to the time-out and serve the back-channel meanwhile;
 * between them, poll vhu_frontend_fd() and call vhu_frontend_run(), or have a thread
 * do nothing else.
 *
 * Context: the functions of a front-end may be called from any thread, by several
 * at once, if not said otherwise; those of a queue (vhu_vq_*) by one at a time.
 * While one thread waits for an answer, another that has to wait, too, leaves it to
 * the first to read from the back-end.
 *
 * Callbacks (of struct vhu_frontend_config, struct vhu_iommu_config, and of unmaps)
 * run on a thread that is inside a function of a front-end, with no lock held. They
 * must not wait for a back-end: functions that would return -EDEADLK. Nor may they free
 * a front-end or an IOMMU.
 *
 * Messages are named as in "Front-end message types" and "Back-end message types" of the
 * vhost-user specification; when a ring works is in its "Ring states", and what IOTLB_MSG is
 * for in its "IOMMU support".
 *
 * Errors: 0 or -errno; vhu_frontend_error() then says in words what went wrong
 * and names the message. The same in all functions that talk to the back-end:
 * -ENOTCONN (it is gone; nothing works before vhu_frontend_reconnect()), -ETIMEDOUT
 * (no reply in time), -EREMOTEIO (it refused), -EPROTO (it answered nonsense; the
 * connection is closed), -EDEADLK (called from a callback), -ENOBUFS (too much
 * unanswered), -ENOMEM.
 */
#ifndef VHU_FRONTEND_H
#define VHU_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vhu/guestmem.h>
#include <vhu/iommu.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhu_frontend;

/**
 * struct vhu_frontend_config - how a front-end behaves; zero is a good default.
 * @name: for log lines and error texts; NULL: "frontend"
 * @iommu: answers misses; NULL: VIRTIO_F_ACCESS_PLATFORM can't be negotiated
 * @timeout_ms: how long to wait for a reply, however slowly it comes in; 0: 5000. A
 *	function that needs several, one after the other, may take as many times that
 * @config_changed: the device's configuration has changed; may be NULL
 * @lost: the back-end is gone, called once for each that goes by itself; may be NULL
 * @opaque: passed to the callbacks, and the device of struct vhu_iommu_fault
 */
struct vhu_frontend_config {
	const char *name;
	struct vhu_iommu *iommu;
	int timeout_ms;
	void (*config_changed)(void *opaque);
	void (*lost)(void *opaque);
	void *opaque;
};

/**
 * vhu_frontend_new - a front-end on a connected socket; sends nothing yet.
 * @config: how it behaves; copied
 * @fd: a connected Unix stream socket
 * @ret: the front-end
 *
 * Ownership: @fd belongs to the front-end on success, to the caller on failure.
 * @config->iommu must outlive the front-end.
 * Return: 0; -EBADF, -ENOTSOCK; -EPROTOTYPE: no Unix stream socket; -ENOTCONN: not
 * connected; -EINVAL: it listens, or the time-out is negative; -ENOSPC: the IOMMU has
 * 63 devices already; -ENOMEM, -EMFILE.
 */
int vhu_frontend_new(const struct vhu_frontend_config *config, int fd, struct vhu_frontend **ret);

/**
 * vhu_frontend_connect - a front-end on a socket path; sends nothing yet.
 * @config: how it behaves; copied
 * @path: where a back-end listens, or is about to within the time-out
 * @ret: the front-end
 *
 * Return: 0; the -errno of connect(2), after the time-out where somebody may yet come;
 * -ENAMETOOLONG; or as vhu_frontend_new().
 */
int vhu_frontend_connect(const struct vhu_frontend_config *config, const char *path,
                         struct vhu_frontend **ret);

/**
 * vhu_frontend_listen - a front-end to which its back-end connects.
 * @config: how it behaves; copied
 * @path: where to listen; a socket that lies there and that nobody listens to any
 *	more is replaced. It goes with the front-end
 * @ret: the front-end
 *
 * Waits for the back-end up to the time-out. One that has connected and is gone again is
 * not the one.
 *
 * Return: 0, -ETIMEDOUT, as vhu_socket_listen() (vhu/socket.h), or as
 * vhu_frontend_new().
 */
int vhu_frontend_listen(const struct vhu_frontend_config *config, const char *path,
                        struct vhu_frontend **ret);

/**
 * vhu_frontend_reconnect - go on with another back-end where the last one ended.
 * @frontend: a front-end that has been negotiated; if its back-end is not gone,
 *	it is left
 * @fd: a connected Unix stream socket; -1: connects to the path of
 *	vhu_frontend_connect(), or waits for a connection at that of
 *	vhu_frontend_listen(), up to the time-out
 *
 * Everything is as it was before, to the driver and to the device: features, memory,
 * the status byte, rings and whether they are enabled. What a queue of vhu_vq_start()
 * has not got back is made available once more, in the order in which it was added;
 * the device may so see a request twice. Other rings go on from the used index, if
 * struct vhu_vring_setup.used_ptr tells where that is, else from the base they were
 * started with.
 *
 * Meanwhile functions that ask something return -ENOTCONN to other threads; misses are
 * served. Requests that wait for the last back-end end with -ENOTCONN.
 *
 * To be called when the process of the last back-end is known to be dead: it counts
 * as holding no translation any more, and what only it had exposed is forgotten.
 *
 * Context: as the others; but nobody else may be in functions of the front-end's
 * queues.
 * Ownership: @fd belongs to the front-end, also on failure.
 * Return: 0; with nothing changed: -EINVAL: @fd is -1 and there is no path; of the fd, as
 * vhu_frontend_new(); of the path, as vhu_frontend_connect(), or -ETIMEDOUT; -EDEADLK.
 * With the back-end gone, so that it is to be tried again: -EOPNOTSUPP: the next one does
 * not offer what was in use; -EPROTO: also, the last one wrote nonsense into a queue, which
 * is to be freed; or as at the top. vhu_frontend_error() says what could not be had.
 */
int vhu_frontend_reconnect(struct vhu_frontend *frontend, int fd);

/**
 * vhu_frontend_free - close the connection and release everything.
 * @frontend: a front-end or NULL; its queues are to be freed before. Unmaps that are under
 *	way end with -ENOTCONN, and call back from in here
 *
 * The back-end is not asked to stop, and the memory shared with it stays
 * reachable to it for as long as its process lives.
 *
 * Context: nobody else is in functions of the front-end; not from a callback.
 */
void vhu_frontend_free(struct vhu_frontend *frontend);

/**
 * vhu_frontend_fd - the fd to poll for reading.
 * @frontend: a front-end
 *
 * Ownership: stays the front-end's.
 */
int vhu_frontend_fd(const struct vhu_frontend *frontend);

/**
 * vhu_frontend_run - serve the back-channel and notice the back-end's end.
 * @frontend: a front-end
 * @timeout_ms: how long to wait for something: 0 not at all, -1 for ever
 *
 * Context: any thread, several at once, of which one works.
 * Return: 0, -ENOTCONN, -EDEADLK, or the -errno of epoll_wait(2).
 */
int vhu_frontend_run(struct vhu_frontend *frontend, int timeout_ms);

/**
 * vhu_frontend_wake - make a vhu_frontend_run() that waits return.
 * @frontend: a front-end
 *
 * Context: any thread; does not block.
 */
void vhu_frontend_wake(struct vhu_frontend *frontend);

/**
 * vhu_frontend_error - what went wrong last, in words.
 * @frontend: a front-end
 *
 * Ownership: valid until the same thread calls this again; empty if nothing has
 * gone wrong yet.
 */
const char *vhu_frontend_error(const struct vhu_frontend *frontend);

/**
 * struct vhu_frontend_stats - counters since the front-end was made.
 * @misses: MISS messages received
 * @refused: of these, those that were refused
 * @updates: UPDATE messages sent
 * @updates_refused: of these, those the back-end refused
 * @invalidations: INVALIDATE messages sent
 * @access_fails: ACCESS_FAIL messages received
 * @requests: messages sent on the main channel, in all
 * @sends: system calls that took
 * @replies: messages sent on the back-channel
 * @reply_sends: system calls that took
 * @reconnects: that succeeded
 */
struct vhu_frontend_stats {
	uint64_t misses;
	uint64_t refused;
	uint64_t updates;
	uint64_t updates_refused;
	uint64_t invalidations;
	uint64_t access_fails;
	uint64_t requests;
	uint64_t sends;
	uint64_t replies;
	uint64_t reply_sends;
	uint64_t reconnects;
};

/**
 * vhu_frontend_stats - read the counters.
 * @frontend: a front-end
 * @ret: filled
 */
void vhu_frontend_stats(const struct vhu_frontend *frontend, struct vhu_frontend_stats *ret);

/**
 * vhu_frontend_negotiate - open the session: feature offers, protocol features,
 * ownership, back-channel.
 * @frontend: a front-end, before anything else is asked of it
 *
 * Sends GET_FEATURES, SET_OWNER and, as far as they are known to the back-end,
 * GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, GET_MAX_MEM_SLOTS and
 * SET_BACKEND_REQ_FD. Protocol features used where offered: MQ, REPLY_ACK, BACKEND_REQ, CONFIG,
 * CONFIGURE_MEM_SLOTS, RESET_DEVICE, STATUS.
 *
 * Return: 0, -EISCONN if done before, or as at the top. After another error than that it
 * may be tried again.
 */
int vhu_frontend_negotiate(struct vhu_frontend *frontend);

/**
 * vhu_frontend_features_offered - virtio features the driver may choose from.
 * @frontend: a front-end after vhu_frontend_negotiate()
 *
 * Without VIRTIO_F_ACCESS_PLATFORM if there is no IOMMU, or the back-end lacks
 * REPLY_ACK or BACKEND_REQ; without the protocol's own bits 26 and 30; without
 * VIRTIO_F_RING_PACKED, since a struct vhu_vring_setup is that of a split ring.
 */
uint64_t vhu_frontend_features_offered(const struct vhu_frontend *frontend);

/**
 * vhu_frontend_protocol_features - the protocol features in use, as bits.
 * @frontend: a front-end after vhu_frontend_negotiate()
 */
uint64_t vhu_frontend_protocol_features(const struct vhu_frontend *frontend);

/**
 * vhu_frontend_queues - number of queues the back-end has.
 * @frontend: a front-end after vhu_frontend_negotiate()
 *
 * Return: 0 where the back-end can't say (no MQ).
 */
unsigned vhu_frontend_queues(const struct vhu_frontend *frontend);

/**
 * vhu_frontend_set_features - what the driver chose.
 * @frontend: a front-end after vhu_frontend_negotiate()
 * @features: a subset of those offered
 *
 * With VIRTIO_F_ACCESS_PLATFORM every address of rings and buffers is an I/O
 * virtual address; without it ring addresses are those of struct vhu_region.uva
 * and buffer addresses those of struct vhu_region.gpa. Sends SET_FEATURES.
 *
 * Return: 0, -EOPNOTSUPP: not a subset, and for VIRTIO_F_ACCESS_PLATFORM
 * vhu_frontend_error() says what is lacking; or as at the top.
 */
int vhu_frontend_set_features(struct vhu_frontend *frontend, uint64_t features);

/**
 * vhu_frontend_add_memory - share regions beside those shared already.
 * @frontend: a front-end after vhu_frontend_negotiate()
 * @regions: the regions
 * @n: number of @regions
 *
 * Region by region where the back-end has memory slots (ADD_MEM_REG), else by a new table
 * of all regions (SET_MEM_TABLE). Regions need not be aligned, but many back-ends can't map one
 * that is not.
 *
 * Ownership: fds are duplicated and stay the caller's.
 * Return: 0; -EINVAL: a region is empty, or wraps; -EEXIST: guest physical addresses of it
 * are shared already; -E2BIG: more regions than the back-end takes; -ENOMEM: with all these
 * nothing has changed. -EBADF, -EMFILE, or as at the top: some of @regions may be shared;
 * those that were refused are not. After -ETIMEDOUT the back-end may know more than is
 * remembered here.
 */
int vhu_frontend_add_memory(struct vhu_frontend *frontend, const struct vhu_region *regions,
                            unsigned n);

/**
 * vhu_frontend_remove_memory - share a region no longer.
 * @frontend: a front-end
 * @region: gpa, size and uva as when it was added; the rest is not looked at
 *
 * Sends REM_MEM_REG or SET_MEM_TABLE. When it returns 0 the back-end has dealt with it, also
 * one without REPLY_ACK, of which GET_FEATURES is asked behind it.
 *
 * Return: 0, -ENOENT; or as at the top. It stays shared after an error, but for -ENOTCONN
 * and -EPROTO: then the next back-end does not get it.
 */
int vhu_frontend_remove_memory(struct vhu_frontend *frontend, const struct vhu_region *region);

/**
 * vhu_frontend_get_config, vhu_frontend_set_config - read and write the
 * device's configuration space.
 * @frontend: a front-end after vhu_frontend_negotiate()
 * @offset: in bytes
 * @buf: the bytes
 * @len: bytes; @offset + @len at most 256
 * @migration: the write comes from a migration, not from the driver
 *
 * By GET_CONFIG and SET_CONFIG. What was read may have changed by then, of which
 * config_changed of struct vhu_frontend_config tells.
 *
 * Return: 0, -EOPNOTSUPP: the back-end has no CONFIG; -EINVAL: out of range; or
 * as at the top.
 */
int vhu_frontend_get_config(struct vhu_frontend *frontend, uint32_t offset, void *buf,
                            uint32_t len);
int vhu_frontend_set_config(struct vhu_frontend *frontend, uint32_t offset, const void *buf,
                            uint32_t len, bool migration);

/**
 * vhu_frontend_set_status, vhu_frontend_get_status - the virtio device status.
 * @frontend: a front-end after vhu_frontend_negotiate()
 * @status: bits of the status byte
 * @ret: the same
 *
 * A back-end with STATUS may do nothing before DRIVER_OK. It is for whoever hands
 * rings over by vhu_frontend_vring_start() to set, when the driver has; vhu_vq_start()
 * does it by itself. By SET_STATUS and GET_STATUS.
 *
 * Return: 0, -EOPNOTSUPP: the back-end has no STATUS; or as at the top.
 */
int vhu_frontend_set_status(struct vhu_frontend *frontend, uint8_t status);
int vhu_frontend_get_status(struct vhu_frontend *frontend, uint8_t *ret);

/**
 * vhu_frontend_reset_device - back to the device's initial state.
 * @frontend: a front-end whose rings are stopped
 *
 * Sends RESET_DEVICE. When it returns 0 no ring is enabled any more, and no status counts as set.
 * Features and memory are what they were.
 *
 * Return: 0, -EOPNOTSUPP: the back-end has no RESET_DEVICE; or as at the top.
 */
int vhu_frontend_reset_device(struct vhu_frontend *frontend);

/**
 * struct vhu_vring_setup - a ring to be started.
 * @num: its size in descriptors
 * @base: the first available index to process
 * @desc: address of the descriptor table; see vhu_frontend_set_features()
 * @avail: of the available ring
 * @used: of the used ring
 * @kick_fd: eventfd by which the driver notifies the device
 * @call_fd: eventfd by which the device notifies the driver; -1: it is polled
 * @err_fd: eventfd by which the device says that the ring is broken; -1: none
 * @used_ptr: where this process has the used ring, for vhu_frontend_reconnect(); it
 *	is read then. NULL: nowhere
 */
struct vhu_vring_setup {
	uint16_t num;
	uint16_t base;
	uint64_t desc;
	uint64_t avail;
	uint64_t used;
	int kick_fd;
	int call_fd;
	int err_fd;
	const void *used_ptr;
};

/**
 * vhu_frontend_vring_start - hand a ring over. It runs once it is enabled and
 * kicked.
 * @frontend: a front-end with features set and memory shared
 * @index: the queue's number, below 256
 * @setup: the ring
 *
 * Sends SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ADDR, SET_VRING_CALL and SET_VRING_ERR, and
 * SET_VRING_KICK when they are acknowledged. Before the first ring gets that one, all that
 * is mapped is pushed, if that is the IOMMU's policy, for as long as the back-end
 * acknowledges it.
 *
 * Ownership: the fds are duplicated and stay the caller's.
 * Return: 0; -EINVAL: @index, or no kick fd; -EBUSY: it is started; -EBADF, -EMFILE; or as
 * at the top. After an error but -EINVAL and -EBUSY the ring is not started, or stop it to
 * be sure.
 */
int vhu_frontend_vring_start(struct vhu_frontend *frontend, unsigned index,
                             const struct vhu_vring_setup *setup);

/**
 * vhu_frontend_vrings_start - hand several rings over in two exchanges.
 * @frontend: a front-end with features set and memory shared
 * @first: the first queue's number
 * @setups: the rings of that queue and of those after it
 * @n: number of @setups
 *
 * Ownership, Return: as vhu_frontend_vring_start(). After an error no kick fd was
 * sent, or stop the rings to be sure.
 */
int vhu_frontend_vrings_start(struct vhu_frontend *frontend, unsigned first,
                              const struct vhu_vring_setup *setups, unsigned n);

/**
 * vhu_frontend_vring_enable - let a ring work, or let it rest.
 * @frontend: a front-end
 * @index: the queue's number
 * @enable: which
 *
 * Sends SET_VRING_ENABLE. A ring stays enabled when it is stopped.
 *
 * Return: as at the top; 0 without a message where protocol features are not
 * known to the back-end, which enables rings by itself.
 */
int vhu_frontend_vring_enable(struct vhu_frontend *frontend, unsigned index, bool enable);

/**
 * vhu_frontend_vrings_enable - the same for several rings in one exchange.
 * @frontend: a front-end
 * @first: the first queue's number
 * @n: how many
 * @enable: which
 *
 * Return: as vhu_frontend_vring_enable(). After -EREMOTEIO they count as what they were,
 * though the back-end may have refused but one of them.
 */
int vhu_frontend_vrings_enable(struct vhu_frontend *frontend, unsigned first, unsigned n,
                               bool enable);

/**
 * vhu_frontend_vring_stop - take a ring back.
 * @frontend: a front-end
 * @index: the queue's number
 * @ret_base: the first available index that was not processed; NULL: not wanted
 *
 * Sends GET_VRING_BASE. When it returns 0 the device has completed every request it had
 * begun.
 *
 * Return: 0; -EINVAL: @index; or as at the top. After -ETIMEDOUT the ring counts as
 * started, and may be stopped once more. After other errors it counts as stopped: the next
 * back-end does not get it.
 */
int vhu_frontend_vring_stop(struct vhu_frontend *frontend, unsigned index, uint16_t *ret_base);

/**
 * vhu_frontend_vrings_stop - take several rings back in one exchange.
 * @frontend: a front-end
 * @first: the first queue's number
 * @n: how many
 * @ret_bases: as @ret_base of vhu_frontend_vring_stop(), @n of them; NULL: not wanted
 *
 * Return: as vhu_frontend_vring_stop().
 */
int vhu_frontend_vrings_stop(struct vhu_frontend *frontend, unsigned first, unsigned n,
                             uint16_t *ret_bases);

#ifdef __cplusplus
}
#endif

#include <vhu/vq.h>

#endif
