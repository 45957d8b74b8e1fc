/* SPDX-License-Identifier: BSD-3-Clause */
/* A back-end whose quiescence is off: it acknowledges, and only then waits for issued requests. */
#include "broken.h"

#include "backend/session.h"

const struct broken broken = {
	.what = "acknowledgements go out before anybody is waited for",
	.marks = { RUN_TRAP, RUN_CANARY },
};

int __real_on_iotlb_msg(struct session *session, struct message *message);
int __wrap_on_iotlb_msg(struct session *session, struct message *message);

int __wrap_on_iotlb_msg(struct session *session, struct message *message)
{
	struct message reply;

	message_init(&reply, message->header.request);
	session_reply(session, &reply, sizeof(reply.payload.u64));
	/* It has its reply, and gets no other one. */
	message->header.flags &= ~VHU_FLAG_NEED_REPLY;
	session->operation.request.flags &= ~VHU_FLAG_NEED_REPLY;
	return __real_on_iotlb_msg(session, message);
}
