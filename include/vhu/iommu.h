/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A software IOMMU for front-ends: a page table from I/O virtual addresses to
 * memory shared with back-ends, which is consulted when a back-end misses a
 * translation and which takes translations back before it says they are gone.
 *
 * Give it to front-ends by struct vhu_frontend_config (vhu/frontend.h); several
 * front-ends on one IOMMU are devices of one domain.
 *
 * An unmap comes in three kinds. One that returns when it has come true
 * (vhu_iommu_unmap(), and vhu_iommu_unmap_batch() for many in one exchange); one
 * that calls back then (vhu_iommu_unmap_async()); and one that waits for others, to
 * be flushed with them (vhu_iommu_unmap_lazy()).
 *
 * Context: every function may be called from any thread, by several at once, while
 * front-ends are run by others. Those that wait for back-ends serve them meanwhile
 * where nobody else does; they can't be called from a callback (-EDEADLK), the rest
 * can. Where callbacks come from: see vhu/frontend.h.
 */
#ifndef VHU_IOMMU_H
#define VHU_IOMMU_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhu_iommu;

/** enum vhu_perm - what a device may do with memory. */
enum vhu_perm {
	VHU_PERM_READ = 1,
	VHU_PERM_WRITE = 2,
	VHU_PERM_RW = 3,
};

/**
 * enum vhu_iommu_policy - what a back-end is told when it misses an address.
 * @VHU_IOMMU_PAGE: what is mapped of the 4 KiB page of the address, and no more
 * @VHU_IOMMU_LEAF: the whole of what one vhu_iommu_map() has mapped there
 * @VHU_IOMMU_RANGE: the same, and its neighbours on both sides as far as they go on
 *	without a gap in user addresses too and have the same permission. Not for
 *	back-ends that keep each region of memory apart
 * @VHU_IOMMU_HINT: of the pages the back-end says it is about to need, what is
 *	mapped; of the page of the address if it does not say
 * @VHU_IOMMU_PUSH: back-ends are told of each mapping when it is made, and of all
 *	there are when they begin to work; as LEAF if they miss it all the same
 */
enum vhu_iommu_policy {
	VHU_IOMMU_PAGE,
	VHU_IOMMU_LEAF,
	VHU_IOMMU_RANGE,
	VHU_IOMMU_HINT,
	VHU_IOMMU_PUSH,
};

/**
 * struct vhu_iommu_fault - an access that was not granted.
 * @device: the opaque pointer of the front-end's configuration
 * @iova: address in bytes
 * @perm: the permission that was wanted, VHU_PERM_*
 * @reported: the back-end itself reported a failed access (ACCESS_FAIL), as
 *	opposed to a miss that was refused
 */
struct vhu_iommu_fault {
	void *device;
	uint64_t iova;
	uint8_t perm;
	bool reported;
};

/**
 * struct vhu_iommu_config - how an IOMMU behaves; zero is a good default.
 * @policy: answer to misses
 * @max_mappings: bound of the page table in ranges; 0: 1,048,576. One takes about
 *	45 bytes if they were mapped in ascending or in descending order, 65 in any
 *	other, 300 at the very most; the memory of those that were unmapped is kept for
 *	others until 2 MiB of it are together. Where parts of mappings are given to
 *	back-ends, up to twice as many ranges are kept
 * @fault: told of each fault, or NULL; a callback
 * @opaque: passed to @fault
 * @lazy_max: unmaps that vhu_iommu_unmap_lazy() collects; 0: 256
 * @lazy_ms: for how long; 0: 10 ms
 */
struct vhu_iommu_config {
	enum vhu_iommu_policy policy;
	uint64_t max_mappings;
	void (*fault)(const struct vhu_iommu_fault *fault, void *opaque);
	void *opaque;
	unsigned lazy_max;
	int lazy_ms;
};

/**
 * vhu_iommu_new - an empty page table.
 * @config: how it behaves; copied
 * @ret: the IOMMU
 *
 * Context: any thread; does not block.
 * Return: 0, -EINVAL for an unknown policy, -ENOMEM, -EMFILE.
 */
int vhu_iommu_new(const struct vhu_iommu_config *config, struct vhu_iommu **ret);

/**
 * vhu_iommu_free - release an IOMMU that no front-end and no thread uses any more.
 * @iommu: an IOMMU or NULL
 *
 * Unmaps that were not flushed call back with -ECANCELED.
 */
