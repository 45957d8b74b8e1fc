/* SPDX-License-Identifier: BSD-3-Clause */
#include "iommu/iommu.h"

#include <errno.h>
#include <stdlib.h>

#include "base/export.h"
#include "iommu/pagetable.h"

#define MAPPINGS_DEFAULT (UINT64_C(1) << 20)
#define POLICY_PAGE      UINT64_C(4096)

struct vhu_iommu {
	struct vhu_iommu_config config;
	struct pagetable table;
	struct list devices;
};

VHU_EXPORT int vhu_iommu_new(const struct vhu_iommu_config *config, struct vhu_iommu **ret)
{
	struct vhu_iommu *iommu;

	if (config->policy != VHU_IOMMU_PAGE)
		return -EINVAL;
	iommu = calloc(1, sizeof(*iommu));
	if (!iommu)
		return -ENOMEM;
	iommu->config = *config;
	list_init(&iommu->devices);
	pagetable_init(&iommu->table,
	               config->max_mappings ? config->max_mappings : MAPPINGS_DEFAULT);
	*ret = iommu;
	return 0;
}

VHU_EXPORT void vhu_iommu_free(struct vhu_iommu *iommu)
{
	if (!iommu)
		return;
	pagetable_done(&iommu->table);
	free(iommu);
}

bool iommu_check(const struct vhu_iommu *iommu)
{
	return pagetable_check(&iommu->table);
}

void iommu_attach(struct vhu_iommu *iommu, struct iommu_device *device)
{
	list_append(&iommu->devices, &device->node);
}

void iommu_detach(struct iommu_device *device)
{
	list_remove(&device->node);
}

static bool is_perm(uint8_t perm)
{
	return perm >= VHU_PERM_READ && perm <= VHU_PERM_RW;
}

VHU_EXPORT int vhu_iommu_map(struct vhu_iommu *iommu, uint64_t iova, uint64_t size, uint64_t uva,
                             uint8_t perm)
{
	struct range range, target;

	if (!range_make(iova, size, &range) || !range_make(uva, size, &target))
		return -EINVAL;
	if (!is_perm(perm))
		return -EINVAL;
	return pagetable_map(&iommu->table, range, uva, perm);
}

static int invalidate_all(struct vhu_iommu *iommu, struct range range)
{
	struct list *node;
	int result = 0;

	list_for_each (node, &iommu->devices) {
		struct iommu_device *device = container_of(node, struct iommu_device, node);

		device->start_error = device->ops->invalidate_start(device, range);
	}
	list_for_each (node, &iommu->devices) {
		struct iommu_device *device = container_of(node, struct iommu_device, node);
		int error = device->start_error;

		if (!error)
			error = device->ops->invalidate_finish(device);
		if (!result)
			result = error;
	}
	return result;
}

/* Hidden first: a miss that comes while acknowledgements are awaited is refused. */
VHU_EXPORT int vhu_iommu_unmap(struct vhu_iommu *iommu, uint64_t iova, uint64_t size)
{
	struct range range, given;
	bool any_given;
	int error;

	if (!range_make(iova, size, &range))
		return -EINVAL;
	error = pagetable_hide(&iommu->table, range, &given, &any_given);
	if (error)
		return error;
	if (any_given)
		error = invalidate_all(iommu, given);
	pagetable_remove_hidden(&iommu->table, range, error != 0);
	return error;
}

VHU_EXPORT uint64_t vhu_iommu_exposed(const struct vhu_iommu *iommu)
{
	return pagetable_hidden_bytes(&iommu->table);
}

VHU_EXPORT void vhu_iommu_forget_exposed(struct vhu_iommu *iommu)
{
	pagetable_remove_hidden(&iommu->table, RANGE_ALL, false);
}

static void report(struct vhu_iommu *iommu, struct iommu_device *device, uint64_t iova,
                   uint8_t perm, bool reported)
{
	const struct vhu_iommu_fault fault = { device->opaque, iova, perm, reported };

	if (iommu->config.fault)
		iommu->config.fault(&fault, iommu->config.opaque);
}

/*
 * Policy `page`: of the page, the mapping that holds the address and those that
 * follow it without a gap, as long as they grant what is wanted.
 */
static unsigned answer_page(struct pagetable *table, uint64_t iova, uint8_t perm,
                            struct iommu_answer *answers)
{
	const struct range page = { iova & ~(POLICY_PAGE - 1), iova | (POLICY_PAGE - 1) };
	struct mapping mapping;
	unsigned n = 0;

	while (n < IOMMU_ANSWERS_MAX && pagetable_walk(table, iova, &mapping) &&
	       (mapping.perm & perm) == perm) {
		struct iommu_answer *answer = &answers[n++];

		pagetable_walk_given(table, iova, &mapping);
		answer->iova = mapping.iova;
		if (answer->iova.start < page.start)
			answer->iova.start = page.start;
		if (answer->iova.last > page.last)
			answer->iova.last = page.last;
		answer->uva = mapping.uva + (answer->iova.start - mapping.iova.start);
		answer->perm = mapping.perm;
		if (answer->iova.last == page.last)
			break;
		iova = answer->iova.last + 1;
	}
	return n;
}

unsigned iommu_miss(struct vhu_iommu *iommu, struct iommu_device *device, uint64_t iova,
                    uint64_t hint, uint8_t perm, struct iommu_answer answers[IOMMU_ANSWERS_MAX])
{
	unsigned n = 0;

	(void)hint; /* policy `page` looks at no hints */
	if (is_perm(perm))
		n = answer_page(&iommu->table, iova, perm, answers);
	if (!n)
		report(iommu, device, iova, perm, false);
	return n;
}

void iommu_access_failed(struct vhu_iommu *iommu, struct iommu_device *device, uint64_t iova,
                         uint8_t perm)
{
	report(iommu, device, iova, perm, true);
}
