/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening, connections that come and go, and the observation of the first of them. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "back.h"
#include "base/clock.h"
#include "base/fd.h"
#include "transport/socket.h"

#define FIRST_MS   120000 /* for somebody to start it by hand */
#define START_MS   60000  /* until its rings run: a machine may have to boot */
#define RETURN_MS  6000
#define AGAIN_MS   10000 /* likewise, of one that ran before */
#define OBSERVE_MS 4000

#define FEATURES                                                           \
	(VHU_BIT(VIRTIO_F_VERSION_1) | VHU_BIT(VIRTIO_F_ACCESS_PLATFORM) | \
	 VHU_BIT(VHU_F_PROTOCOL_FEATURES))
#define BLK_FEATURES                                                      \
	(VHU_BIT(VIRTIO_BLK_F_SEG_MAX) | VHU_BIT(VIRTIO_BLK_F_BLK_SIZE) | \
	 VHU_BIT(VIRTIO_BLK_F_FLUSH) | VHU_BIT(VIRTIO_BLK_F_MQ))
#define PROTOCOL                                                                        \
	(VHU_BIT(VHU_PROTOCOL_F_MQ) | VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK) |               \
	 VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ) | VHU_BIT(VHU_PROTOCOL_F_CONFIG) |         \
	 VHU_BIT(VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | VHU_BIT(VHU_PROTOCOL_F_STATUS) | \
	 VHU_BIT(VHU_PROTOCOL_F_RESET_DEVICE))

static struct trial *idle_trial(unsigned patience_ms)
{
	struct trial *trial = calloc(1, sizeof(*trial));

	if (!trial)
		return NULL;
	trial->muted = 1;
	trial->patience_ms = patience_ms;
	trial->deadline_ns = UINT64_MAX;
	return trial;
}

int back_init(struct back *b, char *why, unsigned long size)
{
	struct socket_fault fault = { "out of memory" };
	int error = -ENOMEM;

	b->listener = b->main.fd = b->back.fd = -1;
	for (unsigned i = 0; i < BACK_RINGS; i++)
		b->rings[i] = (struct back_ring){ .kick = -1, .call = -1, .err = -1 };
	b->idle = b->trial = idle_trial(b->patience_ms);
	b->disk = mmap(NULL, BACK_DISK_SIZE, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->disk == MAP_FAILED)
		b->disk = NULL;
	if (b->idle && b->disk && !record_init(&b->record) && !held_init(&b->held) &&
	    !held_init(&b->scratch))
		error = socket_listen(b->path, &b->listener, &fault);
	if (error)
		snprintf(why, size, "%s", fault.text);
	return error;
}

void back_done(struct back *b)
{
	if (b->idle)
		b->trial = b->idle;
	back_forget(b);
	if (b->listener >= 0)
		remove(b->path);
	fd_close(&b->listener);
	record_done(&b->record);
	held_done(&b->held);
	held_done(&b->scratch);
	if (b->disk)
		munmap(b->disk, BACK_DISK_SIZE);
	free(b->idle);
}

static void set_trial(struct back *b, struct trial *trial)
{
	b->trial = b->main.trial = b->back.trial = trial;
}

void back_begin(struct back *b, struct trial *trial)
{
	set_trial(b, trial);
	b->case_stops = b->stops;
	b->left = false;
}

/* Nothing that a case has left behind is met by the next. */
void back_end(struct back *b)
{
	bool owes = b->told.has_back_channel && b->back.fd < 0;

	set_trial(b, b->idle);
	b->paused = b->deaf = false;
	b->reply_instead = NULL;
	b->turns = 0;
	b->config_sectors = 0;
	if (!back_is_open(b))
		return;
	back_let_go(b);
	if (b->n_asked != b->n_answered)
		back_answered(b, b->n_asked, BACK_SURVIVES);
	if (owes || b->n_asked != b->n_answered)
		back_forget(b);
}

void back_forget(struct back *b)
{
	link_close(&b->main);
	link_close(&b->back);
	back_unmap(b);
	for (unsigned i = 0; i < BACK_RINGS; i++) {
		fd_close(&b->rings[i].kick);
		fd_close(&b->rings[i].call);
		fd_close(&b->rings[i].err);
		b->rings[i].owed = false;
	}
	held_clear(&b->held);
	told_start(&b->told, 0, 0);
	b->n_asked = b->n_answered = b->n_replies = 0;
	b->holding = false;
	b->served = 0;
}

void back_hang_up(struct back *b)
{
	if (back_is_open(b))
		NOTE(b, "hangs up");
	back_forget(b);
}

static bool process_is_there(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'R';
	fclose(file);
	return state != 'Z' && state != 'X';
}

bool back_is_dead(const struct back *b)
{
	return b->pid && !process_is_there(b->pid);
}

