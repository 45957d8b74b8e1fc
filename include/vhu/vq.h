/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a device's queues, for front-ends that are the driver
 * themselves: split rings, with or without indirect descriptors and event_idx. Nothing
 * else that changes a ring may be negotiated with them, like VIRTIO_F_IN_ORDER (35).
 *
 * Context: a queue belongs to one thread at a time; the front-end under it need not
 * be that thread's. Errors: as at the top of vhu/frontend.h.
 */
#ifndef VHU_VQ_H
#define VHU_VQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhu_frontend;
struct vhu_vq;

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
 * @run_elsewhere: another thread runs the front-end: vhu_vq_wait() need not
 */
struct vhu_vq_config {
	unsigned index;
	uint16_t num;
	bool event_idx;
	uint16_t table_entries;
	void *mem;
	uint64_t addr;
	uint64_t buffer_addr;
	bool run_elsewhere;
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
 * Where the back-end has STATUS, and no status other than 0 was set since the device
 * was reset, that of a driver which is ready (DRIVER_OK) is set then: some back-ends do
 * nothing before. Who has several queues to start and wants it said after the last,
 * sets a status of ACKNOWLEDGE, DRIVER and FEATURES_OK first, by
 * vhu_frontend_set_status(), and DRIVER_OK in the end.
 *
 * Return: 0; -EINVAL: the queue's number, the ring's size, or where it lies; -EBUSY: the
 * ring is started already; -ENOMEM, -EMFILE; or as at the top. After an error but
 * -ETIMEDOUT a living back-end makes no use of @config->mem.
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
 * vhu_vq_restart - hand a ring over again, with all that was not completed.
 * @vq: a queue after vhu_vq_stop(), or vhu_frontend_reset_device()
 *
 * What was completed and not fetched stays there for vhu_vq_get(); the rest is made
 * available once more, in the order in which it was added. The device is kicked.
 *
 * Return: 0; -EBUSY: it was not stopped; -EPROTO: the device wrote nonsense into the
 * ring; or as vhu_vq_start().
 */
int vhu_vq_restart(struct vhu_vq *vq);

/**
 * vhu_vq_free - release a queue; does not talk to the back-end.
 * @vq: a queue or NULL
 *
 * If it was not stopped, and the back-end is not dead, the device goes on with the ring's
 * memory.
 *
 * Context: no function of the queue is under way, also not further up in a callback.
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
 * @ret_written: bytes the device says it wrote, but no more than there were to
 *	write
 *
 * Return: 1; 0: none; -EPROTO: the device wrote nonsense into the ring, which is
 * of no more use.
 */
int vhu_vq_get(struct vhu_vq *vq, void **ret_token, uint32_t *ret_written);

/**
 * vhu_vq_wait - sleep until the device has completed something, serving the
 * front-end meanwhile.
 * @vq: a queue
 * @timeout_ms: how long at most; -1: for ever
 *
 * Return: 1: vhu_vq_get() has something; 0: the time is over; -EPROTO: the
 * device has declared the ring broken; -ENOTCONN: the back-end is gone; -EDEADLK:
 * called from a callback, and there is nothing yet; or the -errno of poll(2).
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