void vhu_iommu_free(struct vhu_iommu *iommu);

/** struct vhu_mapping - what vhu_iommu_map() takes. */
struct vhu_mapping {
	uint64_t iova;
	uint64_t size;
	uint64_t uva;
	uint8_t perm;
};

/**
 * vhu_iommu_map - let devices reach memory at an address.
 * @iommu: an IOMMU
 * @iova: first address in bytes, any alignment
 * @size: bytes, at least 1
 * @uva: what it stands for: an address as in struct vhu_region.uva, inside the
 *	memory shared with the back-ends
 * @perm: VHU_PERM_*
 *
 * Nothing is sent, but with VHU_IOMMU_PUSH: back-ends ask when they need it. That
 * @uva lies in shared memory is not checked here; a back-end refuses what does not.
 *
 * With VHU_IOMMU_PUSH an update is sent to every back-end that works, and not
 * waited for: a back-end that is very quick misses the address before. So that no
 * miss comes, call vhu_iommu_sync() before the device is told of the address.
 *
 * Context: any thread, callbacks too; does not block.
 * Return: 0; -EINVAL: size 0, a range that wraps, an unknown permission;
 * -EEXIST: a part of the range is mapped, or exposed by an unmap that failed;
 * -EBUSY: a part of it is still being taken back; -ENOSPC: max_mappings; -ENOMEM.
 */
int vhu_iommu_map(struct vhu_iommu *iommu, uint64_t iova, uint64_t size, uint64_t uva,
                  uint8_t perm);

/**
 * vhu_iommu_map_batch - several mappings, of which back-ends are told together.
 * @iommu: an IOMMU
 * @mappings: what to map
 * @n: number of @mappings
 * @ret_n: how many were mapped: all, or those before the one that failed; may be
 *	NULL
 *
 * Context, Return: as vhu_iommu_map().
 */
int vhu_iommu_map_batch(struct vhu_iommu *iommu, const struct vhu_mapping *mappings, unsigned n,
                        unsigned *ret_n);

/**
 * vhu_iommu_sync - wait until back-ends have what was pushed to them.
 * @iommu: an IOMMU
 *
 * Context: any thread; blocks for the front-ends' time-out at most. Not from a
 * callback.
 * Return: 0; -ETIMEDOUT, -ENOTCONN, -EPROTO: of a front-end; -EDEADLK.
 */
int vhu_iommu_sync(struct vhu_iommu *iommu);

/** struct vhu_iova_range - I/O virtual addresses: the first, and bytes, at least 1. */
struct vhu_iova_range {
	uint64_t iova;
	uint64_t size;
};

/**
 * vhu_iommu_unmap - take addresses back.
 * @iommu: an IOMMU
 * @iova: first address in bytes, any alignment
 * @size: bytes, at least 1; parts that are not mapped are passed over
 *
 * When it returns 0 no back-end can reach memory through the range any more:
 * every one that was given a part of it has acknowledged. What no back-end was
 * ever given costs no message.
 *
 * After any error but -EINVAL, -ENOSPC, -ENOMEM, -ENOBUFS and -EDEADLK, which
 * change nothing, the range is *exposed*: misses there are refused, but a back-end
 * may still reach the memory, which therefore must not be used for anything else.
 * Call again to try again, or vhu_iommu_forget_exposed() once the back-end's process
 * is known dead.
 *
 * Context: any thread; blocks for the front-ends' time-out at most and serves
 * their back-channels meanwhile. Not from a callback.
 * Return: 0; -EINVAL: size 0 or a range that wraps; -ENOSPC, -ENOMEM: no room
 * to cut mappings; -EREMOTEIO: a back-end refused; -ETIMEDOUT; -EPROTO: a
 * back-end answered nonsense; -ENOTCONN: a back-end is gone; -EDEADLK: called
 * from a callback; -ENOBUFS: a back-end has too much unanswered.
 */
int vhu_iommu_unmap(struct vhu_iommu *iommu, uint64_t iova, uint64_t size);

/**
 * vhu_iommu_unmap_batch - take several ranges back in one exchange.
 * @iommu: an IOMMU
 * @ranges: the ranges
 * @n: number of @ranges
 *
 * Ranges between which a back-end holds nothing cost it one message.
 *
 * Context, Return: as vhu_iommu_unmap(). After -ENOSPC the ranges below some
 * address are gone and the rest is as before.
 */
