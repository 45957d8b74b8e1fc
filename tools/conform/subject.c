/* SPDX-License-Identifier: BSD-3-Clause */
#include "subject.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "link.h"
#include "process.h"
#include "transport/socket.h"
#include "wire/feature.h"

#define REVIVE_MS 5000

static bool restart(const struct subject *subject)
{
	if (!subject->restart_cmd || system(subject->restart_cmd) == 0)
		return true;
	fprintf(stderr, "vhu conform: it failed: %s\n", subject->restart_cmd);
	return false;
}

/* The process that listens there now, where it is not the one that was told of. */
static void find_pid(struct subject *subject, int fd)
{
	pid_t peer = process_of_peer(fd);

	if (subject->pid && peer && !process_is_there(subject->pid))
		subject->pid = peer;
}

int subject_connect(struct subject *subject, int ms)
{
	struct socket_fault why;
	int fd, error;

	if (subject->one_shot && subject->used_up && !restart(subject))
		return -ECHILD;
	error = socket_connect(subject->path, ms, &fd, &why);
	if (error)
		return error;
	subject->used_up = true;
	find_pid(subject, fd);
	return fd;
}

#define STRAY_MOST 4

/* Replies to what was asked before, and nobody wanted, are a case's business. */
static int receive(struct link *link, uint32_t request, struct message *ret)
{
	for (unsigned i = 0; i < STRAY_MOST; i++) {
		int error = link_recv(link, ret, (int)link->trial->patience_ms);

		if (error)
			return error;
		message_close_fds(ret);
		if (ret->header.request == request && ret->header.flags & VHU_FLAG_REPLY)
			return 0;
	}
	return -EPROTO;
}

/* Messages outside of trials go over a link all the same; their evidence is let go. */
static int ask(struct link *link, uint32_t request, uint64_t *ret)
{
	struct message message;
	int error;

	message_init(&message, request);
	error = link_send(link, &message);
	if (!error)
		error = receive(link, request, &message);
	if (error)
		return error;
	*ret = message.payload.u64;
	return message.header.size == sizeof(*ret) ? 0 : -EPROTO;
}

static int set(struct link *link, uint32_t request, uint64_t value)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(value);
	message.payload.u64 = value;
	return link_send(link, &message);
}

static struct trial *silent_trial(unsigned ms)
{
	struct trial *trial = calloc(1, sizeof(*trial));

	if (!trial)
		return NULL;
	trial->muted = 1;
	trial->patience_ms = ms;
	trial->deadline_ns = clock_ns() + UINT64_C(30000000000);
	return trial;
}

static int probe(struct subject *subject, struct link *link)
{
	uint64_t queues = 0;
	int error = ask(link, VHU_FE_GET_FEATURES, &subject->features);

	subject->protocol = 0;
	if (!error && subject->features & VHU_BIT(VHU_F_PROTOCOL_FEATURES))
		error = ask(link, VHU_FE_GET_PROTOCOL_FEATURES, &subject->protocol);
	if (!error && subject->protocol & VHU_BIT(VHU_PROTOCOL_F_MQ)) {
		error = set(link, VHU_FE_SET_PROTOCOL_FEATURES, VHU_BIT(VHU_PROTOCOL_F_MQ));
		if (!error)
			error = ask(link, VHU_FE_GET_QUEUE_NUM, &queues);
	}
	/* The specification counts pairs for a network device. */
	subject->queues = (unsigned)(queues ? queues : 1);
	if (subject->device == DEVICE_NET)
		subject->queues *= 2;
	return error;
}

static int probe_first(struct subject *subject, char *why, unsigned long size)
{
	struct trial *trial = silent_trial(subject->patience_ms);
	struct link link = { trial, MESSAGE_MAIN, true, -1 };
	int error = trial ? subject_connect(subject, (int)subject->patience_ms) : -ENOMEM;

	if (error < 0) {
		snprintf(why, size, "can't connect to %s: %s", subject->path, strerror(-error));
	} else {
		link.fd = error;
		process_name(subject->pid ? subject->pid : process_of_peer(link.fd), subject->name,
		             sizeof(subject->name));
		error = probe(subject, &link);
		if (error)
			snprintf(why, size, "%s does not answer as a back-end does: %s",
			         subject->path, strerror(-error));
	}
	if (trial)
		link_close(&link);
	free(trial);
	return error;
}

