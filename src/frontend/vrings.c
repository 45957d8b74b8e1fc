/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings handed to the back-end and taken back; what is in them is vq.c's business.
 * Several go together: all messages of a step are sent before the first reply is
 * waited for.
 */
#include <errno.h>
#include <string.h>

#include "base/export.h"
#include "base/fd.h"
#include "frontend/frontend.h"

/* Rings of one exchange: each takes six messages, with three fds. */
#define RINGS_AT_ONCE 32u

static int check_index(struct vhu_frontend *fe, unsigned first, unsigned n)
{
	unsigned max = fe->queues ? (unsigned)fe->queues : RINGS_MAX;

	if (n > max || first > max - n)
		return frontend_fault(fe, -EINVAL, "ring %u: no such queue",
		                      first >= max ? first : max);
	return 0;
}

static void add_state(struct vhu_frontend *fe, struct request *request, uint32_t name,
                      unsigned index, uint32_t num)
{
	struct message message;

	message_init(&message, name);
	message.header.size = sizeof(message.payload.state);
	message.payload.state = (struct vhu_vring_state){ index, num };
	exchange_add(fe, &message, request);
}

static void add_addr(struct vhu_frontend *fe, struct request *request, unsigned index,
                     const struct vhu_vring_setup *setup)
{
	struct message message;

	message_init(&message, VHU_FE_SET_VRING_ADDR);
	message.header.size = sizeof(message.payload.addr);
	message.payload.addr = (struct vhu_vring_addr){
		.index = index,
		.desc = setup->desc,
		.avail = setup->avail,
		.used = setup->used,
	};
	exchange_add(fe, &message, request);
}

static void add_fd(struct vhu_frontend *fe, struct request *request, uint32_t name, unsigned index,
                   int fd)
{
	struct message message;

	message_init(&message, name);
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = index | (fd < 0 ? VHU_VRING_NOFD : 0);
	if (fd >= 0) {
		message.fds[0] = fd;
		message.n_fds = 1;
	}
	exchange_add(fe, &message, request);
}

static void add_setup(struct vhu_frontend *fe, struct request *request, unsigned index,
                      const struct vhu_vring_setup *setup)
{
	add_state(fe, request, VHU_FE_SET_VRING_NUM, index, setup->num);
	add_state(fe, request, VHU_FE_SET_VRING_BASE, index, setup->base);
	add_addr(fe, request, index, setup);
	add_fd(fe, request, VHU_FE_SET_VRING_CALL, index, setup->call_fd);
	if (setup->err_fd >= 0)
		add_fd(fe, request, VHU_FE_SET_VRING_ERR, index, setup->err_fd);
}

static int start_some(struct vhu_frontend *fe, unsigned first, const struct vhu_vring_setup *setups,
                      unsigned n)
{
	struct request setting = { 0 }, kicking = { 0 };
	int error;

	for (unsigned i = 0; i < n; i++)
		add_setup(fe, &setting, first + i, &setups[i]);
	error = exchange_wait(fe, &setting);
	if (!error && !fe->n_started)
		error = iotlb_push_all(fe);
	for (unsigned i = 0; i < n && !error; i++)
		error = ring_remember(fe, &fe->rings[first + i], &setups[i]);
	if (error)
		return error;
	/* The kick comes last: it is what makes it start. */
	for (unsigned i = 0; i < n; i++)
		add_fd(fe, &kicking, VHU_FE_SET_VRING_KICK, first + i, setups[i].kick_fd);
	return exchange_wait(fe, &kicking);
}

static int check_setup(struct vhu_frontend *fe, unsigned index, const struct vhu_vring_setup *setup)
{
	if (setup->kick_fd < 0)
		return frontend_fault(fe, -EINVAL, "ring %u: no kick fd", index);
	if (fe->rings[index].started)
		return frontend_fault(fe, -EBUSY, "ring %u: started already", index);
	return 0;
}

static int start(struct vhu_frontend *fe, unsigned first, const struct vhu_vring_setup *setups,
                 unsigned n)
{
	int error = check_index(fe, first, n);

	for (unsigned i = 0; i < n && !error; i++)
		error = check_setup(fe, first + i, &setups[i]);
	while (n && !error) {
		unsigned some = n < RINGS_AT_ONCE ? n : RINGS_AT_ONCE;

		error = start_some(fe, first, setups, some);
		first += some;
		setups += some;
		n -= some;
	}
	return error;
}

VHU_EXPORT int vhu_frontend_vrings_start(struct vhu_frontend *fe, unsigned first,
                                         const struct vhu_vring_setup *setups, unsigned n)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, start(fe, first, setups, n));
}

VHU_EXPORT int vhu_frontend_vring_start(struct vhu_frontend *fe, unsigned index,
                                        const struct vhu_vring_setup *setup)
{
	return vhu_frontend_vrings_start(fe, index, setup, 1);
}

static int enable(struct vhu_frontend *fe, unsigned first, unsigned n, bool on)
{
	struct request request = { 0 };
	bool before[RINGS_MAX];
	int error = check_index(fe, first, n);

	/* Known to whoever replays before it is to the back-end; what is refused is not. */
	for (unsigned i = 0; i < n && !error; i++) {
		before[i] = fe->rings[first + i].enabled;
		fe->rings[first + i].enabled = on;
	}
	if (error || !(fe->features & VHU_BIT(VHU_F_PROTOCOL_FEATURES)))
		return error;
	for (unsigned i = 0; i < n; i++)
		add_state(fe, &request, VHU_FE_SET_VRING_ENABLE, first + i, on);
	error = exchange_wait(fe, &request);
	for (unsigned i = 0; i < n && error == -EREMOTEIO; i++)
		fe->rings[first + i].enabled = before[i];
	return error;
}