int vhu_iommu_unmap_batch(struct vhu_iommu *iommu, const struct vhu_iova_range *ranges, unsigned n);

/**
 * typedef vhu_iommu_done_fn - an unmap has come to its end.
 * @opaque: as given
 * @error: 0, or what vhu_iommu_unmap() would have returned: the range is exposed
 *
 * Context: a callback (see vhu/frontend.h), or inside the function that was given it.
 */
typedef void vhu_iommu_done_fn(void *opaque, int error);

/**
 * vhu_iommu_unmap_async - take ranges back and be called when that has come true.
 * @iommu: an IOMMU
 * @ranges: the ranges; copied
 * @n: number of @ranges
 * @done: called once, unless this function fails; may be before it returns
 * @opaque: passed to @done
 *
 * From here on misses there are refused. What a back-end holds can't be mapped
 * again (-EBUSY) before it has acknowledged; what none holds any more can, also from
 * inside of the call, which comes when all have, while the front-ends are run.
 *
 * Context: any thread, callbacks too; does not block.
 * Return: 0; -EINVAL, -ENOSPC, -ENOMEM, as vhu_iommu_unmap_batch(); -ENOBUFS: a
 * back-end has too much unanswered: run its front-end, then try again.
 */
int vhu_iommu_unmap_async(struct vhu_iommu *iommu, const struct vhu_iova_range *ranges, unsigned n,
                          vhu_iommu_done_fn *done, void *opaque);

/**
 * vhu_iommu_unmap_lazy - take a range back some time soon, together with others.
 * @iommu: an IOMMU
 * @iova: first address in bytes, any alignment
 * @size: bytes, at least 1
 * @done: called once, unless this function fails, when no back-end can reach the
 *	memory any more; may be before it returns; may be NULL
 * @opaque: passed to @done
 *
 * Misses there are refused from here on, but a back-end that has the translation
 * keeps it until @lazy_max of them have come together, @lazy_ms have passed, or
 * vhu_iommu_flush() is called; what it holds can't be mapped again (-EBUSY) before it
 * has acknowledged. The clock runs while the front-ends are run.
 *
 * Context: any thread, callbacks too; does not block.
 * Return: 0; -EINVAL, -ENOSPC, -ENOMEM: as vhu_iommu_unmap(); -ENOBUFS: as
 * vhu_iommu_unmap_async().
 */
int vhu_iommu_unmap_lazy(struct vhu_iommu *iommu, uint64_t iova, uint64_t size,
                         vhu_iommu_done_fn *done, void *opaque);

/**
 * vhu_iommu_flush - end all lazy unmaps now.
 * @iommu: an IOMMU
 *
 * Context: any thread; blocks as vhu_iommu_unmap().
 * Return: 0: no back-end can reach what was unmapped before, as far as unmaps that
 * were flushed already have not called back with an error; or as vhu_iommu_unmap().
 */
int vhu_iommu_flush(struct vhu_iommu *iommu);

/**
 * vhu_iommu_exposed - bytes that unmaps which failed have left exposed.
 * @iommu: an IOMMU
 */
uint64_t vhu_iommu_exposed(const struct vhu_iommu *iommu);

/**
 * vhu_iommu_forget_exposed - let exposed ranges be used again.
 * @iommu: an IOMMU
 *
 * To be called when every process that exposed ranges is known to be dead.
 */
void vhu_iommu_forget_exposed(struct vhu_iommu *iommu);

/**
 * struct vhu_iommu_stats - counters since the IOMMU was made.
 * @mappings: that there are now, exposed ranges and those being taken back included
 * @unmaps: ranges that were taken back, or were tried to
 * @silent: of these, those that no back-end had to be told of
 * @invalidations: that were sent for the rest, to all back-ends together
 * @flushes: of lazy unmaps
 */
struct vhu_iommu_stats {
	uint64_t mappings;
	uint64_t unmaps;
	uint64_t silent;
	uint64_t invalidations;
	uint64_t flushes;
};

/**
 * vhu_iommu_stats - read the counters.
 * @iommu: an IOMMU
 * @ret: filled
 */
void vhu_iommu_stats(const struct vhu_iommu *iommu, struct vhu_iommu_stats *ret);

#ifdef __cplusplus
}
#endif
#endif
