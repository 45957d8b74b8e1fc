/* SPDX-License-Identifier: BSD-3-Clause */
#include "vring/driver.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vring/layout.h"
#include "vring/notify.h"

/* The state of a descriptor, where no device can write. */
struct slot {
	void *token;
	uint16_t next;  /* of the chain, or of the free list */
	uint16_t count; /* descriptors of the chain, if a head that is outstanding; else 0 */
	uint32_t added; /* heads: their place in the order of all that was added */
	uint32_t room;  /* heads: bytes for the device to write */
};

struct vring_driver {
	struct vring_driver_config config;
	struct ring_desc *desc;
	uint16_t free_head;
	uint16_t free_count;
	uint16_t outstanding; /* chains, shown or not */
	uint16_t avail_index; /* of the next chain to add */
	uint16_t shown;       /* what the device has been shown of it */
	uint16_t used_index;  /* of the next element to take */
	uint32_t added;       /* chains so far */
	struct slot slots[];
};

static bool is_aligned(const void *ptr, unsigned align)
{
	return ptr && (uintptr_t)ptr % align == 0;
}

static int config_check(const struct vring_driver_config *config)
{
	uint16_t num = config->num;

	if (!num || num > 32768 || (num & (num - 1)))
		return -EINVAL;
	if (!is_aligned(config->desc, RING_DESC_ALIGN) ||
	    !is_aligned(config->avail, RING_AVAIL_ALIGN) ||
	    !is_aligned(config->used, RING_USED_ALIGN))
		return -EINVAL;
	if (config->tables && !config->table_entries)
		return -EINVAL;
	return 0;
}

int vring_driver_new(const struct vring_driver_config *config, struct vring_driver **ret)
{
	uint16_t num = config->num;
	struct vring_driver *driver;
	int error = config_check(config);

	if (error)
		return error;
	driver = calloc(1, sizeof(*driver) + num * sizeof(driver->slots[0]));
	if (!driver)
		return -ENOMEM;
	driver->config = *config;
	driver->desc = config->desc;
	driver->free_count = num;
	for (uint16_t i = 0; i < num; i++)
		driver->slots[i].next = (uint16_t)(i + 1);
	memset(config->desc, 0, desc_table_size(num));
	memset(config->avail, 0, avail_ring_size(num, config->event_idx));
	memset(config->used, 0, used_ring_size(num, config->event_idx));
	*ret = driver;
	return 0;
}

void vring_driver_free(struct vring_driver *driver)
{
	free(driver);
}

static uint16_t *field16(void *part, uint32_t offset)
{
	return (uint16_t *)(void *)((char *)part + offset);
}

static uint32_t room_of(const struct vring_buffer *buffers, unsigned n)
{
	uint64_t room = 0;

	for (unsigned i = 0; i < n; i++)
		room += buffers[i].writable ? buffers[i].len : 0;
	return room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;
}

static bool buffers_are_valid(const struct vring_buffer *buffers, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		if (buffers[i - 1].writable && !buffers[i].writable)
			return false;
	return n != 0;
}

static void write_desc(struct ring_desc *desc, const struct vring_buffer *buffer, bool last,
                       uint16_t next)
{
	uint16_t flags = (buffer->writable ? DESC_WRITE : 0) | (last ? 0 : DESC_NEXT);

	*desc = (struct ring_desc){
		.addr = htole64(buffer->addr),
		.len = htole32(buffer->len),
		.flags = htole16(flags),
		.next = htole16(last ? 0 : next),
	};
}

/* Takes @n slots from the free list; the head is the first of them. */
static uint16_t take_slots(struct vring_driver *driver, unsigned n, void *token)
{
	uint16_t head = driver->free_head, after = head;

	for (unsigned i = 0; i < n; i++)
		after = driver->slots[after].next;
	driver->free_head = after;
	driver->free_count -= (uint16_t)n;
	driver->slots[head].token = token;
	driver->slots[head].count = (uint16_t)n;
	return head;
}

static uint16_t add_direct(struct vring_driver *driver, const struct vring_buffer *buffers,
                           unsigned n, void *token)
{
	uint16_t head = take_slots(driver, n, token), at = head;

	for (unsigned i = 0; i < n; i++) {
		uint16_t next = driver->slots[at].next;

		write_desc(&driver->desc[at], &buffers[i], i + 1 == n, next);
		at = next;
	}
	return head;
}

