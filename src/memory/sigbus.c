/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registry is a chain of blocks of slots that only grows, so that the
 * handler walks it without a lock. A slot may change while the handler looks at
 * it, for it belongs to another mapping then: a version tells, odd while it
 * changes. The faulting thread's own slot does not change: it is in use.
 *
 * In the handler: atomics, mmap(2), sigaction(2) and raise(3), nothing else.
 */
#include "memory/sigbus.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vhu/sigbus.h>

#include "base/export.h"

#define BLOCK_SLOTS 64u

/* Only then may a handler use them. */
static_assert(ATOMIC_POINTER_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2 &&
                      ATOMIC_BOOL_LOCK_FREE == 2,
              "atomics without locks");

struct sigbus_slot {
	atomic_uint version; /* odd: being changed */
	atomic_uintptr_t start;
	atomic_uintptr_t last;
	_Atomic(struct sigbus_range *) range; /* NULL: free */
};

struct block {
	struct sigbus_slot slots[BLOCK_SLOTS];
	_Atomic(struct block *) next;
};

atomic_uint sigbus_fault_count;

static struct block first_block;
/* Who writes to slots or appends a block, or installs the handler, holds it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static bool installed;

/*
 * Release: whoever reads one of the values written here finds the version odd,
 * or moved on, when it reads that again.
 */
static void slot_set(struct sigbus_slot *slot, struct sigbus_range *range)
{
	unsigned version = atomic_load_explicit(&slot->version, memory_order_relaxed);
	uintptr_t start = range ? (uintptr_t)range->start : 0;
	uintptr_t last = range ? start + (range->len - 1) : 0;

	atomic_store_explicit(&slot->version, version + 1, memory_order_relaxed);
	atomic_store_explicit(&slot->start, start, memory_order_release);
	atomic_store_explicit(&slot->last, last, memory_order_release);
	atomic_store_explicit(&slot->range, range, memory_order_release);
	atomic_store_explicit(&slot->version, version + 2, memory_order_release);
}

/* The range at @addr if it is this slot's; NULL also if the slot is being changed. */
static struct sigbus_range *slot_find(struct sigbus_slot *slot, uintptr_t addr)
{
	/* acquire, all of them: they are read in this order; pairs with slot_set() */
	unsigned version = atomic_load_explicit(&slot->version, memory_order_acquire);
	uintptr_t start = atomic_load_explicit(&slot->start, memory_order_acquire);
	uintptr_t last = atomic_load_explicit(&slot->last, memory_order_acquire);
	struct sigbus_range *range = atomic_load_explicit(&slot->range, memory_order_acquire);

	if (!range || addr < start || addr > last || version % 2)
		return NULL;
	if (atomic_load_explicit(&slot->version, memory_order_relaxed) != version)
		return NULL;
	return range;
}

static struct block *block_next(struct block *block)
{
	/* acquire: its slots; pairs with take_slot() */
	return atomic_load_explicit(&block->next, memory_order_acquire);
}

static struct sigbus_range *find(uintptr_t addr)
{
	for (struct block *block = &first_block; block; block = block_next(block))
		for (unsigned i = 0; i < BLOCK_SLOTS; i++) {
			struct sigbus_range *range = slot_find(&block->slots[i], addr);

			if (range)
				return range;
		}
	return NULL;
}

/* A free slot, or NULL: no memory. Under the lock. */
static struct sigbus_slot *take_slot(void)
{
	struct block *block = &first_block;

	for (;;) {
		struct block *next = block_next(block);

		for (unsigned i = 0; i < BLOCK_SLOTS; i++)
			if (!atomic_load_explicit(&block->slots[i].range, memory_order_relaxed))
				return &block->slots[i];
		if (!next) {
			next = calloc(1, sizeof(*next));
			if (!next)
				return NULL;
			atomic_store_explicit(&block->next, next, memory_order_release);
		}
		block = next;
	}
}

int sigbus_watch(struct sigbus_range *range, void *start, size_t len, size_t page)
{
	assert(len && page && !(page & (page - 1)));
	range->start = start;
	range->len = len;
	range->page = page;
	atomic_init(&range->broken, false);
	pthread_mutex_lock(&lock);
	range->slot = take_slot();
	if (range->slot)
		slot_set(range->slot, range);
	pthread_mutex_unlock(&lock);
	return range->slot ? 0 : -ENOMEM;
}

void sigbus_unwatch(struct sigbus_range *range)
{
	pthread_mutex_lock(&lock);
	slot_set(range->slot, NULL);
	pthread_mutex_unlock(&lock);
	range->slot = NULL;
}

/*
 * One fault a region rather than one a page: where one page is gone, those
 * behind it are, too, and the session ends in any case.
 */
static bool repair(const siginfo_t *info)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	struct sigbus_range *range;
	size_t offset;

	if (info->si_code != BUS_ADRERR)
		return false;
	range = find(addr);
	if (!range)
		return false;
	offset = (addr - (uintptr_t)range->start) & ~(range->page - 1);
	if (mmap(range->start + offset, range->len - offset, PROT_READ | PROT_WRITE,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return false;
	atomic_store_explicit(&range->broken, true, memory_order_relaxed);
	/* release: the mark; pairs with sigbus_faults() */
	atomic_fetch_add_explicit(&sigbus_fault_count, 1, memory_order_release);
	return true;
}

/* Not caused by what the thread was doing: returning does not bring it again. */
static bool is_asynchronous(const siginfo_t *info)
{
	return info->si_code <= 0 || info->si_code == BUS_MCEERR_AO;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
	const struct sigaction by_default = { .sa_handler = SIG_DFL };

	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(number, info, context);
		return;
	}
	if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(number);
		return;
	}
	if (before.sa_handler == SIG_IGN && is_asynchronous(info))
		return;
	/* The access is made once more, and ends the process where it stands. */
	sigaction(number, &by_default, NULL);
	if (is_asynchronous(info))
		raise(number);
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	int saved = errno;

	if (!repair(info))
		pass_on(number, info, context);
	errno = saved;
}

/* What the handler before wanted for itself holds here, too, for it is called from here. */
static int install(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus };

	if (sigaction(SIGBUS, NULL, &before) < 0)
		return -errno;
	action.sa_mask = before.sa_mask;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_NODEFER | SA_RESTART));
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

VHU_EXPORT int vhu_sigbus_install(void)
{
	int error = 0;

	pthread_mutex_lock(&lock);
	if (!installed)
		error = install();
	installed = !error;
	pthread_mutex_unlock(&lock);
	return error;
}
