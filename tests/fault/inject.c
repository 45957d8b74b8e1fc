/* SPDX-License-Identifier: BSD-3-Clause */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

static _Thread_local enum inject_side my_side;

static _Atomic bool armed;
static _Atomic int armed_side;
static _Atomic unsigned calls, fail_at;
static _Atomic bool fail_on;
static _Atomic(const char *) failed;
static _Atomic long blocks, mapped;

void inject_set_side(enum inject_side side)
{
	my_side = side;
}

void inject_arm(enum inject_side side, unsigned n, bool lasting)
{
	atomic_store(&armed_side, (int)side);
	atomic_store(&calls, 0);
	atomic_store(&fail_at, n);
	atomic_store(&fail_on, lasting);
	atomic_store(&failed, NULL);
	atomic_store(&armed, true);
}

unsigned inject_disarm(void)
{
	atomic_store(&armed, false);
	return atomic_load(&calls);
}

const char *inject_failed(void)
{
	return atomic_load(&failed);
}

struct inject_held inject_held(void)
{
	return (struct inject_held){ atomic_load(&blocks), atomic_load(&mapped) };
}

/* Whether this call is to fail. */
static bool fails(const char *name)
{
	const char *none = NULL;
	unsigned at = atomic_load(&fail_at), now;

	if (!atomic_load(&armed) || (int)my_side != atomic_load(&armed_side))
		return false;
	now = atomic_fetch_add(&calls, 1) + 1;
	if (!at || now < at || (now > at && !atomic_load(&fail_on)))
		return false;
	atomic_compare_exchange_strong(&failed, &none, name);
	return true;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static void *fail_null(int error)
{
	errno = error;
	return NULL;
}

static void *block(void *ptr)
{
	if (ptr)
		atomic_fetch_add(&blocks, 1);
	return ptr;
}

/* Declares the real function and its place-holder; the body follows. */
#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAP(void, free, void *ptr)
{
	if (ptr)
		atomic_fetch_sub(&blocks, 1);
	__real_free(ptr);
}

WRAP(void *, malloc, size_t size)
{
	return fails("malloc") ? fail_null(ENOMEM) : block(__real_malloc(size));
}

WRAP(void *, calloc, size_t n, size_t size)
{
	return fails("calloc") ? fail_null(ENOMEM) : block(__real_calloc(n, size));
}

WRAP(void *, realloc, void *ptr, size_t size)
{
	void *now;

	if (fails("realloc"))
		return fail_null(ENOMEM);
	now = __real_realloc(ptr, size);
	return ptr ? now : block(now);
}

WRAP(void *, aligned_alloc, size_t align, size_t size)
{
	return fails("aligned_alloc") ? fail_null(ENOMEM)
	                              : block(__real_aligned_alloc(align, size));
}

WRAP(int, posix_memalign, void **ret, size_t align, size_t size)
{
	int error;

	if (fails("posix_memalign"))
		return ENOMEM;
	error = __real_posix_memalign(ret, align, size);
	if (!error)
		block(*ret);
	return error;
}

WRAP(char *, strdup, const char *text)
{
	return fails("strdup") ? fail_null(ENOMEM) : block(__real_strdup(text));
}

/* Bytes, for what is mapped at once may go in pieces. What takes another's place is not more. */
WRAP(void *, mmap64, void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *map;

	if (fails("mmap")) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	map = __real_mmap64(addr, len, prot, flags, fd, offset);
	if (map != MAP_FAILED && !(flags & MAP_FIXED))
		atomic_fetch_add(&mapped, (long)len);
	return map;
}

WRAP(int, munmap, void *addr, size_t len)
{
	atomic_fetch_sub(&mapped, (long)len);
	return __real_munmap(addr, len);
}

WRAP(int, memfd_create, const char *name, unsigned flags)
{
	return fails("memfd_create") ? fail(EMFILE) : __real_memfd_create(name, flags);
}

WRAP(int, ftruncate64, int fd, off_t size)
{
	return fails("ftruncate") ? fail(ENOSPC) : __real_ftruncate64(fd, size);
}

WRAP(int, eventfd, unsigned count, int flags)
{
	return fails("eventfd") ? fail(EMFILE) : __real_eventfd(count, flags);
}

WRAP(int, timerfd_create, int clock, int flags)
{
	return fails("timerfd_create") ? fail(EMFILE) : __real_timerfd_create(clock, flags);
}

WRAP(int, epoll_create1, int flags)
{
	return fails("epoll_create1") ? fail(EMFILE) : __real_epoll_create1(flags);
}

/* Changing and removing what is there can't fail. */
WRAP(int, epoll_ctl, int epoll, int op, int fd, struct epoll_event *event)
{
	if (op == EPOLL_CTL_ADD && fails("epoll_ctl"))
		return fail(ENOSPC);
	return __real_epoll_ctl(epoll, op, fd, event);
}

WRAP(ssize_t, recvmsg, int fd, struct msghdr *msg, int flags)
{
	return fails("recvmsg") ? fail(ENOMEM) : __real_recvmsg(fd, msg, flags);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *msg, int flags)
{
	return fails("sendmsg") ? fail(ENOBUFS) : __real_sendmsg(fd, msg, flags);
}

WRAP(int, accept4, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return fails("accept4") ? fail(EMFILE) : __real_accept4(fd, addr, len, flags);
}

WRAP(int, socketpair, int domain, int type, int protocol, int fds[2])
{
	return fails("socketpair") ? fail(EMFILE) : __real_socketpair(domain, type, protocol, fds);
}

int __real_fcntl64(int fd, int op, ...);
int __wrap_fcntl64(int fd, int op, ...);
int __wrap_fcntl64(int fd, int op, ...)
{
	va_list args;
	void *arg;

	va_start(args, op);
	arg = va_arg(args, void *);
	va_end(args);
	if (op == F_DUPFD_CLOEXEC && fails("fcntl(F_DUPFD_CLOEXEC)"))
		return fail(EMFILE);
	return __real_fcntl64(fd, op, arg);
}

WRAP(ssize_t, pread64, int fd, void *to, size_t len, off_t offset)
{
	return fails("pread") ? fail(EIO) : __real_pread64(fd, to, len, offset);
}

/* Without an offset it is no disk that is read. */
WRAP(ssize_t, preadv64v2, int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return offset >= 0 && fails("preadv2") ? fail(EIO)
	                                       : __real_preadv64v2(fd, iov, n, offset, flags);
}

WRAP(ssize_t, pwritev64v2, int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	return fails("pwritev2") ? fail(EIO) : __real_pwritev64v2(fd, iov, n, offset, flags);
}

WRAP(int, fdatasync, int fd)
{
	return fails("fdatasync") ? fail(EIO) : __real_fdatasync(fd);
}

WRAP(int, pthread_create, pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *),
     void *arg)
{
	return fails("pthread_create") ? EAGAIN : __real_pthread_create(ret, attr, run, arg);
}

WRAP(int, io_uring_queue_init_params, unsigned entries, struct io_uring *ring,
     struct io_uring_params *params)
{
	return fails("io_uring_setup") ? -ENOMEM
	                               : __real_io_uring_queue_init_params(entries, ring, params);
}

WRAP(int, io_uring_submit, struct io_uring *ring)
{
	return fails("io_uring_enter") ? -ENOMEM : __real_io_uring_submit(ring);
}
