/* SPDX-License-Identifier: BSD-3-Clause */
/* What was seen of a front-end, as it is kept. */
#include "support/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "messages.h"
#include "record.h"

static struct record *new_record(void)
{
	struct record *record = malloc(sizeof(*record));

	assert_non_null(record);
	assert_int_equal(record_init(record), 0);
	record_start(record, 1, 2);
	return record;
}

static void free_record(struct record *record)
{
	record_done(record);
	free(record);
}

static void add(struct record *record, bool ours, struct message message)
{
	record_add(record, MESSAGE_MAIN, ours, &message);
}

static void what_is_seen_is_kept_as_it_came(void **state)
{
	struct record *record = new_record();
	struct message message = msg_config(VHU_FE_SET_CONFIG, 3, 200, 1), back;
	const struct seen *seen = &record->seen[0];

	(void)state;
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	memset(message.payload.config.bytes, 0x5a, 200);
	add(record, false, message);
	assert_true(seen_request(seen, VHU_FE_SET_CONFIG));
	assert_false(seen_request(seen, VHU_FE_GET_CONFIG) || seen_is_reply(seen));
	seen_message(seen, &back);
	assert_memory_equal(&back.header, &message.header, sizeof(back.header));
	assert_memory_equal(&back.payload, &message.payload, message.header.size);
	/* What we send is no request of the front-end's, nor is what comes elsewhere. */
	add(record, true, msg_empty(VHU_FE_SET_OWNER));
	assert_false(seen_request(&record->seen[1], VHU_FE_SET_OWNER));
	message = msg_empty(VHU_FE_SET_OWNER);
	message.header.flags |= VHU_FLAG_REPLY;
	record_add(record, MESSAGE_BACK, false, &message);
	assert_false(seen_request(&record->seen[2], VHU_FE_SET_OWNER));
	assert_true(seen_is_reply(&record->seen[2]));
	assert_int_equal(record->n, 3);
	usleep(2000);
	record_stop(record);
	assert_in_range(record_end_us(record), record->seen[2].us + 1000, UINT64_MAX);
	record_start(record, 0, 0);
	assert_int_equal(record->n, 0);
	free_record(record);
}

/* A header may announce what does not come. */
static void sizes_beyond_all_are_kept_as_numbers_only(void **state)
{
	struct record *record = new_record();
	struct message message = msg_empty(VHU_FE_SET_FEATURES), back;

	(void)state;
	message.header.size = UINT32_MAX;
	add(record, false, message);
	seen_message(&record->seen[0], &back);
	assert_true(back.header.size == UINT32_MAX);
	free_record(record);
}

static void fds_are_told_by_what_they_are(void **state)
{
	int pair[2], ends[2];
	const struct {
		int fd;
		enum seen_kind kind;
		uint64_t size;
		bool readable, writable;
	} table[] = {
		{ eventfd(0, EFD_CLOEXEC), SEEN_EVENTFD, 0, true, true },
		{ memfd_create("m", MFD_CLOEXEC), SEEN_FILE, 0x3000, true, true },
		{ open("/dev/zero", O_RDONLY | O_CLOEXEC), SEEN_FILE, 0, true, false },
		{ pipe2(pair, O_CLOEXEC) ? -1 : pair[1], SEEN_PIPE, 0, false, true },
		{ pair[0], SEEN_PIPE, 0, true, false },
		{ socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ? -1 : ends[0],
		  SEEN_SOCKET, 0, true, true },
	};
	struct record *record = new_record();

	(void)state;
	assert_int_equal(ftruncate(table[1].fd, 0x3000), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		const struct seen_fd *fd = &record->seen[i].fds[0];

		add(record, false, msg_fd(VHU_FE_SET_BACKEND_REQ_FD, table[i].fd));
		assert_int_equal(record->seen[i].n_fds, 1);
		assert_int_equal(fd->kind, table[i].kind);
		assert_int_equal(fd->readable, table[i].readable);
		assert_int_equal(fd->writable, table[i].writable);
		if (fd->kind == SEEN_FILE)
			assert_int_equal(fd->size, table[i].size);
		close(table[i].fd);
	}
	close(ends[1]);
	free_record(record);
}

/* Translations by the thousand do not push out what matters besides. */
static void a_full_record_goes_on_without_translations(void **state)
{
	struct record *record = new_record();

	(void)state;
	for (unsigned i = 0; i < 2 * RECORD_MAX; i++)
		add(record, false, msg_update(i, 1, 0, 1));
	assert_int_equal(record->n, RECORD_MAX - RECORD_ROOM);
	assert_int_equal(record->thinned, record->n);
	/* What is not kept did not come, as far as anybody can tell. */
	record_stop(record);
	assert_true(record_end_us(record) == record->seen[record->thinned - 1].us);
	add(record, false, msg_state(VHU_FE_GET_VRING_BASE, 0, 0));
	assert_int_equal(record->n, RECORD_MAX - RECORD_ROOM + 1);
	for (unsigned i = 0; i < 2 * RECORD_ROOM; i++)
		add(record, false, msg_empty(VHU_FE_GET_FEATURES));
	assert_int_equal(record->n, RECORD_MAX);
	free_record(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_seen_is_kept_as_it_came),
		cmocka_unit_test(sizes_beyond_all_are_kept_as_numbers_only),
		cmocka_unit_test(fds_are_told_by_what_they_are),
		cmocka_unit_test(a_full_record_goes_on_without_translations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
