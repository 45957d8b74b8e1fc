/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-channel: requests of the back-end, above all misses. They are replied
 * to in the order they came, which is all that a reply can be matched by: one
 * that is decided early waits for its elders.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "frontend/frontend.h"

static bool has_room(const struct vhu_frontend *fe)
{
	return fe->n_back < BACK_REQUESTS_MAX && fe->n_faults < FAULTS_MAX &&
	       exchange_has_room(fe, IOMMU_ANSWERS_MAX) && channel_waiting(fe->back) < WAITING_MAX;
}

static void count_sends(struct vhu_frontend *fe)
{
	fe->stats.reply_sends += channel_stats(fe->back).sends;
}

void backchannel_close(struct vhu_frontend *fe)
{
	if (!fe->back)
		return;
	exchange_forget_misses(fe);
	count_sends(fe);
	pump_remove(fe, channel_fd(fe->back));
	channel_free(fe->back);
	fe->back = NULL;
	fe->n_back = 0;
}

/* It goes on with what translations it has, or goes itself. */
static void closed(struct vhu_frontend *fe)
{
	if (frontend_translates(fe))
		frontend_fault(fe, -ENOTCONN,
		               "the back-end closed the back-channel: nothing is missed any more");
	else
		log_info(fe->name, "the back-end closed the back-channel");
	backchannel_close(fe);
}

static void reply(struct vhu_frontend *fe, const struct back_request *back)
{
	struct message message;

	if (!(back->header.flags & VHU_FLAG_NEED_REPLY))
		return;
	message_init(&message, back->header.request);
	message.header.flags = VHU_FLAG_VERSION | VHU_FLAG_REPLY;
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = back->refused;
	fe->stats.replies++;
	if (channel_queue(fe->back, &message))
		log_warning(fe->name, "a reply to the back-end was lost");
}

static void settle(struct vhu_frontend *fe)
{
	int error;

	while (fe->n_back && !fe->back_requests[fe->back_head].updates) {
		if (channel_waiting(fe->back) >= WAITING_MAX)
			break;
		reply(fe, &fe->back_requests[fe->back_head]);
		fe->back_head = (fe->back_head + 1) % BACK_REQUESTS_MAX;
		fe->n_back--;
	}
	error = channel_flush(fe->back);
	if (error && error != -EAGAIN) {
		closed(fe);
		return;
	}
	pump_change(fe, channel_fd(fe->back), PUMP_BACK,
	            (error == -EAGAIN ? EPOLLOUT : 0) | (fe->back_stalled ? 0 : EPOLLIN),
	            &fe->back_events);
}

void backchannel_settle(struct vhu_frontend *fe)
{
	if (fe->back)
		settle(fe);
}

void backchannel_updated(struct vhu_frontend *fe, struct back_request *miss, bool accepted)
{
	if (!accepted) {
		fe->stats.updates_refused++;
		miss->refused = true;
		log_warning(fe->name, "an UPDATE was refused by the back-end");
	}
	miss->updates--;
}

static void add_fault(struct vhu_frontend *fe, const struct vhu_iotlb *iotlb, bool reported)
{
	fe->faults[fe->n_faults++] = (struct fault){ iotlb->iova, iotlb->perm, reported };
}

static void handle_miss(struct vhu_frontend *fe, const struct vhu_iotlb *iotlb,
                        struct back_request *back)
{
	const struct awaiter awaiter = { .by = AWAITED_BY_MISS, .miss = back };
	struct iommu_answer answers[IOMMU_ANSWERS_MAX];
	unsigned n;

	fe->stats.misses++;
	n = iommu_miss(&fe->device, iotlb->iova, iotlb->size, iotlb->perm, answers);
	for (unsigned i = 0; i < n; i++)
		if (iotlb_send_update(fe, &answers[i], awaiter))
			back->refused = true;
	if (!n) {
		back->refused = true;
		fe->stats.refused++;
		add_fault(fe, iotlb, false);
	}
}

