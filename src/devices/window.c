/* SPDX-License-Identifier: BSD-3-Clause */
#include "devices/window.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/iovec.h"

#define PAGE        4096u
#define CHUNK_PAGES 16u
#define CHUNK       (CHUNK_PAGES * PAGE)
/* Page tables are 2 MiB for each GiB that was looked at, and are never given back. */
#define LEN_MOST (UINT64_C(64) << 30)
/* More than that keeps the thread for long even where it is but copied. */
#define READ_MOST (UINT64_C(128) << 10)
/* A GiB of the file, in 128 KiB of memory. */
#define SEEN 16384u
/* A copy that took longer has slept; after it, none for so many times as long. */
#define SLOW_NS INT64_C(8000000)
#define PAUSE   10
#define WINDOWS 8u

/* What was in the page cache of a chunk when it was looked at. */
struct seen_chunk {
	uint32_t chunk;
	uint16_t when;
	uint16_t pages;
};

struct window_seen {
	int64_t from_ns; /* nothing is read before */
	struct seen_chunk chunks[SEEN];
};

struct window {
	char *base;
	uint64_t len;
	atomic_bool broken;
	atomic_uint forgets; /* times that parts of the file were given back */
};

/* For the handler. */
static _Atomic(struct window *) windows[WINDOWS];
static struct sigaction before;
static bool installed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct window *find(uintptr_t addr)
{
	for (unsigned i = 0; i < WINDOWS; i++) {
		/* acquire: its base and len; pairs with window_open() */
		struct window *window = atomic_load_explicit(&windows[i], memory_order_acquire);

		if (window && addr >= (uintptr_t)window->base &&
		    addr - (uintptr_t)window->base < window->len)
			return window;
	}
	return NULL;
}

/* Whoever has read zeros that were put there finds the window broken. */
static bool repair(const siginfo_t *info)
{
	uintptr_t addr = (uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1);
	struct window *window = info->si_code == BUS_ADRERR ? find(addr) : NULL;
	size_t left;

	if (!window)
		return false;
	atomic_store(&window->broken, true);
	left = window->len - (addr - (uintptr_t)window->base);
	return mmap((void *)addr, left, PROT_READ,
	            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
	const struct sigaction by_default = { .sa_handler = SIG_DFL };

	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(number, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(number);
	} else {
		/* The access is made once more, and ends the process where it stands. */
		sigaction(number, &by_default, NULL);
		if (info->si_code <= 0)
			raise(number);
	}
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	if (!repair(info))
		pass_on(number, info, context);
	errno = saved;
}

int window_install(void)
{
	const struct sigaction action = { .sa_sigaction = on_sigbus,
		                          .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int error = 0;

	pthread_mutex_lock(&lock);
	if (!installed && sigaction(SIGBUS, &action, &before) < 0)
		error = -errno;
	installed = !error;
	pthread_mutex_unlock(&lock);
	return error;
}

/* To others the kernel says that everything is there. */
static bool is_told(int fd)
{
	struct stat st;

	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR)
		return true;
	return fstat(fd, &st) == 0 && st.st_uid == geteuid();
}

static bool add_window(struct window *window)
{
	bool found = false;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; installed && i < WINDOWS && !found; i++) {
		found = !atomic_load_explicit(&windows[i], memory_order_relaxed);
		/* release: its base and len; pairs with find() */
		if (found)
			atomic_store_explicit(&windows[i], window, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return found;
}

struct window *window_open(int fd, uint64_t len)
{
	struct window *window = NULL;
	void *base;

	if (!len || len > LEN_MOST || sysconf(_SC_PAGESIZE) != PAGE || !is_told(fd))
		return NULL;
	base = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		return NULL;
	madvise(base, len, MADV_DONTDUMP);
	window = calloc(1, sizeof(*window));
	if (window) {
		window->base = base;
		window->len = len;
	}
	if (window && add_window(window))
		return window;
	munmap(base, len);
	free(window);
	return NULL;
}

void window_close(struct window *window)
{
	if (!window)
		return;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < WINDOWS; i++)
		if (atomic_load_explicit(&windows[i], memory_order_relaxed) == window)
			atomic_store_explicit(&windows[i], NULL, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	munmap(window->base, window->len);
	free(window);
}

struct window_seen *window_seen_new(void)
{
	return calloc(1, sizeof(struct window_seen));
}

void window_seen_free(struct window_seen *seen)
{
	free(seen);
}

void window_forget(struct window *window)
{
	atomic_fetch_add_explicit(&window->forgets, 1, memory_order_relaxed);
}

/* Good enough for seconds, and a tenth of the cost. */
static int64_t coarse_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Another one after a second, and after parts were given back. */
static uint16_t when(const struct window *window, int64_t now)
{
	unsigned forgets = atomic_load_explicit(&window->forgets, memory_order_relaxed);

	return (uint16_t)((unsigned)(now >> 30) + (forgets << 8));
}

static void look(const struct window *window, struct seen_chunk *seen, uint32_t chunk)
{
	uint64_t start = (uint64_t)chunk * CHUNK, left = window->len - start;
	unsigned char pages[CHUNK_PAGES] = { 0 };

	seen->pages = 0;
	if (mincore(window->base + start, left < CHUNK ? left : CHUNK, pages) < 0)
		return;
	for (unsigned i = 0; i < CHUNK_PAGES; i++)
		seen->pages |= (uint16_t)((pages[i] & 1u) << i);
}

/* Whether all pages of the part of a chunk are there. */
static bool chunk_is_there(const struct window *window, struct window_seen *all, uint64_t first,
                           uint64_t last, uint16_t now)
{
	uint32_t chunk = (uint32_t)(first / CHUNK);
	struct seen_chunk *seen = &all->chunks[chunk % SEEN];
	unsigned from = first / PAGE % CHUNK_PAGES, to = last / PAGE % CHUNK_PAGES;
	uint16_t wanted = (uint16_t)((2u << to) - (1u << from));

	if (seen->chunk != chunk || seen->when != now) {
		look(window, seen, chunk);
		seen->chunk = chunk;
		seen->when = now;
	}
	return (seen->pages & wanted) == wanted;
}

static bool is_there(const struct window *window, struct window_seen *seen, uint64_t offset,
                     uint64_t len, uint16_t now)
{
	uint64_t last = offset + len - 1;

	while (offset <= last) {
		uint64_t end = offset | (CHUNK - 1);

		if (!chunk_is_there(window, seen, offset, end < last ? end : last, now))
			return false;
		offset = end + 1;
	}
	return true;
}

bool window_read(struct window *window, struct window_seen *seen, uint64_t offset, uint64_t len,
                 const struct iovec *iov, unsigned n)
{
	int64_t start, took;

	if (!len || len > READ_MOST || len > window->len || offset > window->len - len)
		return false;
	start = coarse_ns();
	if (start < seen->from_ns || atomic_load_explicit(&window->broken, memory_order_relaxed) ||
	    !is_there(window, seen, offset, len, when(window, start)))
		return false;
	iovec_write(iov, n, window->base + offset, len);
	took = coarse_ns() - start;
	if (took > SLOW_NS)
		seen->from_ns = start + took + took * PAUSE;
	/* The copy comes before the look; pairs with repair(). */
	atomic_thread_fence(memory_order_acquire);
	return !atomic_load_explicit(&window->broken, memory_order_relaxed);
}