static uint16_t add_indirect(struct vring_driver *driver, const struct vring_buffer *buffers,
                             unsigned n, void *token)
{
	uint16_t head = take_slots(driver, 1, token);
	size_t first = (size_t)head * driver->config.table_entries;
	struct ring_desc *table = (struct ring_desc *)driver->config.tables + first;

	for (unsigned i = 0; i < n; i++)
		write_desc(&table[i], &buffers[i], i + 1 == n, (uint16_t)(i + 1));
	driver->desc[head] = (struct ring_desc){
		.addr = htole64(driver->config.tables_addr + first * sizeof(*table)),
		.len = htole32(n * (uint32_t)sizeof(*table)),
		.flags = htole16(DESC_INDIRECT),
	};
	return head;
}

static void write_avail(struct vring_driver *driver, uint16_t index, uint16_t head)
{
	const struct vring_driver_config *config = &driver->config;

	__atomic_store_n(field16(config->avail, avail_entry_offset(config->num, index)),
	                 htole16(head), __ATOMIC_RELAXED);
}

int vring_driver_add(struct vring_driver *driver, const struct vring_buffer *buffers, unsigned n,
                     void *token)
{
	const struct vring_driver_config *config = &driver->config;
	/* A table is no way around the ring's size (2.7.5.3.1). */
	bool indirect = config->tables && n > 1 && n <= config->table_entries && n <= config->num;
	uint16_t head;

	if (!buffers_are_valid(buffers, n))
		return -EINVAL;
	if (driver->free_count < (indirect ? 1 : n))
		return -ENOSPC;
	head = indirect ? add_indirect(driver, buffers, n, token)
	                : add_direct(driver, buffers, n, token);
	driver->slots[head].added = driver->added++;
	driver->slots[head].room = room_of(buffers, n);
	write_avail(driver, driver->avail_index, head);
	driver->avail_index++;
	driver->outstanding++;
	return 0;
}

bool vring_driver_kick_needed(struct vring_driver *driver)
{
	const struct vring_driver_config *config = &driver->config;
	uint16_t old = driver->shown, new = driver->avail_index, event, flags;

	if (new == old)
		return false;
	/* The chains before the index: pairs with the device's load of it. */
	__atomic_store_n(field16(config->avail, RING_INDEX_OFFSET), htole16(new), __ATOMIC_RELEASE);
	driver->shown = new;
	/* Our index is shown before the device's wish is looked at; pairs with vring_arm(). */
	notify_fence();
	if (config->event_idx) {
		event = __atomic_load_n(field16(config->used, avail_event_offset(config->num)),
		                        __ATOMIC_RELAXED);
		return notify_passed(le16toh(event), new, old);
	}
	flags = __atomic_load_n(field16(config->used, RING_FLAGS_OFFSET), __ATOMIC_RELAXED);
	return !(le16toh(flags) & USED_NO_KICK);
}

static uint16_t used_shown(const struct vring_driver *driver)
{
	return le16toh(
		__atomic_load_n(field16(driver->config.used, RING_INDEX_OFFSET), __ATOMIC_ACQUIRE));
}

static void *free_chain(struct vring_driver *driver, uint16_t head)
{
	uint16_t tail = head;

	for (unsigned i = 1; i < driver->slots[head].count; i++)
		tail = driver->slots[tail].next;
	driver->slots[tail].next = driver->free_head;
	driver->free_head = head;
	driver->free_count += driver->slots[head].count;
	driver->slots[head].count = 0;
	driver->outstanding--;
	return driver->slots[head].token;
}

/* The copy is what counts: the compiler must not load again. */
static struct ring_used_elem read_used(const struct vring_driver *driver, uint16_t index)
{
	const struct vring_driver_config *config = &driver->config;
	struct ring_used_elem elem;

	memcpy(&elem, (char *)config->used + used_elem_offset(config->num, index), sizeof(elem));
	atomic_signal_fence(memory_order_seq_cst);
	elem.id = le32toh(elem.id);
	elem.len = le32toh(elem.len);
	return elem;
}

static bool is_head(const struct vring_driver *driver, uint32_t id)
{
	return id < driver->config.num && driver->slots[id].count;
}

