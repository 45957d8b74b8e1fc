/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Be the front-end of a vhost-user back-end: negotiate, share memory, start
 * rings, answer the misses of its device IOTLB from a software IOMMU
 * (vhu/iommu.h), and, with vhu_vq_*, drive its queues.
 *
 * The library creates no thread. Functions that ask the back-end something wait
 * for its answer up to the time-out and serve the back-channel meanwhile;
 * between them, poll vhu_frontend_fd() and call vhu_frontend_run().
 *
 * Context: a front-end, its queues and its IOMMU belong to one thread. Callbacks
 * run on it, inside whichever function is being called; they must not call
 * functions of the front-end (-EDEADLK).
 *
 * Errors: 0 or -errno; vhu_frontend_error() then says in words what went wrong
 * and names the message. The same in all functions that talk to the back-end:
 * -ENOTCONN (it is gone; nothing works any more), -ETIMEDOUT (no reply in time),
 * -EREMOTEIO (it refused), -EPROTO (it answered nonsense; the connection is
 * closed), -EDEADLK (called from a callback), -ENOBUFS (too much unanswered).
 */
#ifndef VHU_FRONTEND_H
#define VHU_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vhu/iommu.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhu_frontend;
struct vhu_guestmem;
struct vhu_vq;

/**
 * struct vhu_frontend_config - how a front-end behaves; zero is a good default.
 * @name: for log lines and error texts; NULL: "frontend"
 * @iommu: answers misses; NULL: VIRTIO_F_ACCESS_PLATFORM can't be negotiated
 * @timeout_ms: how long to wait for a reply; 0: 5000
 * @config_changed: the device's configuration has changed; may be NULL
 * @lost: the back-end is gone, called once; may be NULL
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
 * Return: 0, -ENOTSOCK, -EINVAL (a listening socket), -ENOMEM, -EMFILE.
 */
int vhu_frontend_new(const struct vhu_frontend_config *config, int fd, struct vhu_frontend **ret);

/**
 * vhu_frontend_connect - a front-end on a socket path; sends nothing yet.
 * @config: how it behaves; copied
 * @path: where a back-end listens, or is about to within the time-out
 * @ret: the front-end
 *
 * Return: 0, the -errno of connect(2), or as vhu_frontend_new().
 */
int vhu_frontend_connect(const struct vhu_frontend_config *config, const char *path,
                         struct vhu_frontend **ret);

/**
 * vhu_frontend_free - close the connection and release everything.
 * @frontend: a front-end or NULL
 *
 * The back-end is not asked to stop, and the memory shared with it stays
 * reachable to it for as long as its process lives.
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
 * Return: 0, -ENOTCONN, -EDEADLK, or the -errno of epoll_wait(2).
 */
int vhu_frontend_run(struct vhu_frontend *frontend, int timeout_ms);

/**
 * vhu_frontend_error - what went wrong last, in words.
 * @frontend: a front-end
 *
 * Ownership: valid until the next call of any function of the front-end; empty
 * if nothing has gone wrong yet.
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
 * @requests: messages sent, in all
 */
struct vhu_frontend_stats {
	uint64_t misses;
	uint64_t refused;
	uint64_t updates;
	uint64_t updates_refused;
	uint64_t invalidations;
	uint64_t access_fails;
	uint64_t requests;
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
 * Protocol features used where offered: MQ, REPLY_ACK, BACKEND_REQ, CONFIG,
 * CONFIGURE_MEM_SLOTS, RESET_DEVICE, STATUS.
 *
 * Return: 0, -EISCONN if done before, or as at the top.
 */
int vhu_frontend_negotiate(struct vhu_frontend *frontend);

/**
 * vhu_frontend_features_offered - virtio features the driver may choose from.
 * @frontend: a front-end after vhu_frontend_negotiate()
 *
 * Without VIRTIO_F_ACCESS_PLATFORM if there is no IOMMU, or the back-end lacks
 * REPLY_ACK or BACKEND_REQ; without the protocol's own bit 30.
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
 * and buffer addresses those of struct vhu_region.gpa.
 *
 * Return: 0, -EOPNOTSUPP: not a subset; or as at the top.
 */
int vhu_frontend_set_features(struct vhu_frontend *frontend, uint64_t features);

/**
 * struct vhu_region - memory to share.
 * @gpa: guest physical address in bytes
 * @size: bytes
 * @uva: address by which UPDATEs and ring addresses name it; usually where the
 *	caller has mapped it
 * @offset: where it begins in the file, in bytes
 * @fd: the file
 */
struct vhu_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t offset;
	int fd;
};