static void find_name(struct back *b)
{
	char path[64], line[256] = "", *name;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	FILE *file;

	b->peer = 0;
	if (getsockopt(b->main.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return;
	b->peer = peer.pid;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", peer.pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(line, sizeof(line), file)) {
		name = strrchr(line, '/');
		snprintf(b->name, sizeof(b->name), "%s", name ? name + 1 : line);
	}
	fclose(file);
}

/* Of a connection that is just there. */
static void start_connection(struct back *b, int fd)
{
	back_forget(b);
	b->main = (struct link){ b->trial, MESSAGE_MAIN, false, fd };
	b->back = (struct link){ b->trial, MESSAGE_BACK, true, -1 };
	told_start(&b->told, b->device == DEVICE_BLK ? FEATURES | BLK_FEATURES : FEATURES,
	           PROTOCOL);
	b->away = false;
	b->left = false;
	find_name(b);
}

/* Within @ms, or as long as process @pid is there; 0: whoever it is. */
static bool accept_one(struct back *b, int ms, pid_t pid)
{
	uint64_t end = clock_ns() + (uint64_t)ms * 1000000;
	struct pollfd poller = { .fd = b->listener, .events = POLLIN };
	int fd = -1;

	while (fd < 0 && clock_ns() < end) {
		/* What it did last may be to connect. */
		bool is_last = pid && !process_is_there(pid);

		if (poll(&poller, 1, 50) < 0)
			return false;
		fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (is_last)
			break;
	}
	if (fd < 0)
		return false;
	start_connection(b, fd);
	return true;
}

/* The command may print the process id of what it started, for --pid. */
static void start_anew(struct back *b)
{
	FILE *pipe = popen(b->restart_cmd, "re");
	char line[64];
	long pid;

	if (!pipe)
		return;
	if (fgets(line, sizeof(line), pipe)) {
		pid = strtol(line, NULL, 10);
		if (pid > 0 && b->pid)
			b->pid = (pid_t)pid;
	}
	pclose(pipe);
}

/* By itself, if its process is still there; else it is started. */
static bool come_back(struct back *b)
{
	if (b->away || back_is_open(b))
		return !b->away;
	if (accept_one(b, RETURN_MS, b->restart_cmd ? b->peer : 0)) {
		b->returns++;
		return true;
	}
	if (b->restart_cmd) {
		start_anew(b);
		if (accept_one(b, RETURN_MS, 0))
			return true;
	}
	b->away = true;
	return false;
}

bool back_is_there(struct back *b)
{
	return come_back(b);
}

static bool is_busy(const struct back *b)
{
	if (b->device != DEVICE_ANY && !b->served)
		return false;
	for (unsigned i = 0; i < BACK_RINGS; i++)
		if (told_runs(&b->told, i))
			return true;
	return false;
}

static bool serve_until_busy(struct back *b, int ms)
{
	uint64_t end = clock_ns() + (uint64_t)ms * 1000000;

	while (!is_busy(b) && back_is_open(b) && clock_ns() < end)
		back_turn(b, 50);
	return is_busy(b);
}

bool back_observe(struct back *b)
{
	uint64_t end = clock_ns() + START_MS * UINT64_C(1000000);

	if (b->restart_cmd)
		start_anew(b);
	else
		fprintf(stderr, "vhu conform frontend: waits for one at %s\n", b->path);
	if (!accept_one(b, b->restart_cmd ? RETURN_MS : FIRST_MS, 0))
		return false;
	b->recording = true;
	do {
		if (!back_is_open(b) && !accept_one(b, RETURN_MS, 0))
			break;
		record_start(&b->record, b->told.offered, b->told.offered_protocol);
	} while (!serve_until_busy(b, START_MS) && clock_ns() < end);
	b->features = b->told.features;
	b->protocol = b->told.protocol;
	back_serve(b, OBSERVE_MS);
	b->recording = false;
	return true;
}

/* What the front-end takes for its start is not the case's. */
static void extend(struct trial *trial, uint64_t since_ns)
{
	if (trial->deadline_ns != UINT64_MAX)
		trial->deadline_ns += clock_ns() - since_ns;
}

static void come_back_or_skip(struct back *b)
{
	if (!come_back(b))
		trial_skip(b->trial, "the front-end does not come back by itself; give "
		                     "--restart-cmd");
}

void back_open_new(struct back *b)
{
	uint64_t start = clock_ns();
	struct trial *trial = b->trial;

	set_trial(b, b->idle);
	back_forget(b);
	come_back(b);
	set_trial(b, trial);
	extend(trial, start);
	come_back_or_skip(b);
	NOTE(b, "a connection is accepted");
}

void back_open(struct back *b, enum back_want want)
{
	uint64_t start = clock_ns();
	struct trial *trial = b->trial;
	bool busy = false;

	set_trial(b, b->idle);
	b->paused = false;
	for (unsigned i = 0; i < 3 && !busy && come_back(b); i++) {
		busy = serve_until_busy(b, b->restart_cmd ? START_MS : AGAIN_MS);
		/* One that is stuck is left, and may do better with the next. */
		if (!busy && i == 0)
			back_forget(b);
		else if (back_is_open(b))
			break;
	}
	set_trial(b, trial);
	extend(trial, start);
	come_back_or_skip(b);
	b->away = !busy;
	if (!busy)
		trial_fail(trial, "rings to be started, and requests to come: %s",
		           !back_is_open(b)        ? "each connection is closed"
		           : !b->told.has_features ? "there is a connection, on which no "
		                                     "features are set"
		           : !told_any_started(&b->told)
		                   ? "features are set, and no ring is started"
		                   : "rings are started, and nothing more");
	if (want == BACK_IOMMU && (!told_iommu(&b->told) || b->back.fd < 0))
		trial_skip(trial, "the front-end has not negotiated an IOMMU");
	b->paused = true;
	b->left = false;
	b->case_stops = b->stops;
	NOTE(b, "rings run; requests wait from here on");
}
