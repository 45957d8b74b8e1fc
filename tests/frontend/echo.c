/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-end to be killed: it copies what a request has to read to where it has
 * to write, in any order, and takes its time, so that something is always under way.
 *
 *	echo listen|connect PATH
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <vhu/backend.h>
#include <vhu/socket.h>

#define HELD_MAX 4u

struct lane {
	struct vhu_request *held[HELD_MAX];
	unsigned n;
	int timer;
};

static unsigned max_queues(void *dev)
{
	return 2;
}

static uint64_t features(void *dev)
{
	return 0;
}

/* The last byte says that it was done. */
static void copy(struct vhu_request *req)
{
	uint64_t n = 0;

	for (unsigned i = 0, out = 0, at = 0; i < req->n_in; i++)
		for (size_t j = 0; j < req->in[i].iov_len; j++, n++) {
			char *to = (char *)req->in[i].iov_base + j;

			if (n + 1 == req->in_len) {
				*to = 0;
				continue;
			}
			*to = ((char *)req->out[out].iov_base)[at++];
			if (at == req->out[out].iov_len) {
				out++;
				at = 0;
			}
		}
	vhu_request_complete(req, (uint32_t)n);
}

static void finish_one(struct lane *lane)
{
	unsigned i = (unsigned)rand() % lane->n;
	struct vhu_request *req = lane->held[i];

	lane->held[i] = lane->held[--lane->n];
	copy(req);
}

static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	struct lane *lane = vhu_queue_priv(queue);

	if (lane->n == HELD_MAX)
		finish_one(lane);
	lane->held[lane->n++] = req;
}

static void tick(void *dev, struct vhu_queue *queue)
{
	struct lane *lane = vhu_queue_priv(queue);
	uint64_t ticks;

	if (read(lane->timer, &ticks, sizeof(ticks)) == sizeof(ticks) && lane->n)
		finish_one(lane);
}

static int queue_start(void *dev, struct vhu_queue *queue)
{
	const struct itimerspec each = { { 0, 200000 }, { 0, 200000 } };
	struct lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		abort();
	lane->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timerfd_settime(lane->timer, 0, &each, NULL);
	vhu_queue_set_priv(queue, lane);
	return vhu_queue_watch(queue, lane->timer, tick);
}

static void queue_stop(void *dev, struct vhu_queue *queue)
{
	struct lane *lane = vhu_queue_priv(queue);

	close(lane->timer);
	free(lane);
}

static void refused(void *dev, struct vhu_queue *queue, struct vhu_request *req)
{
	*(char *)req->in[0].iov_base = 1;
	vhu_request_complete(req, 1);
}

static const struct vhu_device_ops ops = {
	.name = "echo",
	.status_len = 1,
	.max_queues = max_queues,
	.features = features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.submit = submit,
	.refused = refused,
};

int main(int argc, char **argv)
{
	const struct vhu_server_config config = { .ops = &ops };
	struct vhu_server *server;
	char why[200];
	int fd;

	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "listen") ? vhu_socket_connect(argv[2], 5000, &fd, why, sizeof(why))
	                              : vhu_socket_listen(argv[2], &fd, why, sizeof(why)))
		return 3;
	srand((unsigned)getpid());
	if (vhu_server_new(&config, fd, &server))
		return 4;
	while (!vhu_server_done(server))
		vhu_server_run(server, -1);
	vhu_server_free(server);
	return 0;
}