/**
 * vhu_frontend_add_memory - share regions beside those shared already.
 * @frontend: a front-end after vhu_frontend_negotiate()
 * @regions: the regions
 * @n: number of @regions
 *
 * Region by region where the back-end has memory slots, else by a new table of
 * all regions. After an error some of @regions may be shared.
 *
 * Ownership: fds are duplicated and stay the caller's.
 * Return: 0, -E2BIG: more regions than the back-end takes; -ENOMEM, -EMFILE; or
 * as at the top.
 */
int vhu_frontend_add_memory(struct vhu_frontend *frontend, const struct vhu_region *regions,
                            unsigned n);

/**
 * vhu_frontend_remove_memory - share a region no longer.
 * @frontend: a front-end
 * @region: gpa, size and uva as when it was added; the rest is not looked at
 *
 * Return: 0, -ENOENT; or as at the top.
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
 * Return: 0, -EOPNOTSUPP: the back-end has no STATUS; or as at the top.
 */
int vhu_frontend_set_status(struct vhu_frontend *frontend, uint8_t status);
int vhu_frontend_get_status(struct vhu_frontend *frontend, uint8_t *ret);

/**
 * vhu_frontend_reset_device - back to the device's initial state.
 * @frontend: a front-end whose rings are stopped
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
};

/**
 * vhu_frontend_vring_start - hand a ring over. It runs once it is enabled and
 * kicked.
 * @frontend: a front-end with features set and memory shared
 * @index: the queue's number, below 256
 * @setup: the ring
 *
 * Ownership: the fds are duplicated and stay the caller's.
 * Return: 0, -EINVAL: @index; or as at the top. After an error the ring is not
 * started, or stop it to be sure.
 */
int vhu_frontend_vring_start(struct vhu_frontend *frontend, unsigned index,
                             const struct vhu_vring_setup *setup);

/**
 * vhu_frontend_vring_enable - let a ring work, or let it rest.
 * @frontend: a front-end
 * @index: the queue's number
 * @enable: which
 *
 * Return: as at the top; 0 without a message where protocol features are not
 * known to the back-end, which enables rings by itself.
 */
int vhu_frontend_vring_enable(struct vhu_frontend *frontend, unsigned index, bool enable);

/**
 * vhu_frontend_vring_stop - take a ring back.
 * @frontend: a front-end
 * @index: the queue's number
 * @ret_base: the first available index that was not processed; NULL: not wanted
 *
 * When it returns 0 the device has completed every request it had begun.
 *
 * Return: as at the top.
 */
int vhu_frontend_vring_stop(struct vhu_frontend *frontend, unsigned index, uint16_t *ret_base);

/**
 * vhu_guestmem_new - memory to share, in one memfd a region.
 * @sizes: bytes of each region, multiples of 4096
 * @n: number of regions, 1 to 8
 * @ret: the memory, zeroed; the regions follow each other without gaps, in gpa
 *	(from 0) and in uva, like the memory of a machine's nodes
 *
 * Return: 0, -EINVAL, -ENOMEM, or the -errno of memfd_create(2).
 */
int vhu_guestmem_new(const uint64_t *sizes, unsigned n, struct vhu_guestmem **ret);

/**
 * vhu_guestmem_free - unmap and close; shares that back-ends hold live on.
 * @mem: memory or NULL
 */
void vhu_guestmem_free(struct vhu_guestmem *mem);

/**
 * vhu_guestmem_regions - the regions, as vhu_frontend_add_memory() takes them.
 * @mem: memory
 * @ret_n: their number
 *
 * Ownership: the memory's, fds included.
 */
const struct vhu_region *vhu_guestmem_regions(const struct vhu_guestmem *mem, unsigned *ret_n);

/**
 * vhu_guestmem_ptr - where this process has memory of a guest physical address.
 * @mem: memory
 * @gpa: address in bytes
 * @len: bytes from there on
 *
 * Return: the pointer, which as an integer is also the uva; NULL: not inside.
 */
void *vhu_guestmem_ptr(const struct vhu_guestmem *mem, uint64_t gpa, uint64_t len);

