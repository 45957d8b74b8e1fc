/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network device that sends back what it gets, on the library's own back-end:
 * the peer of vhu bench net in tests, well-behaved or with one fault.
 *
 *   mirror SOCKET [FAULT]
 *
 * Frames that find no receive buffer are dropped. Receive buffers are held until
 * the transmit queue stops, for whoever stops that one first.
 *
 * Thread: the only one. Ends by SIGTERM.
 */
#include <endian.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <vhu/backend.h>
#include <vhu/socket.h>

#define RX          0u
#define TX          1u
#define MRG_RXBUF   (UINT64_C(1) << 15)
#define HEADER      12u
#define NUM_BUFFERS 10u /* its place in the header */
#define NUMBER      32u /* a frame's, from the start of the header */
#define FRAME_MOST  70000u
#define HELD_MOST   32768u

struct mirror {
	const char *fault; /* or "" */
	bool mergeable;
	bool ending;                         /* no frame will come any more */
	struct vhu_request *held[HELD_MOST]; /* receive buffers: a ring */
	unsigned first, n_held;
	struct vhu_request *kept[HELD_MOST]; /* frames that are never given back */
	unsigned n_kept;
	unsigned long frames;
	unsigned char frame[FRAME_MOST];
};

static bool has_fault(const struct mirror *mirror, const char *name)
{
	return !strcmp(mirror->fault, name);
}

static unsigned max_queues(void *dev)
{
	return 2;
}

static uint64_t features(void *dev)
{
	return MRG_RXBUF;
}

static void features_set(void *dev, uint64_t chosen)
{
	struct mirror *mirror = dev;

	mirror->mergeable = chosen & MRG_RXBUF;
}

/* Bytes of the request that were copied, from @from on; all but its last buffer are filled. */
static size_t fill(const struct vhu_request *request, const unsigned char *from, size_t size)
{
	size_t done = 0;

	for (unsigned i = 0; i < request->n_in && done < size; i++) {
		size_t part = request->in[i].iov_len;

		part = part < size - done ? part : size - done;
		memcpy(request->in[i].iov_base, from + done, part);
		done += part;
	}
	return done;
}

static struct vhu_request *held(const struct mirror *mirror, unsigned i)
{
	return mirror->held[(mirror->first + i) % HELD_MOST];
}

static void set_num_buffers(struct mirror *mirror, unsigned n)
{
	uint16_t value = htole16((uint16_t)n);

	if (has_fault(mirror, "no-buffers"))
		value = 0;
	if (has_fault(mirror, "many-buffers"))
		value = 0xffff;
	memcpy(mirror->frame + NUM_BUFFERS, &value, sizeof(value));
}

static uint32_t lie(const struct mirror *mirror, uint32_t written)
{
	if (has_fault(mirror, "runt"))
		return 5;
	if (has_fault(mirror, "overlong"))
		return UINT32_MAX;
	return written;
}

static void give(struct mirror *mirror, size_t size)
{
	unsigned n = 0;
	uint64_t room = 0;
	size_t done = 0;

	while (n < mirror->n_held && room < size && (n == 0 || mirror->mergeable))
		room += held(mirror, n++)->in_len;
	if (room < size)
		return;
	set_num_buffers(mirror, n);
	for (; n--; mirror->n_held--) {
		struct vhu_request *request = held(mirror, 0);
		size_t part = fill(request, mirror->frame + done, size - done);

		mirror->first = (mirror->first + 1) % HELD_MOST;
		vhu_request_complete(request, lie(mirror, (uint32_t)part));
		done += part;
	}
}

static size_t take(struct mirror *mirror, const struct vhu_request *request)
{
	size_t size = 0;

	for (unsigned i = 0; i < request->n_out; i++) {
		size_t part = request->out[i].iov_len;

		if (part > FRAME_MOST - size)
			part = FRAME_MOST - size;
		memcpy(mirror->frame + size, request->out[i].iov_base, part);
		size += part;
	}
	return size;
}

static void return_frame(struct mirror *mirror, size_t size)
{
	uint64_t number;

	if (size < NUMBER + sizeof(number))
		return;
	if (has_fault(mirror, "flip"))
		mirror->frame[size - 1] ^= 1;
	if (has_fault(mirror, "short"))
		size--;
	if (has_fault(mirror, "stranger")) {
		memcpy(&number, mirror->frame + NUMBER, sizeof(number));
		number += 1000000;
		memcpy(mirror->frame + NUMBER, &number, sizeof(number));
	}
	if (has_fault(mirror, "lose") && mirror->frames % 3 == 0)
		return;
	give(mirror, size);
	if (has_fault(mirror, "twice"))
		give(mirror, size);
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *request)
{
	struct mirror *mirror = dev;

	if (vhu_queue_index(queue) == RX && mirror->ending) {
		vhu_request_complete(request, 0);
		return;
	}
	if (vhu_queue_index(queue) == RX) {
		mirror->held[(mirror->first + mirror->n_held++) % HELD_MOST] = request;
		return;
	}
	mirror->frames++;
	if (has_fault(mirror, "keep")) {
		mirror->kept[mirror->n_kept++] = request;
		return;
	}
	return_frame(mirror, take(mirror, request));
	vhu_request_complete(request, 0);
}

static int queue_start(void *dev, struct vhu_queue *queue)
{
	struct mirror *mirror = dev;

	mirror->ending = false;
	return 0;
}

static void queue_stop(void *dev, struct vhu_queue *queue)
{
	struct mirror *mirror = dev;

	if (vhu_queue_index(queue) != TX)
		return;
	mirror->ending = true;
	for (; mirror->n_held; mirror->n_held--) {
		struct vhu_request *request = held(mirror, 0);

		mirror->first = (mirror->first + 1) % HELD_MOST;
		vhu_request_complete(request, 0);
	}
}

static const struct vhu_device_ops ops = {
	.name = "mirror",
	.max_queues = max_queues,
	.features = features,
	.features_set = features_set,
	.submit = submit,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
};

int main(int argc, char **argv)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));
	struct vhu_server_config config = { .ops = &ops, .dev = mirror };
	struct vhu_server *server;
	char why[200] = "";
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc < 2 || !mirror)
		return 2;
	mirror->fault = argc > 2 ? argv[2] : "";
	if (vhu_socket_listen(argv[1], &fd, why, sizeof(why)) ||
	    vhu_server_new(&config, fd, &server)) {
		fprintf(stderr, "mirror: %s\n", why);
		return 1;
	}
	puts("serving");
	fflush(stdout);
	while (!vhu_server_run(server, -1))
		;
	return 1;
}
