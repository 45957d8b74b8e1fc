/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory table and its slots. Thread: the session's. */
#include <errno.h>

#include "backend/session.h"
#include "base/log.h"

static void adopt(struct session *session, struct memtable *table)
{
	memtable_put(session->table);
	session->table = table;
}

/* No worker uses the old table any more: its regions may be unmapped. */
static void table_taken(struct session *session)
{
	adopt(session, session->operation.new_table);
	session->operation.new_table = NULL;
	operation_reply(session);
}

/* F1: what pointed into regions that go is dropped. Whether any region goes. */
static bool drop_removed(struct session *session, const struct memtable *table)
{
	bool removed = false;

	for (unsigned i = 0; i < memtable_count(session->table); i++) {
		struct region_view region = memtable_region(session->table, i);
		struct range gone;

		if (memtable_shares(table, session->table, i))
			continue;
		removed = true;
		if (iotlb_drop_memory(session->iotlb, region.ptr, region.size, &gone))
			pending_disturb(session->pending, gone);
	}
	return removed;
}

/*
 * Takes @table over. Where rings run, workers first finish what they have
 * issued: a request may hold pointers whose cache entry was evicted long ago,
 * so all are waited for rather than those that a search would find.
 */
static int change_table(struct session *session, struct memtable *table)
{
	bool removed = drop_removed(session, table);

	if (!session->n_running) {
		session->views_set = false;
		adopt(session, table);
		return 0;
	}
	if (!removed && session_uses_iova(session)) {
		adopt(session, table);
		return 0;
	}
	session->operation.new_table = table;
	operation_view(session, table, table_taken);
	return HANDLER_REPLIES;
}

static int refuse(struct session *session, int error, const struct memory_fault *why)
{
	log_warning(session->subject, "guest memory: %s", why->text);
	return error;
}

int on_set_mem_table(struct session *session, struct message *message)
{
	const struct vhu_memory *memory = &message->payload.memory;
	struct memory_fault why = { "" };
	struct memtable *table;
	int error = memtable_replace(session->table, memory->regions, memory->n, message->fds,
	                             session_has(session, VHU_PROTOCOL_F_GPA_ADDRESSES), &table,
	                             &why);

	if (error)
		return refuse(session, error, &why);
	return change_table(session, table);
}

int on_get_max_mem_slots(struct session *session, struct message *message)
{
	struct message reply;

	message_init(&reply, message->header.request);
	reply.payload.u64 = MEMTABLE_REGIONS_MAX;
	session_reply(session, &reply, sizeof(reply.payload.u64));
	return HANDLER_REPLIES;
}

int on_add_mem_reg(struct session *session, struct message *message)
{
	struct memory_fault why = { "" };
	struct memtable *table;
	int error = memtable_add(session->table, &message->payload.single.region, message->fds[0],
	                         session_has(session, VHU_PROTOCOL_F_GPA_ADDRESSES), &table, &why);

	if (error)
		return refuse(session, error, &why);
	return change_table(session, table);
}

int on_rem_mem_reg(struct session *session, struct message *message)
{
	struct memory_fault why = { "" };
	struct memtable *table;
	int error = memtable_remove(session->table, &message->payload.single.region, &table, &why);

	if (error)
		return refuse(session, error, &why);
	return change_table(session, table);
}
