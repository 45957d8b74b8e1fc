/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signals come to the main thread alone. The first that ends us stops the
 * server, which lets the I/O under way finish; the next one ends the process at
 * once, as that I/O may take for ever.
 *
 * A handler only notes what came and interrupts the server's sleep. A signal
 * that comes just before the server falls asleep interrupts nothing, so a timer
 * does it again until the main loop has looked.
 */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vhu/backend.h>

#include "say.h"
#include "stats.h"
#include "workers.h"

/* SIGUSR1 asks for the statistics. */
static const int ending[] = { SIGTERM, SIGINT, SIGHUP };
#define N_ENDING (sizeof(ending) / sizeof(ending[0]))
#define RETRY_MS 10

struct service {
	struct vhu_server *server;
	struct workers workers;
	struct stats stats;
	bool is_ending;
};

/* What the handlers note, and need. */
static struct {
	volatile sig_atomic_t any, stats, end;
	timer_t timer;
	const struct listener *listener;
} told;

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	for (unsigned i = 0; i < N_ENDING; i++)
		sigaddset(set, ending[i]);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGALRM);
}

void serve_block_signals(void)
{
	sigset_t set;

	fill_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Standard error may be a pipe nobody reads. */
	signal(SIGPIPE, SIG_IGN);
}

static void set_timer(long ms)
{
	struct itimerspec spec = { 0 };

	spec.it_value.tv_nsec = spec.it_interval.tv_nsec = ms * 1000000;
	timer_settime(told.timer, 0, &spec, NULL);
}

static void note_signal(int number)
{
	int saved = errno;

	if (number == SIGUSR1) {
		told.stats = 1;
	} else if (told.end) {
		listener_remove(told.listener);
		_exit(EXIT_FAULT);
	} else {
		told.end = 1;
	}
	told.any = 1;
	set_timer(RETRY_MS);
	errno = saved;
}

static void note_nothing(int number)
{
	(void)number;
}

static void handle(int number, void (*handler)(int number))
{
	struct sigaction action = { .sa_handler = handler };

	fill_signals(&action.sa_mask);
	sigaction(number, &action, NULL);
}

static int open_signals(struct listener *listener)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	sigset_t set;

	told.listener = listener;
	if (timer_create(CLOCK_MONOTONIC, &event, &told.timer) < 0) {
		complain("signals can't be received: %s", strerror(errno));
		return -errno;
	}
	for (unsigned i = 0; i < N_ENDING; i++)
		handle(ending[i], note_signal);
	handle(SIGUSR1, note_signal);
	handle(SIGALRM, note_nothing);
	fill_signals(&set);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return 0;
}

static void write_stats(struct service *service)
{
	struct vhu_stats now;

	vhu_server_stats(service->server, &now);
	stats_write(&service->stats, &now);
}

/* What comes after the timer was stopped starts it again. */
static void take_signals(struct service *service)
{
	set_timer(0);
	told.any = 0;
	if (told.stats) {
		told.stats = 0;
		write_stats(service);
	}
	if (told.end && !service->is_ending) {
		say(VHU_LOG_INFO,
		    "ending when the I/O under way is done; a second signal ends at once");
		service->is_ending = true;
		vhu_server_stop(service->server);
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
	error = workers_start(&service->workers, options->queue_threads);
	if (error) {
		complain("--queue-threads=%u: %s; ask for fewer", options->queue_threads,
		         strerror(-error));
		return error;
	}
	error = open_server(service, options, blk, listener);
	return error ? error : open_signals(listener);
}

static int run(struct service *service)
{
	while (!vhu_server_done(service->server)) {
		int error;

		if (told.any) {
			take_signals(service);
			continue;
		}
		error = vhu_server_run(service->server, -1);
		if (error) {
			complain("can't go on: %s", strerror(-error));
			return EXIT_FAULT;
		}
	}
	return EXIT_FINE;
}

int serve(const struct options *options, struct blk *blk, struct listener *listener)
{
	struct service service = { .server = NULL };
	int code = EXIT_FAULT;

	if (open_all(&service, options, blk, listener) == 0) {
		say(VHU_LOG_INFO, "serving");
		code = run(&service);
	}
	vhu_server_free(service.server);
	workers_stop(&service.workers);
	return code;
}
