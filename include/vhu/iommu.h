/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A software IOMMU for front-ends: a page table from I/O virtual addresses to
 * memory shared with back-ends, which is consulted when a back-end misses a
 * translation and which takes translations back before it says they are gone.
 *
 * Give it to front-ends by struct vhu_frontend_config (vhu/frontend.h); several
 * front-ends on one IOMMU are devices of one domain.
 *
 * Context: an IOMMU and all front-ends on it belong to one thread.
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
 */
enum vhu_iommu_policy {
	VHU_IOMMU_PAGE,
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
 * @max_mappings: bound of the page table in ranges; 0: 1,048,576
 * @fault: told of each fault, or NULL. It may map, but neither unmap nor call
 *	any front-end
 * @opaque: passed to @fault
 */
struct vhu_iommu_config {
	enum vhu_iommu_policy policy;
	uint64_t max_mappings;
	void (*fault)(const struct vhu_iommu_fault *fault, void *opaque);
	void *opaque;
};

/**
 * vhu_iommu_new - an empty page table.
 * @config: how it behaves; copied
 * @ret: the IOMMU
 *
 * Return: 0, -EINVAL for an unknown policy, -ENOMEM.
 */
int vhu_iommu_new(const struct vhu_iommu_config *config, struct vhu_iommu **ret);

/**
 * vhu_iommu_free - release an IOMMU that no front-end uses any more.
 * @iommu: an IOMMU or NULL
 */
void vhu_iommu_free(struct vhu_iommu *iommu);

/**
 * vhu_iommu_map - let devices reach memory at an address.
 * @iommu: an IOMMU
 * @iova: first address in bytes, any alignment
 * @size: bytes, at least 1
 * @uva: what it stands for: an address as in struct vhu_region.uva, inside the
 *	memory shared with the back-ends
 * @perm: VHU_PERM_*
 *
 * Nothing is sent: back-ends ask when they need it. That @uva lies in shared
 * memory is not checked here; a back-end refuses what does not.
 *
 * Context: the IOMMU's thread; does not block.
 * Return: 0; -EINVAL: size 0, a range that wraps, an unknown permission;
 * -EEXIST: a part of the range is mapped, or exposed by an unmap that failed;
 * -ENOSPC: max_mappings; -ENOMEM.
 */
int vhu_iommu_map(struct vhu_iommu *iommu, uint64_t iova, uint64_t size, uint64_t uva,
                  uint8_t perm);

/**
 * vhu_iommu_unmap - take addresses back.
 * @iommu: an IOMMU
 * @iova: first address in bytes, any alignment
 * @size: bytes, at least 1; parts that are not mapped are passed over
 *
 * When it returns 0 no back-end can reach memory through the range any more:
 * every one that may hold a part of it has acknowledged. What no back-end was
 * ever given costs no message.
 *
 * After any error but -EINVAL, -ENOSPC and -ENOMEM, which change nothing, the
 * range is *exposed*: misses there are refused, but a back-end may still reach
 * the memory, which therefore must not be used for anything else. Call again
 * to try again, or vhu_iommu_forget_exposed() once the back-end's process is
 * known dead.
 *
 * Context: the IOMMU's thread; blocks for the front-ends' time-out at most and
 * serves their back-channels meanwhile. Not from a callback.
 * Return: 0; -EINVAL: size 0 or a range that wraps; -ENOSPC, -ENOMEM: no room
 * to cut mappings; -EREMOTEIO: a back-end refused; -ETIMEDOUT; -EPROTO: a
 * back-end answered nonsense; -ENOTCONN: a back-end is gone; -EDEADLK: called
 * from a callback.
 */
int vhu_iommu_unmap(struct vhu_iommu *iommu, uint64_t iova, uint64_t size);

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

#ifdef __cplusplus
}
#endif
#endif