int subject_probe(struct subject *subject, char *why, unsigned long size)
{
	int error = probe_first(subject, why, size);

	if (error || subject_answers(subject, (int)subject->patience_ms))
		return error;
	subject->one_shot = true;
	if (subject->restart_cmd)
		return 0;
	snprintf(why, size,
	         "%s has ended with its first connection: it has to be started for each, by "
	         "--restart-cmd",
	         subject->name[0] ? subject->name : "the back-end");
	return -ECHILD;
}

bool subject_answers(struct subject *subject, int ms)
{
	struct trial *trial = subject->one_shot ? NULL : silent_trial((unsigned)ms);
	struct link link = { trial, MESSAGE_MAIN, true, -1 };
	uint64_t features;
	bool answers = false;

	if (!trial)
		return subject->one_shot;
	link.fd = subject_connect(subject, ms);
	if (link.fd >= 0)
		answers = !ask(&link, VHU_FE_GET_FEATURES, &features);
	else
		link.fd = -1;
	link_close(&link);
	free(trial);
	return answers;
}

bool subject_revive(struct subject *subject)
{
	uint64_t end;

	restart(subject);
	end = clock_ns() + REVIVE_MS * UINT64_C(1000000);
	while (clock_ns() < end) {
		if (subject_answers(subject, 500))
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	return false;
}

static int count_entries(pid_t pid, const char *what)
{
	char path[64];
	struct dirent *entry;
	DIR *folder;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	folder = opendir(path);
	if (!folder)
		return -1;
	while ((entry = readdir(folder)))
		n += entry->d_name[0] != '.';
	closedir(folder);
	return n;
}

static int count_lines(pid_t pid, const char *what)
{
	char path[64];
	FILE *file;
	int n = 0, c;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

struct holdings subject_holdings(const struct subject *subject)
{
	return (struct holdings){ count_entries(subject->pid, "fd"),
		                  count_entries(subject->pid, "task"),
		                  count_lines(subject->pid, "maps") };
}

struct holdings subject_holdings_of(const struct subject *subject, int fds, int ms)
{
	struct holdings holdings = subject_holdings(subject);

	for (int i = 0; i < ms / 10 && holdings.fds > fds; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		holdings = subject_holdings(subject);
	}
	return holdings;
}

static const char *name_bits(const char *what, uint64_t bits, const char *(*name)(unsigned bit),
                             char *text, unsigned long size)
{
	unsigned bit = (unsigned)__builtin_ctzll(bits);
	const char *word = name(bit);

	if (word)
		snprintf(text, size, "the back-end does not offer %s%s", what, word);
	else
		snprintf(text, size, "the back-end does not offer %sbit %u", what, bit);
	return text;
}

const char *subject_lacks(const struct subject *subject, const struct case_needs *needs, char *text,
                          unsigned long size)
{
	if (needs->device && !(needs->device & subject->device))
		return needs->device == DEVICE_IO    ? "needs --type=blk or net"
		       : needs->device == DEVICE_BLK ? "needs --type=blk"
		                                     : "needs --type=net";
	if (needs->features & ~subject->features)
		return name_bits("", needs->features & ~subject->features, feature_name, text,
		                 size);
	if (needs->protocol & ~subject->protocol)
		return name_bits("PROTOCOL_F_", needs->protocol & ~subject->protocol,
		                 protocol_feature_name, text, size);
	if (needs->queues > subject->queues)
		return "the back-end has too few queues";
	if (needs->pid && !subject->pid)
		return "needs --pid";
	if (needs->restart && !subject->restart_cmd)
		return "needs --restart-cmd";
	if (needs->echo && subject->device == DEVICE_NET && !subject->echo)
		return "the back-end sends no frames back";
	return NULL;
}
