/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages by which a back-end's device IOTLB is filled and emptied. */
#include <errno.h>

#include "frontend/frontend.h"

static void init(struct message *message, struct range range, enum vhu_iotlb_type type)
{
	message_init(message, VHU_FE_IOTLB_MSG);
	message->header.size = sizeof(message->payload.iotlb);
	message->payload.iotlb.iova = range.start;
	message->payload.iotlb.size = range_size(range);
	message->payload.iotlb.type = (uint8_t)type;
}

int iotlb_send_update(struct vhu_frontend *fe, const struct iommu_answer *answer,
                      struct back_request *miss)
{
	struct message message;
	int error;

	init(&message, answer->iova, VHU_IOTLB_UPDATE);
	message.payload.iotlb.uaddr = answer->uva;
	message.payload.iotlb.perm = answer->perm;
	error = exchange_start(fe, &message, NULL, miss);
	if (error)
		return error;
	fe->stats.updates++;
	fe->gave = true;
	return 0;
}

/*
 * A back-end that does not translate holds nothing; unless it was given something
 * while SET_FEATURES was under way, of which it is not known what became.
 */
static int invalidate_start(struct iommu_device *device, struct range range)
{
	struct vhu_frontend *fe = container_of(device, struct vhu_frontend, device);
	struct message message;
	int error;

	if (fe->busy)
		return -EDEADLK;
	fe->invalidation = (struct request){ 0 };
	if (!frontend_translates(fe) && !fe->gave)
		return 0;
	init(&message, range, VHU_IOTLB_INVALIDATE);
	fe->invalidation.result = -EINPROGRESS;
	error = exchange_start(fe, &message, &fe->invalidation, NULL);
	if (error)
		return exchange_explain(fe, VHU_FE_IOTLB_MSG, error);
	fe->stats.invalidations++;
	exchange_flush(fe);
	return 0;
}

static int invalidate_finish(struct iommu_device *device)
{
	struct vhu_frontend *fe = container_of(device, struct vhu_frontend, device);

	return exchange_explain(fe, VHU_FE_IOTLB_MSG, exchange_wait(fe, &fe->invalidation));
}

const struct iommu_device_ops frontend_iommu_ops = {
	.invalidate_start = invalidate_start,
	.invalidate_finish = invalidate_finish,
};