/**
 * struct vhu_vq_config - a queue driven by this process.
 * @index: the queue's number
 * @num: size of the ring, a power of two up to 32768
 * @event_idx: VIRTIO_F_RING_EVENT_IDX was negotiated
 * @table_entries: longest indirect table in descriptors; 0: no indirect
 *	descriptors (needed if VIRTIO_F_INDIRECT_DESC was not negotiated)
 * @mem: where ring and tables go: vhu_vq_bytes() bytes, aligned to 4096
 * @addr: the same as the device knows it for rings: I/O virtual address with
 *	VIRTIO_F_ACCESS_PLATFORM (map it VHU_PERM_RW), else uva
 * @buffer_addr: the same as descriptors name it: as @addr with
 *	VIRTIO_F_ACCESS_PLATFORM, else gpa. For indirect tables
 */
struct vhu_vq_config {
	unsigned index;
	uint16_t num;
	bool event_idx;
	uint16_t table_entries;
	void *mem;
	uint64_t addr;
	uint64_t buffer_addr;
};

/** struct vhu_buffer - a part of a request: address, bytes, and who writes it. */
struct vhu_buffer {
	uint64_t addr;
	uint32_t len;
	bool writable; /* by the device; readable ones come first */
};

/**
 * vhu_vq_bytes - memory a ring needs.
 * @num: size of the ring
 * @table_entries: as in struct vhu_vq_config
 *
 * Return: bytes, a multiple of 4096.
 */
size_t vhu_vq_bytes(uint16_t num, uint16_t table_entries);

/**
 * vhu_vq_start - lay a ring out, start and enable it.
 * @frontend: a front-end with features set and memory shared
 * @config: the queue; @config->mem is borrowed until vhu_vq_free()
 * @ret: the queue
 *
 * Return: 0, -EINVAL, -ENOMEM, -EMFILE, or as at the top.
 */
int vhu_vq_start(struct vhu_frontend *frontend, const struct vhu_vq_config *config,
                 struct vhu_vq **ret);

/**
 * vhu_vq_stop - take the ring back from the back-end.
 * @vq: a queue; requests that were not processed stay added
 *
 * Return: as vhu_frontend_vring_stop().
 */
int vhu_vq_stop(struct vhu_vq *vq);

/**
 * vhu_vq_free - release a queue; does not talk to the back-end.
 * @vq: a queue or NULL
 */
void vhu_vq_free(struct vhu_vq *vq);

/**
 * vhu_vq_add - make a request available; vhu_vq_kick() shows it.
 * @vq: a queue
 * @buffers: its parts
 * @n: number of @buffers
 * @token: comes back from vhu_vq_get()
 *
 * Return: 0; -ENOSPC: the ring is full for now; -EINVAL: no buffers, or a
 * readable one after a writable one.
 */
int vhu_vq_add(struct vhu_vq *vq, const struct vhu_buffer *buffers, unsigned n, void *token);

/**
 * vhu_vq_kick - show what was added to the device and wake it if it wants that.
 * @vq: a queue
 *
 * Return: 0, or the -errno of write(2) on the kick eventfd.
 */
int vhu_vq_kick(struct vhu_vq *vq);

/**
 * vhu_vq_get - a request the device has completed.
 * @vq: a queue
 * @ret_token: as given to vhu_vq_add()
 * @ret_written: bytes the device says it wrote
 *
 * Return: 1; 0: none; -EPROTO: the device wrote nonsense.
 */
int vhu_vq_get(struct vhu_vq *vq, void **ret_token, uint32_t *ret_written);

/**
 * vhu_vq_wait - sleep until the device has completed something, serving the
 * front-end meanwhile.
 * @vq: a queue
 * @timeout_ms: how long at most; -1: for ever
 *
 * Return: 1: vhu_vq_get() has something; 0: the time is over; -EPROTO: the
 * device has declared the ring broken; or as vhu_frontend_run(), or the -errno
 * of poll(2).
 */
int vhu_vq_wait(struct vhu_vq *vq, int timeout_ms);

/**
 * vhu_vq_call_fd - readable when the device has called; for a poll of one's own.
 * @vq: a queue
 *
 * Call vhu_vq_arm() before sleeping on it.
 */
int vhu_vq_call_fd(const struct vhu_vq *vq);

/**
 * vhu_vq_arm - ask for a call at the next completion.
 * @vq: a queue
 *
 * Return: whether something is there already, for which no call may come.
 */
bool vhu_vq_arm(struct vhu_vq *vq);

/**
 * vhu_vq_broken - whether the device has declared the ring broken, as far as
 * vhu_vq_wait() has noticed.
 * @vq: a queue
 */
bool vhu_vq_broken(const struct vhu_vq *vq);

#ifdef __cplusplus
}
#endif
#endif
