/* SPDX-License-Identifier: BSD-3-Clause */
/* What is refused once the program is confined, and what goes on. Each case in a
 * process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"

/* Each 0 or -errno; run in a child, so they may leave things behind. */
static int result_of(long ret)
{
	return ret < 0 ? -errno : 0;
}

static int call_open(void)
{
	return result_of(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int call_open_old_way(void)
{
#ifdef SYS_open
	return result_of(syscall(SYS_open, "/etc/passwd", O_RDONLY));
#else
	return -EPERM;
#endif
}

static int call_create(void)
{
	return result_of(open("made-in-the-sandbox", O_CREAT | O_RDWR | O_CLOEXEC, 0600));
}

static int call_exec(void)
{
	char *const nothing[] = { NULL };

	return result_of(execve("/bin/true", nothing, nothing));
}

static int call_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result_of(pid);
}

static int call_socket(void)
{
	return result_of(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int call_ptrace(void)
{
	return result_of(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int call_kill(void)
{
	return result_of(kill(getppid(), 0));
}

static int call_setuid(void)
{
	return result_of(setuid(getuid()));
}

static int call_map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
	               -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

static int call_make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : result_of(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int call_tty(void)
{
	return result_of(syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, ""));
}

static int call_ring(void)
{
	/* With nonsense it fails otherwise where it is allowed. */
	return result_of(syscall(SYS_io_uring_setup, 0, NULL));
}

static int call_rename(void)
{
	return result_of(rename("no-such-file", "no-such-file-either"));
}

static int call_unlink(void)
{
	return result_of(unlink("no-such-file"));
}

static int call_new_file(void)
{
	char name[] = "made-in-the-sandbox-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	error = result_of(fchmod(fd, 0600));
	if (!error)
		error = result_of(rename(name, "made-in-the-sandbox"));
	return error ? error : result_of(unlink("made-in-the-sandbox"));
}

static void *nothing(void *arg)
{
	return arg;
}

static int call_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, nothing, NULL);

	return error ? -error : -pthread_join(thread, NULL);
}

static int call_memory(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = malloc(10 << 20);

	if (p == MAP_FAILED || !q)
		return -ENOMEM;
	memset(p, 1, 1 << 20);
	memset(q, 1, 10 << 20);
	free(q);
	return result_of(munmap(p, 1 << 20));
}

static int call_events(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int error = result_of(fd);

	if (!error)
		error = result_of(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	return error;
}

static const struct sandbox_needs nothing_needed;
static const struct sandbox_needs ring_needed = { .io_uring = true };
static const struct sandbox_needs files_needed = { .new_files = true };
static const struct sandbox_needs removal_needed = { .removal = true };

static const struct {
	const char *name;
	int (*call)(void);
	const struct sandbox_needs *needs;
	int want;
} cases[] = {
	{ "open", call_open, &files_needed, -EPERM },
	{ "open, the old call", call_open_old_way, &files_needed, -EPERM },
	{ "open or create", call_create, &files_needed, -EPERM },
	{ "execve", call_exec, &files_needed, -EPERM },
	{ "fork", call_fork, &nothing_needed, -EPERM },
	{ "socket", call_socket, &nothing_needed, -EPERM },
	{ "ptrace", call_ptrace, &nothing_needed, -EPERM },
	{ "kill", call_kill, &nothing_needed, -EPERM },
	{ "setuid", call_setuid, &nothing_needed, -EPERM },
	{ "mmap of code", call_map_code, &nothing_needed, -EPERM },
	{ "mprotect to code", call_make_code, &nothing_needed, -EPERM },
	{ "ioctl", call_tty, &nothing_needed, -EPERM },
	{ "io_uring_setup", call_ring, &nothing_needed, -EPERM },
	{ "rename", call_rename, &removal_needed, -EPERM },
	{ "unlink", call_unlink, &nothing_needed, -EPERM },
	{ "a new file", call_new_file, &nothing_needed, -EPERM },
	{ "a new file that is needed", call_new_file, &files_needed, 0 },
	{ "unlink that is needed", call_unlink, &removal_needed, -ENOENT },
	{ "a thread", call_thread, &nothing_needed, 0 },
	{ "memory", call_memory, &nothing_needed, 0 },
	{ "events", call_events, &nothing_needed, 0 },
};

/* In a child: what the call came to, or 200 if there is no sandbox. */
static int in_child(int (*child)(const void *), const void *arg)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(20);
		_exit(child(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int run_case(const void *arg)
{
	unsigned i = *(const unsigned *)arg;

	if (sandbox_enter(cases[i].needs))
		return 200;
	return -cases[i].call();
}

static void what_is_not_needed_is_refused(void **state)
{
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int got = in_child(run_case, &i);

		if (got != -cases[i].want)
			fail_msg("%s: %s", cases[i].name, got < 200 ? strerror(got) : "no sandbox");
	}
}

static int run_free(const void *arg)
{
	return -cases[*(const unsigned *)arg].call();
}

/* A case shows something only where its call does something else outside. */
static void most_of_it_can_be_done_outside(void **state)
{
	unsigned forbidden = 0;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].call == call_tty || in_child(run_free, &i) != EPERM)
			continue;
		print_message("%s is forbidden on this host\n", cases[i].name);
		forbidden++;
	}
	assert_true(forbidden < 5);
	unlink("made-in-the-sandbox");
}

static int run_ring(const void *arg)
{
	(void)arg;
	return sandbox_enter(&ring_needed) ? 200 : -call_ring();
}

static int run_ring_free(const void *arg)
{
	(void)arg;
	return -call_ring();
}

static void a_ring_can_be_had_where_it_is_needed(void **state)
{
	/* What it says to nonsense, or what a host says that has none. */
	assert_int_equal(in_child(run_ring, NULL), in_child(run_ring_free, NULL));
}

struct early {
	pthread_barrier_t entered;
	int result;
};

static void *early_thread(void *arg)
{
	struct early *early = arg;

	pthread_barrier_wait(&early->entered);
	early->result = call_open();
	return NULL;
}

static int run_early(const void *arg)
{
	struct early early;
	pthread_t thread;

	(void)arg;
	pthread_barrier_init(&early.entered, NULL, 2);
	if (pthread_create(&thread, NULL, early_thread, &early) || sandbox_enter(&nothing_needed))
		return 200;
	pthread_barrier_wait(&early.entered);
	pthread_join(thread, NULL);
	return -early.result;
}

static void threads_that_run_already_are_confined_too(void **state)
{
	assert_int_equal(in_child(run_early, NULL), EPERM);
}

static int run_privileges(const void *arg)
{
	(void)arg;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))
		return 201;
	return sandbox_enter(&nothing_needed) ? 200 : 0;
}

static int has_no_new_privileges(const void *arg)
{
	char line[200];
	int found = 0;
	FILE *file = fopen("/proc/self/status", "re");

	(void)arg;
	if (!file || sandbox_enter(&nothing_needed))
		return 200;
	while (fgets(line, sizeof(line), file))
		found |= !strcmp(line, "NoNewPrivs:\t1\n");
	return found;
}

static void no_new_privileges_can_be_had(void **state)
{
	if (in_child(run_privileges, NULL) == 201)
		skip();
	assert_int_equal(in_child(has_no_new_privileges, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(most_of_it_can_be_done_outside),
		cmocka_unit_test(what_is_not_needed_is_refused),
		cmocka_unit_test(a_ring_can_be_had_where_it_is_needed),
		cmocka_unit_test(threads_that_run_already_are_confined_too),
		cmocka_unit_test(no_new_privileges_can_be_had),
	};

	if (sandbox_absent()) {
		printf("not confined: %s\n", sandbox_absent());
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