bool vring_driver_get(struct vring_driver *driver, void **ret_token, uint32_t *ret_written,
                      int *ret_error)
{
	uint16_t ready = (uint16_t)(used_shown(driver) - driver->used_index);
	struct ring_used_elem elem;
	uint32_t room;

	*ret_error = 0;
	if (!ready)
		return false;
	elem = read_used(driver, driver->used_index);
	if (ready > driver->outstanding || !is_head(driver, elem.id)) {
		*ret_error = -EPROTO;
		return false;
	}
	driver->used_index++;
	room = driver->slots[elem.id].room;
	*ret_token = free_chain(driver, (uint16_t)elem.id);
	*ret_written = elem.len < room ? elem.len : room;
	return true;
}

/* What is to be made available once more. */
struct again {
	uint16_t head;
	uint32_t age; /* the older, the greater */
};

static int by_age(const void *a, const void *b)
{
	const struct again *x = a, *y = b;

	return x->age > y->age ? -1 : x->age < y->age;
}

/* Chains in the order they were added, those left out that were used up to @end. */
static int list_unused(const struct vring_driver *driver, uint16_t end, struct again *list,
                       bool *used, uint16_t *ret_n)
{
	uint16_t n = 0;

	for (uint16_t at = driver->used_index; at != end; at++) {
		uint32_t id = read_used(driver, at).id;

		if (!is_head(driver, id) || used[id])
			return -EPROTO;
		used[id] = true;
	}
	for (uint16_t head = 0; head < driver->config.num; head++)
		if (driver->slots[head].count && !used[head])
			list[n++] = (struct again){ head,
				                    driver->added - driver->slots[head].added };
	qsort(list, n, sizeof(list[0]), by_age);
	*ret_n = n;
	return 0;
}

/* What the last device wished for is nothing to the next. */
static void forget_wishes(struct vring_driver *driver, uint16_t base)
{
	const struct vring_driver_config *config = &driver->config;

	*field16(config->used, RING_FLAGS_OFFSET) = 0;
	if (config->event_idx)
		*field16(config->used, avail_event_offset(config->num)) = htole16(base);
}

int vring_driver_requeue(struct vring_driver *driver, uint16_t *ret_base)
{
	const struct vring_driver_config *config = &driver->config;
	uint16_t end = used_shown(driver), n;
	struct again *list = calloc(config->num, sizeof(*list));
	bool *used = calloc(config->num, sizeof(*used));
	int error = -ENOMEM;

	if (!list || !used)
		goto out;
	error = -EPROTO;
	if ((uint16_t)(end - driver->used_index) <= driver->outstanding)
		error = list_unused(driver, end, list, used, &n);
	if (error)
		goto out;
	for (uint16_t i = 0; i < n; i++)
		write_avail(driver, (uint16_t)(end + i), list[i].head);
	forget_wishes(driver, end);
	driver->avail_index = driver->shown = (uint16_t)(end + n);
	__atomic_store_n(field16(config->avail, RING_INDEX_OFFSET), htole16(driver->shown),
	                 __ATOMIC_RELEASE);
	*ret_base = end;
out:
	free(used);
	free(list);
	return error;
}

bool vring_driver_arm(struct vring_driver *driver)
{
	const struct vring_driver_config *config = &driver->config;

	if (config->event_idx)
		__atomic_store_n(field16(config->avail, used_event_offset(config->num)),
		                 htole16(driver->used_index), __ATOMIC_RELEASE);
	else
		__atomic_store_n(field16(config->avail, RING_FLAGS_OFFSET), 0, __ATOMIC_RELEASE);
	/* The wish is stated before the index is looked at; pairs with vring_wants_call(). */
	notify_fence();
	return used_shown(driver) != driver->used_index;
}

/* With event_idx the event goes where the device's index comes last. */
void vring_driver_quiet(struct vring_driver *driver)
{
	const struct vring_driver_config *config = &driver->config;

	if (config->event_idx)
		__atomic_store_n(field16(config->avail, used_event_offset(config->num)),
		                 htole16((uint16_t)(driver->used_index - 1)), __ATOMIC_RELAXED);
	else
		__atomic_store_n(field16(config->avail, RING_FLAGS_OFFSET), htole16(AVAIL_NO_CALL),
		                 __ATOMIC_RELAXED);
}

unsigned vring_driver_free_count(const struct vring_driver *driver)
{
	return driver->free_count;
}

uint16_t vring_driver_avail_index(const struct vring_driver *driver)
{
	return driver->avail_index;
}
