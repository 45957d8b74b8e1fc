/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals are blocked in every thread and read from a signalfd, so that nothing
 * happens in a handler. The first that ends us stops the server, which lets the
 * I/O under way finish; from then on a handler ends the process at once, as that
 * I/O may take for ever.
 */
#include "serve.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <vhu/backend.h>
#include <vhu/sigbus.h>

#include "sandbox.h"
#include "say.h"
#include "stats.h"
#include "watchdog.h"
#include "workers.h"

/* SIGUSR1 asks for the statistics, SIGHUP for a look at the size of the disk; SIGALRM
 * is our own (say.h). */
static const int ending[] = { SIGTERM, SIGINT };
#define N_ENDING (sizeof(ending) / sizeof(ending[0]))

struct service {
	struct vhu_server *server;
	struct workers workers;
	struct watchdog watchdog;
	struct stats stats;
	struct blk *blk;
	const struct storage *storage;
	struct listener *listener;
	int signals;
	bool is_ending;
};

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	for (unsigned i = 0; i < N_ENDING; i++)
		sigaddset(set, ending[i]);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGALRM);
}

void serve_block_signals(void)
{
	sigset_t set;

	fill_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Standard error may be a pipe nobody reads. */
	signal(SIGPIPE, SIG_IGN);
	/* A limit on files (ulimit -f) makes writes fail, which a driver is told. */
	signal(SIGXFSZ, SIG_IGN);
}

static const char *remedy(int error)
{
	switch (error) {
	case -EMFILE:
	case -ENFILE: return "raise the limit of open files (ulimit -n, LimitNOFILE=)";
	case -ENOTSOCK:
	case -EPROTOTYPE:
	case -ENOTCONN: return "give a Unix stream socket that listens or is connected";
	default: return "it needs more memory or a higher limit";
	}
}

static int open_signals(struct service *service)
{
	sigset_t set;
	int error;

	fill_signals(&set);
	service->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (service->signals >= 0)
		return 0;
	error = -errno;
	complain("signals can't be received: %s; %s", strerror(-error), remedy(error));
	return error;
}

static void end_at_once(int number)
{
	(void)number;
	_exit(EXIT_FAULT);
}

static void begin_ending(struct service *service)
{
	struct sigaction action = { .sa_handler = end_at_once };
	sigset_t set;

	say(VHU_LOG_INFO, "ending when the I/O under way is done; a second signal ends at once");
	service->is_ending = true;
	/* Another daemon may take the place from here on. */
	listener_remove(service->listener);
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

/* The disk grows as its file has grown, and the driver is told. It never shrinks. */
static void look_at_size(struct service *service)
{
	const char *name = service->storage->name ? service->storage->name : "memory";
	uint64_t size;
	int error = storage_measure(service->storage, &size);

	if (error) {
		say(VHU_LOG_WARNING, "%s: its size can't be read: %s", name, strerror(-error));
		return;
	}
	switch (blk_resize(service->blk, size)) {
	case 1:
		say(VHU_LOG_INFO, "%s has grown to %" PRIu64 " MiB", name, size >> 20);
		vhu_server_config_changed(service->server);
		break;
	case 0: say(VHU_LOG_INFO, "%s has not grown", name); break;
	default:
		say(VHU_LOG_WARNING,
		    "%s has shrunk to %" PRIu64 " bytes: the disk keeps its size, and I/O beyond "
		    "the end fails",
		    name, size);
	}
}

static void take_signals(void *opaque)
{
	struct service *service = opaque;
	struct signalfd_siginfo info;

	while (read(service->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			write_stats(service);
		else if (info.ssi_signo == SIGHUP)
			look_at_size(service);
		else if (info.ssi_signo == SIGALRM)
			say_settle();
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

static const char *reason(int error)
{
	switch (error) {
	case -ENOTSOCK: return "no socket";
	case -EPROTOTYPE: return "another kind of socket";
	case -ENOTCONN: return "a socket that neither listens nor is connected";
	default: return strerror(-error);
	}
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
		.poll_us = options->poll_us,
		.poll_adapts = options->poll_adapts,
		.no_miss_hints = options->no_miss_hints,
		.report_access_failures = options->report_access_failures,
		.session_end = session_end,
		.opaque = service,
	};
	int error = vhu_server_new(&config, listener->fd, &service->server);

	if (!error)
		listener->fd = -1;
	else if (options->socket_path)
		complain("--socket-path=%s: can't serve: %s; %s", options->socket_path,
		         strerror(-error), remedy(error));
	else
		complain("%s=%d: can't serve: %s; %s", options->fd_name, options->fd, reason(error),
		         remedy(error));
	return error;
}

/* The last thing before front-ends are listened to. */
static int confine(const struct service *service, const struct options *options)
{
	const struct sandbox_needs needs = {
		.io_uring = service->storage->fd >= 0 && blk_engine(service->blk) == &engine_uring,
		.new_files = options->stats_json != NULL,
		.removal = options->socket_path != NULL,
	};
	int error;

	if (!options->sandbox)
		return 0;
	if (sandbox_absent()) {
		say(VHU_LOG_WARNING, "not confined: %s", sandbox_absent());
		return 0;
	}
	error = sandbox_enter(&needs);
	if (error)
		complain("the program can't be confined: %s; if it is to run without, give "
		         "--no-sandbox",
		         strerror(-error));
	return error;
}

static int open_watchdog(struct service *service)
{
	int error = watchdog_start(&service->watchdog, service->server);

	if (error)
		complain("the thread that watches the others can't be started: %s",
		         strerror(-error));
	return error;
}

static int open_all(struct service *service, const struct options *options, struct blk *blk,
                    struct listener *listener)
{
	int error = stats_init(&service->stats, options->stats_json, blk, service->storage->fd);

	if (error)
		return error;
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
	if (!error)
		error = open_server(service, options, blk, listener);
	if (!error)
		error = open_watchdog(service);
	return error ? error : confine(service, options);
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

int serve(const struct options *options, const struct storage *storage, struct blk *blk,
          struct listener *listener)
{
	struct service service = {
		.blk = blk,
		.storage = storage,
		.listener = listener,
		.signals = -1,
	};
	int code = EXIT_FAULT;

	if (open_all(&service, options, blk, listener) == 0) {
		say(VHU_LOG_INFO, "serving");
		code = run(&service);
	}
	listener_remove(listener);
	watchdog_stop(&service.watchdog);
	vhu_server_free(service.server);
	workers_stop(&service.workers);
	if (service.signals >= 0)
		close(service.signals);
	say_end();
	return code;
}
