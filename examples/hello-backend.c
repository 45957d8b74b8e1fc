/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The smallest device there is, behind an IOMMU or not: virtio-rng, which fills
 * whatever buffers it is given with random bytes.
 *
 *	hello-backend /tmp/rng.sock &
 *	hello-frontend /tmp/rng.sock
 *
 * or, in place of the second line, a virtual machine:
 *
 *	qemu-system-x86_64 -machine q35,memory-backend=mem -m 1G \
 *		-object memory-backend-memfd,id=mem,size=1G,share=on \
 *		-chardev socket,id=rng,path=/tmp/rng.sock -device vhost-user-rng-pci,chardev=rng
 *
 * All in one thread, until SIGINT or SIGTERM.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vhu/backend.h>
#include <vhu/device.h>
#include <vhu/log.h>
#include <vhu/socket.h>

static unsigned max_queues(void *dev)
{
	return 1;
}

/* VIRTIO_F_* of rings and IOMMU are the library's business. */
static uint64_t features(void *dev)
{
	return 0;
}

/* Buffers are plain memory here; it may be completed now, or later, in any order. */
static void submit(void *dev, struct vhu_queue *queue, struct vhu_request *request)
{
	uint32_t written = 0;

	for (unsigned i = 0; i < request->n_in; i++) {
		ssize_t n = getrandom(request->in[i].iov_base, request->in[i].iov_len,
		                      GRND_NONBLOCK);

		if (n < 0)
			break;
		written += (uint32_t)n;
		if ((size_t)n < request->in[i].iov_len)
			break;
	}
	vhu_request_complete(request, written);
}

static const struct vhu_device_ops rng = {
	.name = "rng",
	.max_queues = max_queues,
	.features = features,
	.submit = submit,
};

static void print(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	fprintf(stderr, "%s: %s\n", subject, text);
}

static void stop(void *server)
{
	vhu_server_stop(server);
}

/* Signals come as a file that is readable, in the loop that serves everything else. */
static int watch_signals(struct vhu_server *server, int *ret_fd)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	*ret_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	return *ret_fd < 0 ? -1 : vhu_server_watch(server, *ret_fd, stop, server);
}

int main(int argc, char **argv)
{
	const struct vhu_server_config config = { .ops = &rng };
	struct vhu_server *server;
	int listener, signals = -1, error;
	char why[200];

	if (argc != 2) {
		fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
		return 2;
	}
	vhu_log_set(print, NULL, VHU_LOG_WARNING);
	if (vhu_socket_listen(argv[1], &listener, why, sizeof(why))) {
		fprintf(stderr, "%s: %s\n", argv[0], why);
		return 1;
	}
	error = vhu_server_new(&config, listener, &server);
	if (error) {
		fprintf(stderr, "%s: %s\n", argv[0], strerror(-error));
		return 1;
	}
	error = watch_signals(server, &signals);
	while (!error && !vhu_server_done(server))
		error = vhu_server_run(server, -1);
	vhu_server_free(server);
	close(signals);
	unlink(argv[1]);
	return error ? 1 : 0;
}