VHU_EXPORT int vhu_frontend_vrings_enable(struct vhu_frontend *fe, unsigned first, unsigned n,
                                          bool on)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, enable(fe, first, n, on));
}

VHU_EXPORT int vhu_frontend_vring_enable(struct vhu_frontend *fe, unsigned index, bool on)
{
	return vhu_frontend_vrings_enable(fe, index, 1, on);
}

#define STOPS_AT_ONCE 8u

/* A ring of which the back-end has said where it stopped. */
static int finish_stop(struct vhu_frontend *fe, unsigned index, const struct request *request,
                       uint16_t *ret_base)
{
	const struct vhu_vring_state *state = &request->reply->payload.state;

	if (request->result)
		return request->result;
	ring_forget(fe, &fe->rings[index]);
	if (state->index != index)
		return frontend_fault(fe, -EREMOTEIO,
		                      "GET_VRING_BASE: asked for ring %u, got ring %u", index,
		                      state->index);
	if (state->num > UINT16_MAX)
		return frontend_fault(fe, -EREMOTEIO, "GET_VRING_BASE: ring %u, index %u", index,
		                      state->num);
	if (ret_base)
		*ret_base = (uint16_t)state->num;
	return 0;
}

static int stop_some(struct vhu_frontend *fe, unsigned first, unsigned n, uint16_t *ret_bases)
{
	struct request requests[STOPS_AT_ONCE];
	struct message replies[STOPS_AT_ONCE];
	int result;

	for (unsigned i = 0; i < n; i++) {
		requests[i] = (struct request){ .reply = &replies[i] };
		add_state(fe, &requests[i], VHU_FE_GET_VRING_BASE, first + i, 0);
	}
	result = exchange_wait_all(fe, requests, n);
	for (unsigned i = 0; i < n; i++) {
		int error = finish_stop(fe, first + i, &requests[i],
		                        ret_bases ? &ret_bases[i] : NULL);

		if (!result)
			result = error;
	}
	return result;
}

static bool is_end(int error)
{
	return error == -ENOTCONN || error == -EPROTO;
}

/*
 * What one of them has answered wrongly is no reason to leave the others. Of the dead
 * nothing is to be had any more, and the next one is not to have the rings.
 */
static int stop(struct vhu_frontend *fe, unsigned first, unsigned n, uint16_t *ret_bases)
{
	int error = check_index(fe, first, n), wrong = 0;

	while (n && !error) {
		unsigned some = n < STOPS_AT_ONCE ? n : STOPS_AT_ONCE;

		error = stop_some(fe, first, some, ret_bases);
		if (is_end(error))
			break;
		if (error == -EREMOTEIO) {
			wrong = error;
			error = 0;
		}
		ret_bases = ret_bases ? ret_bases + some : NULL;
		first += some;
		n -= some;
	}
	for (unsigned i = first; i < first + n && is_end(error); i++)
		ring_forget(fe, &fe->rings[i]);
	return error ? error : wrong;
}

VHU_EXPORT int vhu_frontend_vrings_stop(struct vhu_frontend *fe, unsigned first, unsigned n,
                                        uint16_t *ret_bases)
{
	int error = frontend_enter(fe);

	return error ? error : frontend_leave(fe, stop(fe, first, n, ret_bases));
}

VHU_EXPORT int vhu_frontend_vring_stop(struct vhu_frontend *fe, unsigned index, uint16_t *ret_base)
{
	return vhu_frontend_vrings_stop(fe, index, 1, ret_base);
}

static int requeue_all(struct vhu_frontend *fe)
{
	struct list *node;
	int error = 0;

	list_for_each (node, &fe->vqs) {
		struct vq_node *vq = container_of(node, struct vq_node, node);
		struct ring *ring = &fe->rings[vq->index];

		if (!ring->started || error)
			continue;
		error = vq->requeue(vq, &ring->setup.base);
		if (error)
			frontend_fault(fe, error, "ring %u: can't be gone on with: %s", vq->index,
			               error == -EPROTO ? "the last back-end wrote nonsense into it"
			                                : strerror(-error));
	}
	return error;
}

/* The old fds are needed for the hand-over, which makes copies of its own. */
static int start_again(struct vhu_frontend *fe, unsigned index)
{
	struct vhu_vring_setup setup = fe->rings[index].setup;
	struct ring *ring = &fe->rings[index];
	int error;

	setup.base = ring_base(&setup);
	ring->started = false;
	error = start_some(fe, index, &setup, 1);
	if (!ring->started) {
		ring->started = true;
		return error;
	}
	/* What was kicked before may not have been heard. */
	fd_signal(setup.kick_fd);
	ring_close_setup(&setup);
	return error;
}

/* Whether the back-end has as many queues as are in use. */
static int check_queues(struct vhu_frontend *fe)
{
	for (unsigned i = fe->queues ? (unsigned)fe->queues : RINGS_MAX; i < RINGS_MAX; i++)
		if (fe->rings[i].started)
			return frontend_fault(fe, -EOPNOTSUPP,
			                      "ring %u: the back-end has %u queues", i,
			                      (unsigned)fe->queues);
	return 0;
}

int vrings_start_again(struct vhu_frontend *fe)
{
	int error = check_queues(fe);

	if (!error)
		error = requeue_all(fe);

	/* None works yet: before the first one all there is to be pushed is. */
	fe->n_started = 0;
	for (unsigned i = 0; i < RINGS_MAX && !error; i++) {
		if (fe->rings[i].started)
			error = start_again(fe, i);
		if (!error && fe->rings[i].enabled && (!fe->queues || i < fe->queues))
			error = enable(fe, i, 1, true);
	}
	fe->n_started = 0;
	for (unsigned i = 0; i < RINGS_MAX; i++)
		fe->n_started += fe->rings[i].started;
	return error;
}
