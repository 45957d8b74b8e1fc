/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device is told that misses an address. */
#include "base/range.h"
#include "iommu/domain.h"

#define PAGE UINT64_C(4096)

/* How far an answer may reach, and of how many mappings it may be. */
struct scope {
	struct range window;
	bool merge;
	bool single; /* one translation, and no more */
};

static struct range pages_of(uint64_t first, uint64_t last)
{
	return (struct range){ first & ~(PAGE - 1), last | (PAGE - 1) };
}

static struct scope scope_of(enum vhu_iommu_policy policy, uint64_t iova, uint64_t hint)
{
	uint64_t last = hint ? iova + (hint - 1) : iova;

	switch (policy) {
	case VHU_IOMMU_LEAF:
	case VHU_IOMMU_PUSH: return (struct scope){ RANGE_ALL, false, true };
	case VHU_IOMMU_RANGE: return (struct scope){ RANGE_ALL, true, true };
	case VHU_IOMMU_HINT:
		if (last < iova)
			last = UINT64_MAX;
		return (struct scope){ pages_of(iova, last), true, false };
	default: return (struct scope){ pages_of(iova, iova), true, false };
	}
}

/* No message can speak of the whole space: its size would be 2^64. */
static void halve(struct mapping *mapping, uint64_t iova)
{
	const uint64_t middle = UINT64_C(1) << 63;

	if (range_size(mapping->iova))
		return;
	if (iova < middle) {
		mapping->iova.last = middle - 1;
	} else {
		mapping->iova.start = middle;
		mapping->uva += middle;
	}
}

/* What covers @iova of the mapping; the device holds it from here on. */
static struct iommu_answer give(struct iommu_device *device, struct mapping *mapping, uint64_t iova)
{
	halve(mapping, iova);
	pagetable_grant_walked(&device->iommu->table, mapping, device->holder);
	return (struct iommu_answer){ mapping->iova, mapping->uva, mapping->perm };
}

/* One answer, that covers @iova. */
static bool answer_one(struct iommu_device *device, uint64_t iova, const struct scope *scope,
                       uint8_t perm, struct iommu_answer *answer)
{
	struct mapping mapping;

	if (!pagetable_walk(&device->iommu->table, iova, scope->window, scope->merge, &mapping) ||
	    (mapping.perm & perm) != perm)
		return false;
	*answer = give(device, &mapping, iova);
	return true;
}

unsigned iommu_miss(struct iommu_device *device, uint64_t iova, uint64_t hint, uint8_t perm,
                    struct iommu_answer answers[IOMMU_ANSWERS_MAX])
{
	struct vhu_iommu *iommu = device->iommu;
	const struct scope scope = scope_of(iommu->config.policy, iova, hint);
	unsigned n = 0;

	if (perm < VHU_PERM_READ || perm > VHU_PERM_RW)
		return 0;
	pthread_mutex_lock(&iommu->lock);
	while (n < IOMMU_ANSWERS_MAX && answer_one(device, iova, &scope, perm, &answers[n])) {
		iova = answers[n++].iova.last + 1;
		if (scope.single || answers[n - 1].iova.last == scope.window.last)
			break;
	}
	pthread_mutex_unlock(&iommu->lock);
	return n;
}

unsigned iommu_answers_of(struct iommu_device *device, struct range *range, bool *ret_more,
                          struct iommu_answer answers[IOMMU_ANSWERS_MAX])
{
	struct vhu_iommu *iommu = device->iommu;
	struct mapping mapping;
	unsigned n = 0;

	*ret_more = true;
	pthread_mutex_lock(&iommu->lock);
	while (n < IOMMU_ANSWERS_MAX && *ret_more) {
		*ret_more = pagetable_next(&iommu->table, *range, &mapping);
		if (!*ret_more)
			break;
		answers[n] = give(device, &mapping, mapping.iova.start);
		range->start = answers[n].iova.last + 1;
		*ret_more = answers[n++].iova.last < range->last;
	}
	pthread_mutex_unlock(&iommu->lock);
	return n;
}

void iommu_report(struct iommu_device *device, uint64_t iova, uint8_t perm, bool reported)
{
	const struct vhu_iommu_config *config = &device->iommu->config;
	const struct vhu_iommu_fault fault = { device->opaque, iova, perm, reported };

	if (config->fault)
		config->fault(&fault, config->opaque);
}
