/* SPDX-License-Identifier: BSD-3-Clause */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILD_FD  3
#define ARGS_MAX  16u
#define TERM_MS   2000
#define NOT_FOUND 127

/* A file that is sparse would be found out to be too large at the first write that is. */
static int check_room(const char *folder, uint64_t size)
{
	struct statvfs fs;
	uint64_t room;

	if (statvfs(folder, &fs))
		return 0;
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= size)
		return 0;
	fprintf(stderr,
	        "temporary disk: %s has room for %llu MiB, and %llu are wanted; give less, or set "
	        "TMPDIR to a folder that has more\n",
	        folder, (unsigned long long)room >> 20, (unsigned long long)size >> 20);
	return -ENOSPC;
}

static int make_file(struct child *child, uint64_t size)
{
	int fd, error;

	snprintf(child->disk, sizeof(child->disk), "%s/disk", child->folder);
	fd = open(child->disk, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = ftruncate(fd, (off_t)size) ? -errno : 0;
	close(fd);
	return error;
}

/* 0 or -errno, which was said. */
static int make_disk(struct child *child, uint64_t size)
{
	const char *tmp = getenv("TMPDIR");
	int error;

	if (!tmp || !*tmp || strlen(tmp) > sizeof(child->folder) - sizeof("/vhu-XXXXXX"))
		tmp = "/tmp";
	error = check_room(tmp, size);
	if (error)
		return error;
	snprintf(child->folder, sizeof(child->folder), "%s/vhu-XXXXXX", tmp);
	if (mkdtemp(child->folder)) {
		error = make_file(child, size);
	} else {
		error = -errno;
		child->folder[0] = 0;
	}
	if (error)
		fprintf(stderr, "temporary disk: %s: %s; set TMPDIR to a folder that will do\n",
		        tmp, strerror(-error));
	return error;
}

/* In the child; returns only if the program can't be run. */
static void become(const struct child *child, const char *program, const char *const *args, int fd,
                   pid_t parent)
{
	char fd_option[16], disk_option[sizeof(child->disk) + 16];
	const char *argv[ARGS_MAX + 4] = { program, fd_option, disk_option };

	snprintf(fd_option, sizeof(fd_option), "--fd=%d", CHILD_FD);
	snprintf(disk_option, sizeof(disk_option), "--blk-file=%s", child->disk);
	for (unsigned i = 0; args && args[i] && i < ARGS_MAX; i++)
		argv[3 + i] = args[i];
	/* The parent may have ended before this was asked for. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(NOT_FOUND);
	/* Ctrl-C is for the parent, which ends this process in its own time. */
	setpgid(0, 0);
	if (fd == CHILD_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, CHILD_FD);
	execv(program, (char *const *)(uintptr_t)argv);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	_exit(NOT_FOUND);
}

int child_start(struct child *child, const char *program, uint64_t size, const char *const *args)
{
	pid_t parent = getpid();
	int pair[2], error;

	*child = (struct child){ .pid = -1, .fd = -1 };
	error = make_disk(child, size);
	if (error)
		return error;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		error = -errno;
		fprintf(stderr, "socketpair: %s\n", strerror(-error));
		return error;
	}
	child->pid = fork();
	if (child->pid == 0)
		become(child, program, args, pair[1], parent);
	close(pair[1]);
	child->fd = pair[0];
	return child->pid < 0 ? -errno : 0;
}

void child_unlink(struct child *child)
{
	if (child->disk[0])
		unlink(child->disk);
	if (child->folder[0])
		rmdir(child->folder);
	child->disk[0] = child->folder[0] = 0;
}

static void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

static bool wait_for(pid_t pid, int timeout_ms, int *status)
{
	for (int ms = 0; ms <= timeout_ms; ms += 5) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		sleep_ms(5);
	}
	return false;
}

bool child_stop(struct child *child, int timeout_ms)
{
	int status = -1;
	bool well = false;

	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	if (child->pid <= 0) {
		child_unlink(child);
		return false;
	}
	if (wait_for(child->pid, timeout_ms, &status)) {
		well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	} else {
		kill(child->pid, SIGTERM);
		if (!wait_for(child->pid, TERM_MS, &status)) {
			kill(child->pid, SIGKILL);
			waitpid(child->pid, &status, 0);
		}
	}
	child->pid = -1;
	child_unlink(child);
	return well;
}