static void handle_iotlb(struct vhu_frontend *fe, const struct vhu_iotlb *iotlb,
                         struct back_request *back)
{
	switch (iotlb->type) {
	case VHU_IOTLB_MISS: handle_miss(fe, iotlb, back); break;
	case VHU_IOTLB_ACCESS_FAIL:
		fe->stats.access_fails++;
		add_fault(fe, iotlb, true);
		break;
	default: back->refused = true; break;
	}
}

static void handle(struct vhu_frontend *fe, const struct message *message)
{
	const struct message_context context = {
		.channel = MESSAGE_BACK,
		.features = fe->features,
		.features_offered = fe->features_offered,
		.protocol_features = fe->protocol_features,
		.n_rings = fe->queues ? (unsigned)fe->queues : RINGS_MAX,
		.back_channel = true,
	};
	struct back_request *back =
		&fe->back_requests[(fe->back_head + fe->n_back++) % BACK_REQUESTS_MAX];
	struct message_fault why;

	*back = (struct back_request){ .header = message->header };
	if (message_check(message, &context, &why)) {
		log_warning(fe->name, "back-channel: %s", why.text);
		back->refused = true;
		return;
	}
	switch (message->header.request) {
	case VHU_BE_IOTLB_MSG: handle_iotlb(fe, &message->payload.iotlb, back); break;
	case VHU_BE_CONFIG_CHANGE_MSG: fe->config_due++; break;
	default: back->refused = true; break;
	}
}

/* Takes one message. False: there is none, or no channel any more. */
static bool receive(struct vhu_frontend *fe)
{
	struct message message;
	int got = channel_recv(fe->back, &message);

	if (!got)
		return false;
	if (got == -ENOTCONN || got == -EPIPE || got == -ECONNRESET) {
		closed(fe);
		return false;
	}
	if (got < 0 || message.header.flags & VHU_FLAG_REPLY) {
		log_warning(fe->name, "back-channel closed: what is missed is not answered");
		frontend_fault(fe, -EPROTO, "back-channel closed: %s",
		               got < 0 ? channel_fault(fe->back)->text : "a reply to nothing");
		if (got > 0)
			message_close_fds(&message);
		backchannel_close(fe);
		return false;
	}
	handle(fe, &message);
	message_close_fds(&message);
	return true;
}

/* Nothing is sent yet, so that what is sent goes together. */
static void serve(struct vhu_frontend *fe)
{
	bool room;

	while ((room = has_room(fe)) && receive(fe))
		;
	fe->back_stalled = !room;
}

void backchannel_receive(struct vhu_frontend *fe, uint32_t events)
{
	if (!fe->back || fe->lost)
		return;
	if (fe->back_stalled && events & (EPOLLHUP | EPOLLERR)) {
		/* Reported for as long as it is true, and it can't be read away. */
		closed(fe);
		return;
	}
	if (!fe->back_stalled)
		serve(fe);
}

bool backchannel_can_resume(const struct vhu_frontend *fe)
{
	return fe->back && fe->back_stalled && !fe->lost && has_room(fe);
}

void backchannel_resume(struct vhu_frontend *fe)
{
	if (backchannel_can_resume(fe))
		serve(fe);
}

static int hand_over(struct vhu_frontend *fe, int fd)
{
	struct message message;

	message_init(&message, VHU_FE_SET_BACKEND_REQ_FD);
	message.fds[0] = fd;
	message.n_fds = 1;
	return exchange(fe, &message, NULL);
}

int backchannel_open(struct vhu_frontend *fe)
{
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return frontend_fault(fe, -errno, "socketpair: %s", strerror(errno));
	error = channel_new(pair[0], MESSAGE_BACK, &fe->back);
	if (error) {
		fd_close(&pair[0]);
		goto out;
	}
	fe->back_events = EPOLLIN;
	fe->back_stalled = false;
	fe->back_head = fe->n_back = 0;
	error = pump_add(fe, pair[0], PUMP_BACK);
	if (!error)
		error = hand_over(fe, pair[1]);
	if (error)
		backchannel_close(fe);
out:
	fd_close(&pair[1]);
	return error;
}
