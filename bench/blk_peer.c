/* SPDX-License-Identifier: BSD-3-Clause */
#include "blk_peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS  10000
#define END_MS    5000
#define STEP_MS   10
#define NAP_MS    5
#define NOT_FOUND 127

static volatile sig_atomic_t never;
static cpu_set_t processors;

void blk_bench_start(void)
{
	if (sched_getaffinity(0, sizeof(processors), &processors))
		CPU_ZERO(&processors);
	pairs_pin(0);
}

/* Those this process is not on, if there are any. */
static bool find_others(cpu_set_t *ret)
{
	cpu_set_t own;

	if (sched_getaffinity(0, sizeof(own), &own))
		return false;
	CPU_XOR(ret, &processors, &own);
	return CPU_COUNT(ret);
}

void blk_go_elsewhere(void)
{
	cpu_set_t others;

	if (find_others(&others))
		(void)sched_setaffinity(0, sizeof(others), &others);
}

/*
 * A program that was started with all processors there are, so that it decides as it
 * does for its users.
 */
static void send_elsewhere(pid_t pid)
{
	char path[64];
	cpu_set_t others;
	struct dirent *thread;
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	while (threads && find_others(&others) && (thread = readdir(threads))) {
		pid_t tid = (pid_t)strtol(thread->d_name, NULL, 10);

		if (tid)
			(void)sched_setaffinity(tid, sizeof(others), &others);
	}
	if (threads)
		closedir(threads);
}

const char *blk_daemon(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	char *slash;

	path[n < 0 ? 0 : n] = 0;
	slash = strrchr(path, '/');
	strcpy(slash ? slash : path, "/../daemons/vhu-blk");
	return path;
}

bool blk_is_installed(const char *program)
{
	char folders[4096], path[4400], *rest = folders;
	const char *all = getenv("PATH"), *folder;

	if (strchr(program, '/'))
		return !access(program, X_OK);
	snprintf(folders, sizeof(folders), "%s", all ? all : "");
	while ((folder = strsep(&rest, ":"))) {
		snprintf(path, sizeof(path), "%s/%s", folder, program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

/* In the child. */
static void become(const struct blk_peer *peer, const char *program, const char *const *args,
                   pid_t parent)
{
	char texts[BLK_ARGS][512];
	const char *argv[BLK_ARGS + 2] = { program };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (unsigned i = 0; args[i] && i < BLK_ARGS; i++) {
		const char *place = strstr(args[i], "%s");

		argv[i + 1] = args[i];
		if (!place)
			continue;
		snprintf(texts[i], sizeof(texts[i]), "%.*s%s%s", (int)(place - args[i]), args[i],
		         peer->path, place + 2);
		argv[i + 1] = texts[i];
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(NOT_FOUND);
	(void)sched_setaffinity(0, sizeof(processors), &processors);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	execvp(program, (char *const *)(uintptr_t)argv);
	_exit(NOT_FOUND);
}

static bool until_ended(pid_t pid, int ms)
{
	for (; ms > 0; ms -= STEP_MS) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		nanosleep(&(struct timespec){ 0, STEP_MS * 1000000L }, NULL);
	}
	return false;
}

int blk_peer_start(struct blk_peer *peer, const char *program, const char *const *args)
{
	const char *tmp = getenv("TMPDIR");
	pid_t parent = getpid();

	*peer = (struct blk_peer){ .pid = -1 };
	if (!blk_is_installed(program))
		return -ENOENT;
	snprintf(peer->folder, sizeof(peer->folder), "%s/vhu-XXXXXX",
	         tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	if (!mkdtemp(peer->folder)) {
		peer->folder[0] = 0;
		return -errno;
	}
	snprintf(peer->path, sizeof(peer->path), "%s/disk", peer->folder);
	peer->pid = fork();
	if (!peer->pid)
		become(peer, program, args, parent);
	for (int ms = 0; ms < START_MS && peer->pid > 0; ms += STEP_MS) {
		if (!access(peer->path, F_OK)) {
			send_elsewhere(peer->pid);
			return 0;
		}
		if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid) {
			peer->pid = -1;
			return -ENOTSUP;
		}
		nanosleep(&(struct timespec){ 0, STEP_MS * 1000000L }, NULL);
	}
	return -ETIMEDOUT;
}

void blk_peer_end(struct blk_peer *peer)
{
	blk_peer_close(peer);
	if (peer->pid > 0) {
		kill(peer->pid, SIGTERM);
		if (!until_ended(peer->pid, END_MS)) {
			kill(peer->pid, SIGKILL);
			waitpid(peer->pid, NULL, 0);
		}
	}
	peer->pid = -1;
	if (!peer->folder[0])
		return;
	unlink(peer->path);
	rmdir(peer->folder);
	peer->folder[0] = 0;
}

struct bench_options blk_options_default(void)
{
	return (struct bench_options){
		.rw = "randread",
		.random = true,
		.reads = 100,
		.bytes = 4096,
		.segment = 4096,
		.depth = 32,
		.queues = 1,
		.seed = 1,
		.timeout_ms = 10000,
		.poll = true,
		.silent = true,
	};
}

int blk_peer_open(struct blk_peer *peer, const struct bench_options *options)
{
	struct bench *bench = &peer->bench;

	memset(bench, 0, sizeof(*bench));
	bench->options = *options;
	bench->options.socket_path = peer->path;
	bench->stop = &never;
	peer->open = true;
	peer->requests = peer->own_cpu_ns = peer->peer_cpu_ns = 0;
	peer->misses = peer->updates = peer->invalidations = 0;
	return bench_blk_open(bench);
}

void blk_peer_close(struct blk_peer *peer)
{
	if (!peer->open)
		return;
	bench_blk_stop(&peer->bench);
	bench_blk_close(&peer->bench);
	peer->open = false;
}

static void add(struct blk_peer *peer, const struct bench_work *work)
{
	peer->requests += work->requests;
	peer->own_cpu_ns += work->own_cpu_ns;
	peer->peer_cpu_ns += work->peer_cpu_ns;
	peer->misses += work->misses;
	peer->updates += work->updates;
	peer->invalidations += work->invalidations;
}

/* False: it has failed, which was said. */
static bool run(struct blk_peer *peer, uint64_t n)
{
	struct bench *bench = &peer->bench;
	int error = peer->error;

	/* Who had its turn before may still be polling. */
	nanosleep(&(struct timespec){ 0, NAP_MS * 1000000L }, NULL);
	memset(&bench->work, 0, sizeof(bench->work));
	bench->options.size = n * bench->options.bytes;
	if (!error)
		error = bench_blk_run(bench);
	if (!error && bench->work.failed)
		error = -EIO;
	peer->error = error;
	add(peer, &bench->work);
	return !error;
}

/* What can't be measured takes for ever. */
static uint64_t failed(uint64_t n)
{
	return n * 1000000000;
}

uint64_t blk_run(void *opaque, uint64_t n)
{
	struct blk_peer *peer = opaque;

	return run(peer, n) ? (uint64_t)(peer->bench.work.seconds * 1e9) : failed(n);
}

uint64_t blk_run_median(void *opaque, uint64_t n)
{
	struct blk_peer *peer = opaque;

	if (!run(peer, n))
		return failed(n);
	return (uint64_t)(latency_quantile(&peer->bench.work.latency, 0.5) * (double)n);
}

uint64_t blk_run_cpu(void *opaque, uint64_t n)
{
	struct blk_peer *peer = opaque;

	if (!run(peer, n))
		return failed(n);
	return peer->bench.work.own_cpu_ns + peer->bench.work.peer_cpu_ns;
}
