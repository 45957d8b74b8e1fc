/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a virtio device implements to be served by a back-end: the narrow waist
 * between rings and devices. A device sees buffers as iovecs and never an
 * address; it completes requests whenever it likes, from the first day on.
 *
 * Threads: every queue belongs to one worker, and each call that names a queue
 * is made on that worker's thread. Calls that name no queue are made on the
 * session's thread. By default both are the same thread.
 */
#ifndef VHU_DEVICE_H
#define VHU_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhu_queue;

/**
 * struct vhu_request - one descriptor chain, translated.
 * @queue: the queue it came from
 * @out: what the driver wrote for the device (device-readable), in order
 * @in: what the device writes for the driver (device-writable), in order
 * @n_out: number of elements of @out
 * @n_in: number of elements of @in
 * @out_len: bytes in @out
 * @in_len: bytes in @in
 * @priv: the device's own memory for this request, request_size bytes of
 *	unspecified content, aligned for any type
 *
 * Ownership: the request and the memory its iovecs point at belong to the
 * device from submit() to vhu_request_complete() or vhu_request_return(); the
 * library guarantees that the memory stays mapped and the driver's mapping is not
 * acknowledged as removed in between. The iovec arrays may be modified by the
 * device.
 */
struct vhu_request {
	struct vhu_queue *queue;
	struct iovec *out;
	struct iovec *in;
	unsigned n_out;
	unsigned n_in;
	uint64_t out_len;
	uint64_t in_len;
	void *priv;
};

/**
 * struct vhu_device_ops - what a kind of device is and does.
 *
 * Only @name, @max_queues, @features and @submit are needed; the rest may be
 * zero or NULL.
 */
struct vhu_device_ops {
	/* Short name for log lines, such as "blk". */
	const char *name;

	/*
	 * Bytes at the end of the device-writable part that tell the driver how
	 * the request ended (1 for blk). When another part of a request is
	 * refused by the front-end, @refused is called with these bytes alone.
	 */
	size_t status_len;

	/* Bytes of priv memory per request. */
	size_t request_size;

	/**
	 * @max_queues: number of queues the device has; constant.
	 * @features: virtio feature bits offered beside those of ring and
	 *	transport, which the library adds (VERSION_1, INDIRECT_DESC,
	 *	EVENT_IDX, ACCESS_PLATFORM, bit 30).
	 */
	unsigned (*max_queues)(void *dev);
	uint64_t (*features)(void *dev);

	/**
	 * @features_set: the features that were negotiated; before any queue
	 *	starts, and again whenever they are sent again.
	 */
	void (*features_set)(void *dev, uint64_t features);

	/**
	 * @config_get: copies @len bytes of configuration space at @offset to
	 *	@buf. @offset + @len is at most 256; bytes the device does not
	 *	have are zero. Return: 0, or -errno, which the front-end gets as
	 *	an error reply.
	 * @config_set: the driver (or, with @migration, a migration) writes.
	 *	NULL: nothing is writable. Return: 0, or -errno.
	 */
	int (*config_get)(void *dev, uint32_t offset, void *buf, uint32_t len);
	int (*config_set)(void *dev, uint32_t offset, const void *buf, uint32_t len,
	                  bool migration);

	/**
	 * @reset: back to the initial state; all queues are stopped.
	 */
	void (*reset)(void *dev);

	/**
	 * @queue_start: the queue is about to deliver requests. A device opens
	 *	what it needs for it here (a kernel ring, a pool), registers its
	 *	event fd by vhu_queue_watch() and keeps its per-queue pointer by
	 *	vhu_queue_set_priv(). Return: 0, or -errno: the queue stays
	 *	stopped and its error eventfd is signalled.
	 * @queue_drain: requests that the device has are waited for: the queue is
	 *	to stop, or memory that they use is to go. What waits for nothing but
	 *	memory and time needs no reminder. A device that keeps requests until
	 *	something happens elsewhere, as a network device keeps buffers for
	 *	what it may receive, gives them back here, by vhu_request_return() or
	 *	vhu_request_complete(), or has them come back soon; until then the
	 *	front-end waits.
	 * @queue_stop: the last request of the queue has come back; release what
	 *	queue_start() took.
	 */
	int (*queue_start)(void *dev, struct vhu_queue *queue);
	void (*queue_drain)(void *dev, struct vhu_queue *queue);
	void (*queue_stop)(void *dev, struct vhu_queue *queue);

	/**
	 * @submit: a request, in ring order. The device may complete it before
	 *	it returns or later. It must not block on anything but memory
	 *	unless the owner of the thread chose so.
	 * @submit_end: no more requests for now: a device that collects work
	 *	for one system call makes it here.
	 * @refused: a request a part of which the front-end would not
	 *	translate: @out is empty, @in is the status_len bytes at the end.
	 *	The device writes its error there and completes. NULL: the chain
	 *	goes back with nothing written.
	 */
	void (*submit)(void *dev, struct vhu_queue *queue, struct vhu_request *req);
	void (*submit_end)(void *dev, struct vhu_queue *queue);
	void (*refused)(void *dev, struct vhu_queue *queue, struct vhu_request *req);
};

/**
 * vhu_request_complete - give a request back to the driver.
 * @req: a request got by submit() or refused()
 * @written: bytes written to @req->in from its start, at most in_len
 *
 * Context: the thread of the queue's worker; does not block.
 * Ownership: @req and its memory are no longer the device's.
 */
void vhu_request_complete(struct vhu_request *req, uint32_t written);

/**
 * vhu_request_return - give a request back as if it had never been submitted.
 * @req: a request got by submit() or refused(), nothing of which was done
 *
 * For queue_drain(): what is returned is translated anew and submitted again, in
 * front of what was not submitted yet, as soon as that is possible, or after the
 * next start if the queue is to stop. If then later ones were completed the driver
 * gets it back with nothing written, for the ring knows no other way; and if the
 * front-end has taken a page of the ring away before that stop, not before it resets
 * the device.
 *
 * Context: the thread of the queue's worker; does not block.
 * Ownership: @req and its memory are no longer the device's.
 */
void vhu_request_return(struct vhu_request *req);

/**
 * vhu_queue_watch - have a function run when an fd of the device is readable.
 * @queue: the queue, in queue_start()
 * @fd: polled for reading, level-triggered; one per queue
 * @ready: called on the worker's thread
 *
 * Context: inside queue_start().
 * Ownership: @fd stays the device's, which closes it in queue_stop(); the
 * watch ends before queue_stop() is called.
 * Return: 0, -EBUSY if the queue has a watch already, or the -errno of
 * epoll_ctl(2).
 */
int vhu_queue_watch(struct vhu_queue *queue, int fd,
                    void (*ready)(void *dev, struct vhu_queue *queue));

/**
 * vhu_queue_index - the queue's number, from 0.
 * @queue: a queue
 *
 * Context: any.
 */
unsigned vhu_queue_index(const struct vhu_queue *queue);

/**
 * vhu_queue_size - number of descriptors of the queue's ring; no more requests
 * than that are with the device at a time.
 * @queue: a queue, in queue_start() or later
 *
 * Context: the queue's worker.
 */
unsigned vhu_queue_size(const struct vhu_queue *queue);

/**
 * vhu_queue_set_priv, vhu_queue_priv - the device's own pointer of a queue.
 * @queue: a queue
 * @priv: any pointer; NULL at the start
 *
 * Context: the queue's worker.
 */
void vhu_queue_set_priv(struct vhu_queue *queue, void *priv);
void *vhu_queue_priv(const struct vhu_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
