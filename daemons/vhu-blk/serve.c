/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals are blocked in every thread and read from a signalfd, so that nothing
 * happens in a handler. The first that ends us stops the server, which lets the
 * I/O under way finish; from then on a handler ends the process at once, as that
 * I/O may take for ever.
 */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vhu/backend.h>
#include <vhu/sigbus.h>

#include "say.h"
#include "stats.h"
#include "workers.h"

/* SIGUSR1 asks for the statistics. */
static const int ending[] = { SIGTERM, SIGINT, SIGHUP };
#define N_ENDING (sizeof(ending) / sizeof(ending[0]))

struct service {
	struct vhu_server *server;
	struct workers workers;
	struct stats stats;
	int signals;
	bool is_ending;
};

/* For the handler. */
static const struct listener *listener_to_remove;

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	for (unsigned i = 0; i < N_ENDING; i++)
		sigaddset(set, ending[i]);
	sigaddset(set, SIGUSR1);
}

void serve_block_signals(void)
{
	sigset_t set;

	fill_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Standard error may be a pipe nobody reads. */
	signal(SIGPIPE, SIG_IGN);
}

static int open_signals(struct service *service)
{
	sigset_t set;

	fill_signals(&set);
	service->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (service->signals >= 0)
		return 0;
	complain("signals can't be received: %s", strerror(errno));
	return -errno;
}

static void end_at_once(int number)
{
	(void)number;
	listener_remove(listener_to_remove);
	_exit(EXIT_FAULT);
}

static void begin_ending(struct service *service)
{
	struct sigaction action = { .sa_handler = end_at_once };
	sigset_t set;

	say(VHU_LOG_INFO, "ending when the I/O under way is done; a second signal ends at once");
	service->is_ending = true;
	vhu_server_stop(service->server);
	sigemptyset(&set);
	for (unsigned i = 0; i < N_ENDING; i++) {
		sigaction(ending[i], &action, NULL);
		sigaddset(&set, ending[i]);
	}
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void write_stats(struct service *service)
{
	struct vhu_stats now;

	vhu_server_stats(service->server, &now);
	stats_write(&service->stats, &now);
}

static void take_signals(void *opaque)
{
	struct service *service = opaque;
	struct signalfd_siginfo info;

	while (read(service->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			write_stats(service);
		else if (!service->is_ending)
			begin_ending(service);
	}
}

static void session_end(struct vhu_server *server, void *opaque)
{
	struct service *service = opaque;
	struct vhu_stats now;

	vhu_server_stats(server, &now);
	stats_end_session(&service->stats, &now);
}

static int open_server(struct service *service, const struct options *options, struct blk *blk,
                       struct listener *listener)
{
	struct vhu_server_config config = {
		.ops = &blk_ops,
		.dev = blk,
		.workers = service->workers.worker,
		.n_workers = service->workers.n,
		.iotlb_entries = options->iotlb_entries,
		.no_miss_hints = options->no_miss_hints,
		.session_end = session_end,
		.opaque = service,
	};
	int error = vhu_server_new(&config, listener->fd, &service->server);

	if (!error)
		listener->fd = -1;
	else if (options->socket_path)
		complain("--socket-path=%s: can't serve: %s", options->socket_path,
		         strerror(-error));
	else
		complain("--fd=%d: can't serve: %s; give a Unix stream socket", options->fd,
		         strerror(-error));
	return error;
}

static int open_all(struct service *service, const struct options *options, struct blk *blk,
                    struct listener *listener)
{
	int error = stats_init(&service->stats, options->stats_json, blk);

	if (error) {
		complain("--stats-json=%s: can't write there: %s; give another path",
		         options->stats_json, strerror(-error));
		return error;
	}
	error = vhu_sigbus_install();
	if (error) {
		complain("faults in guest memory can't be handled: %s", strerror(-error));
		return error;
	}
	error = workers_start(&service->workers, options->queue_threads);
	if (error) {
		complain("--queue-threads=%u: %s; ask for fewer", options->queue_threads,
		         strerror(-error));
		return error;
	}
	error = open_signals(service);
	return error ? error : open_server(service, options, blk, listener);
}

static int run(struct service *service)
{
	int error = vhu_server_watch(service->server, service->signals, take_signals, service);

	while (!error && !vhu_server_done(service->server))
		error = vhu_server_run(service->server, -1);
	if (!error)
		return EXIT_FINE;
	complain("can't go on: %s", strerror(-error));
	return EXIT_FAULT;
}

int serve(const struct options *options, struct blk *blk, struct listener *listener)
{
	struct service service = { .signals = -1 };
	int code = EXIT_FAULT;

	listener_to_remove = listener;
	if (open_all(&service, options, blk, listener) == 0) {
		say(VHU_LOG_INFO, "serving");
		code = run(&service);
	}
	vhu_server_free(service.server);
	workers_stop(&service.workers);
	if (service.signals >= 0)
		close(service.signals);
	return code;
}
