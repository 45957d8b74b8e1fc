/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A list of system calls by libseccomp. What is not on it fails with EPERM rather
 * than ending the process: a guest's disk is not to die of a C library that has
 * changed its ways. What io_uring does on our behalf no list sees, so a ring can
 * be had only where the engine needs one.
 */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

static const int always[] = {
	/* Files that are open. */
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(pread64),
	CALL(pwrite64),
	CALL(preadv),
	CALL(pwritev),
	CALL(preadv2),
	CALL(pwritev2),
	CALL(fsync),
	CALL(fdatasync),
	CALL(fallocate),
	CALL(lseek),
	CALL(close),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fstatfs),
	CALL(lstat),
	CALL(fcntl),
	/* Sockets and what is waited for. */
	CALL(accept4),
	CALL(recvmsg),
	CALL(sendmsg),
	CALL(recvfrom),
	CALL(sendto),
	CALL(getsockopt),
	CALL(getpeername),
	CALL(getsockname),
	CALL(shutdown),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(poll),
	CALL(ppoll),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	/* Memory; mmap() and mprotect() see below. */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(mincore),
	/* Threads and time; clone() see below. */
	CALL(futex),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(exit),
	CALL(exit_group),
	CALL(restart_syscall),
	CALL(clock_gettime),
	CALL(clock_nanosleep),
	CALL(nanosleep),
	CALL(alarm),
	CALL(setitimer),
	CALL(gettimeofday),
	CALL(getrandom),
	/* Signals, and the end by abort(). */
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigaltstack),
	CALL(getpid),
	CALL(gettid),
};

static const int for_io_uring[] = {
	CALL(io_uring_setup),
	CALL(io_uring_enter),
	CALL(io_uring_register),
};

static const int for_new_files[] = {
	CALL(fchmod),    CALL(umask),  CALL(rename),   CALL(renameat),
	CALL(renameat2), CALL(unlink), CALL(unlinkat),
};

static const int for_removal[] = { CALL(unlink), CALL(unlinkat) };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A call that this architecture does not have is none to allow. */
static int allow(scmp_filter_ctx filter, int call, unsigned n, const struct scmp_arg_cmp *args)
{
	int error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, n, args);

	return error == -EDOM || call < 0 ? 0 : error;
}

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int error = 0;

	for (size_t i = 0; i < n && !error; i++)
		error = allow(filter, calls[i], 0, NULL);
	return error;
}

/* Only with bits of @mask in argument @arg equal to @bits. */
static int allow_bits(scmp_filter_ctx filter, int call, unsigned arg, scmp_datum_t mask,
                      scmp_datum_t bits)
{
	const struct scmp_arg_cmp compare = { arg, SCMP_CMP_MASKED_EQ, mask, bits };

	return allow(filter, call, 1, &compare);
}

static int allow_ioctls(scmp_filter_ctx filter)
{
	static const scmp_datum_t requests[] = { BLKGETSIZE64, BLKDISCARD };
	int error = 0;

	for (size_t i = 0; i < COUNT(requests) && !error; i++)
		error = allow_bits(filter, CALL(ioctl), 1, UINT32_MAX, requests[i]);
	return error;
}

/* Threads and no processes. What clone3() is to do can't be seen: libc then uses clone(). */
static int allow_threads(scmp_filter_ctx filter)
{
	int error = allow_bits(filter, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);

	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
	return error;
}

/* Nothing that can be written is ever run. */
static int allow_memory(scmp_filter_ctx filter)
{
	int error = allow_bits(filter, CALL(mmap), 2, PROT_EXEC, 0);

	return error ? error : allow_bits(filter, CALL(mprotect), 2, PROT_EXEC, 0);
}

static int allow_new_files(scmp_filter_ctx filter)
{
	int error = allow_bits(filter, CALL(openat), 2, O_CREAT | O_EXCL, O_CREAT | O_EXCL);

	return error ? error : allow_all(filter, for_new_files, COUNT(for_new_files));
}

/* abort() signals its own process. */
static int allow_own_signals(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp own = { 0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0 };

	return allow(filter, CALL(tgkill), 1, &own);
}

static int fill(scmp_filter_ctx filter, const struct sandbox_needs *needs)
{
	int error = allow_all(filter, always, COUNT(always));

	if (!error)
		error = allow_memory(filter);
	if (!error)
		error = allow_threads(filter);
	if (!error)
		error = allow_ioctls(filter);
	if (!error)
		error = allow_own_signals(filter);
	if (!error && needs->io_uring)
		error = allow_all(filter, for_io_uring, COUNT(for_io_uring));
	if (!error && needs->new_files)
		error = allow_new_files(filter);
	if (!error && needs->removal)
		error = allow_all(filter, for_removal, COUNT(for_removal));
	return error;
}

const char *sandbox_absent(void)
{
	return NULL;
}

int sandbox_enter(const struct sandbox_needs *needs)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error;

	if (!filter)
		return -ENOMEM;
	/* For threads that run already, too; and without CAP_SYS_ADMIN. */
	error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	/* Kernels before 5.16 else slow the process down, for the sake of foreign code in it. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (!error)
		error = fill(filter, needs);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}
