/* SPDX-License-Identifier: BSD-3-Clause */
/* Listening, and connections that come and go. */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "back.h"
#include "base/clock.h"
#include "base/fd.h"
#include "process.h"
#include "transport/socket.h"

#define FIRST_MS  120000 /* for somebody to start it by hand */
#define RETURN_MS 6000

#define FEATURES                                                           \
	(VHU_BIT(VIRTIO_F_VERSION_1) | VHU_BIT(VIRTIO_F_ACCESS_PLATFORM) | \
	 VHU_BIT(VHU_F_PROTOCOL_FEATURES))
#define BLK_FEATURES                                                      \
	(VHU_BIT(VIRTIO_BLK_F_SEG_MAX) | VHU_BIT(VIRTIO_BLK_F_BLK_SIZE) | \
	 VHU_BIT(VIRTIO_BLK_F_FLUSH) | VHU_BIT(VIRTIO_BLK_F_MQ))
/* Buffers of any size do for what is never received. */
#define NET_FEATURES VHU_BIT(VIRTIO_NET_F_MRG_RXBUF)
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

void back_set_trial(struct back *b, struct trial *trial)
{
	b->trial = b->main.trial = b->back.trial = trial;
}

void back_begin(struct back *b, struct trial *trial)
{
	back_set_trial(b, trial);
	b->case_stops = b->stops;
	b->left = b->walked = b->found = false;
}

/* Nothing that a case has left behind is met by the next. */
void back_end(struct back *b)
{
	bool owes = b->told.has_back_channel && b->back.fd < 0;

	back_set_trial(b, b->idle);
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

bool back_is_dead(const struct back *b)
{
	return b->pid && !process_is_there(b->pid);
}

static uint64_t features_of(enum case_device device)
{
	return FEATURES | (device == DEVICE_BLK   ? BLK_FEATURES
	                   : device == DEVICE_NET ? NET_FEATURES
	                                          : 0);
}

/* Of a connection that is just there. */
static void start_connection(struct back *b, int fd)
{
	back_forget(b);
	b->main = (struct link){ b->trial, MESSAGE_MAIN, false, fd };
	b->back = (struct link){ b->trial, MESSAGE_BACK, true, -1 };
	told_start(&b->told, features_of(b->device), PROTOCOL);
	b->away = NULL;
	b->left = false;
	b->peer = process_of_peer(fd);
	process_name(b->peer, b->name, sizeof(b->name));
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
bool back_come_back(struct back *b)
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
	b->away = b->restart_cmd ? "the front-end does not come back, not by --restart-cmd either"
	                         : "the front-end does not come back by itself; give "
	                           "--restart-cmd";
	return false;
}

bool back_meet(struct back *b)
{
	if (b->restart_cmd)
		start_anew(b);
	else
		fprintf(stderr, "vhu conform frontend: waits for one at %s\n", b->path);
	return accept_one(b, b->restart_cmd ? RETURN_MS : FIRST_MS, 0);
}

bool back_meet_again(struct back *b)
{
	return back_is_open(b) || accept_one(b, RETURN_MS, 0);
}
