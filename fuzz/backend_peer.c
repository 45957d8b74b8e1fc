/* SPDX-License-Identifier: BSD-3-Clause */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

/* One for each queue of what is passed for kicks, calls and errors. */
enum { EVENT_KICK, EVENT_CALL, EVENT_ERR, EVENTS };

static int files[FILES];
static uint64_t sizes[FILES]; /* now; FILE_SIZE but for peer_cut() */
static int events[EVENTS][QUEUES];
/* Fds that are none of the right kind; 0 is not used. */
static int strange[PEER_FD_KINDS - 1];
static struct sockaddr_un listener;
static socklen_t listener_size;
static char *memory;
/* What memory held when the back-end last had its turn. */
static char mirror[MEMORY];

static int small_file(off_t size)
{
	int fd = memfd_create("small", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static int read_only(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* An epoll set with something in it: readable for ever, and it can't be read. */
static int always_ready(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event event = { .events = EPOLLIN };

	assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
	return set;
}

static void make_strange(void)
{
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	strange[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	strange[2] = small_file(PAGE);
	strange[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	strange[4] = pipes[1];
	strange[5] = read_only(files[0]);
	strange[6] = always_ready();
	strange[7] = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	strange[8] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strange[9] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strange[10] = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE | EFD_NONBLOCK);
	for (unsigned i = 1; i < PEER_FD_KINDS - 1; i++)
		assert_true(strange[i] >= 0);
}

/* A socket of which the other end is closed. */
static int dead_socket(void)
{
	struct end end;
	int other;

	end_open(&end, &other);
	end_close(&end);
	return other;
}

void peer_init(void)
{
	memory = mmap(NULL, MEMORY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < FILES; i++) {
		char *at = memory + i * FILE_SIZE;

		files[i] = small_file(FILE_SIZE);
		sizes[i] = FILE_SIZE;
		assert_ptr_equal(mmap(at, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		                      files[i], 0),
		                 at);
	}
	for (unsigned e = 0; e < EVENTS; e++)
		for (unsigned q = 0; q < QUEUES; q++)
			assert_int_equal(fd_event(&events[e][q]), 0);
	make_strange();
}

void peer_reset(void)
{
	memset(memory, 0, MEMORY);
	memset(mirror, 0, MEMORY);
	for (unsigned e = 0; e < EVENTS; e++)
		for (unsigned q = 0; q < QUEUES; q++)
			fd_drain(events[e][q]);
	fd_drain(strange[1]);
	fd_drain(strange[10]);
}

char *peer_memory(uint64_t gpa)
{
	return memory + gpa;
}

void peer_write(uint64_t gpa, const void *bytes, size_t size)
{
	gpa %= MEMORY;
	if (size > MEMORY - gpa)
		size = MEMORY - gpa;
	memcpy(memory + gpa, bytes, size);
	memcpy(mirror + gpa, bytes, size);
}

void peer_cut(unsigned file, uint64_t size)
{
	assert_int_equal(ftruncate(files[file], (off_t)size), 0);
	sizes[file] = size;
}

void peer_restore(unsigned file)
{
	assert_int_equal(ftruncate(files[file], FILE_SIZE), 0);
	memset(mirror + file * FILE_SIZE + sizes[file], 0, FILE_SIZE - sizes[file]);
	sizes[file] = FILE_SIZE;
}

static void check_file(const struct play *play, unsigned file)
{
	const char *now = memory + file * FILE_SIZE;
	char *then = mirror + file * FILE_SIZE;

	if (!memcmp(now, then, sizes[file]))
		return;
	for (unsigned i = 0; i < sizes[file]; i++) {
		if (now[i] == then[i])
			continue;
		assert_true(told_allows(&play->told, file, i, PERM_WRITE));
		then[i] = now[i];
	}
}

void peer_check_memory(const struct play *play)
{
	for (unsigned file = 0; file < FILES; file++)
		check_file(play, file);
}

int peer_open_back(struct play *play)
{
	int other, small = 1;

	end_close(&play->back);
	play->n_misses = 0;
	end_open(&play->back, &other);
	if (play->small_buffers)
		setsockopt(other, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	return other;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	return fd;
}

/* The kernel chooses a name, of which no file remains. */
int peer_listen(void)
{
	const struct sockaddr any = { .sa_family = AF_UNIX };
	int fd = new_socket();

	assert_int_equal(bind(fd, &any, sizeof(any.sa_family)), 0);
	assert_int_equal(listen(fd, 4), 0);
	listener_size = sizeof(listener);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&listener, &listener_size), 0);
	return fd;
}

int peer_connect(void)
{
	int fd = new_socket();

	if (connect(fd, (struct sockaddr *)&listener, listener_size) < 0)
		fd_close(&fd);
	return fd;
}

int peer_fd(struct play *play, uint32_t request, unsigned which, unsigned kind)
{
	kind %= PEER_FD_KINDS;
	if (kind == PEER_FD_KINDS - 1)
		return dead_socket();
	if (kind)
		return strange[kind];
	switch (request) {
	case VHU_FE_SET_VRING_KICK: return events[EVENT_KICK][which % QUEUES];
	case VHU_FE_SET_VRING_CALL: return events[EVENT_CALL][which % QUEUES];
	case VHU_FE_SET_VRING_ERR: return events[EVENT_ERR][which % QUEUES];
	case VHU_FE_SET_BACKEND_REQ_FD: return peer_open_back(play);
	default: return files[which % FILES];
	}
}

unsigned peer_file(int fd)
{
	unsigned i = 0;

	while (i < FILES && files[i] != fd)
		i++;
	return i;
}

static bool is_ours(int fd)
{
	for (unsigned i = 1; i < PEER_FD_KINDS - 1; i++)
		if (strange[i] == fd)
			return true;
	for (unsigned e = 0; e < EVENTS; e++)
		for (unsigned q = 0; q < QUEUES; q++)
			if (events[e][q] == fd)
				return true;
	return peer_file(fd) < FILES;
}

/* Those made for this message are closed. */
static void let_go(struct message *message)
{
	for (unsigned i = 0; i < message->n_fds; i++)
		if (!is_ours(message->fds[i]))
			fd_close(&message->fds[i]);
	message->n_fds = 0;
}

static void remember(struct play *play, const struct message *message)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, message->header.request);
	unsigned of[MESSAGE_FDS_MAX] = { 0 };
	struct said *said = &play->said[play->n_said];

	for (unsigned i = 0; i < message->n_fds; i++)
		of[i] = peer_file(message->fds[i]);
	if (message->header.request == VHU_FE_SET_PROTOCOL_FEATURES && ++play->protocol_sets > 1)
		play->told.lost = true;
	if (play->n_said == SAID_MAX) {
		play->told.lost = true;
		play->garbled = true;
		return;
	}
	play->n_said++;
	said->request = message->header.request;
	said->asks = message->header.flags & VHU_FLAG_NEED_REPLY ||
	             (spec && spec->reply != MESSAGE_REPLY_ACK);
	said->seq = told_send(&play->told, message, of);
}

static bool stops(uint32_t request)
{
	return request == VHU_FE_GET_VRING_BASE || request == VHU_FE_RESET_DEVICE;
}

static bool gives(const struct vhu_iotlb *update, const struct vhu_iotlb *miss)
{
	return update->type == VHU_IOTLB_UPDATE && miss->iova - update->iova < update->size &&
	       (update->perm & miss->perm) == miss->perm;
}

/* An update that gives it, or a stop, makes an orphan of a miss (S9). */
static void excuse(struct play *play, const struct message *message)
{
	for (unsigned i = 0; i < play->n_misses; i++) {
		struct miss *miss = &play->misses[i];

		if (stops(message->header.request) ||
		    (message->header.request == VHU_FE_IOTLB_MSG &&
		     gives(&message->payload.iotlb, &miss->iotlb)))
			miss->excused = true;
	}
}

/* The same of what was said and may be done after the miss was sent. */
static bool is_excused(const struct play *play, const struct vhu_iotlb *miss)
{
	for (unsigned i = 0; i < play->n_said; i++)
		if (stops(play->said[i].request))
			return true;
	for (unsigned i = 0; i < play->told.n_deeds; i++)
		if (play->told.deeds[i].request == VHU_FE_IOTLB_MSG &&
		    gives(&play->told.deeds[i].iotlb, miss))
			return true;
	return play->told.lost;
}

void peer_say(struct play *play, struct message *message)
{
	excuse(play, message);
	if (end_send(&play->main, message))
		remember(play, message);
	else
		play->garbled = true;
	let_go(message);
}

void peer_say_u64(struct play *play, uint32_t request, uint64_t value)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(value);
	message.payload.u64 = value;
	peer_say(play, &message);
}

void peer_say_state(struct play *play, uint32_t request, uint32_t index, uint32_t num)
{
	struct message message;

	message_init(&message, request);
	message.header.size = sizeof(message.payload.state);
	message.payload.state = (struct vhu_vring_state){ index, num };
	peer_say(play, &message);
}

void peer_say_fd(struct play *play, uint32_t request, unsigned index)
{
	struct message message;

	message_init(&message, request);
	message.fds[message.n_fds++] = peer_fd(play, request, index, 0);
	if (request != VHU_FE_SET_BACKEND_REQ_FD)
		message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = index;
	peer_say(play, &message);
}

void peer_say_iotlb(struct play *play, uint8_t type, uint64_t iova, uint64_t size, uint64_t uva,
                    uint8_t perm)
{
	struct message message;

	message_init(&message, VHU_FE_IOTLB_MSG);
	message.header.flags |= VHU_FLAG_NEED_REPLY;
	message.header.size = sizeof(message.payload.iotlb);
	message.payload.iotlb = (struct vhu_iotlb){ iova, size, uva, perm, type };
	peer_say(play, &message);
}

/*
 * A reply is that to the oldest request of its number that asked for one; what
 * was said before that is done.
 */
static void hear_reply(struct play *play, const struct message *reply)
{
	const struct message_spec *spec = message_spec(MESSAGE_MAIN, reply->header.request);
	const struct vhu_header asked = { .request = reply->header.request };
	struct message_fault why;
	unsigned at = 0;
	bool accepted;

	if (spec)
		assert_int_equal(message_check_reply(reply, MESSAGE_MAIN, &asked, &why), 0);
	else
		assert_true(reply->header.size == 8 && reply->payload.u64);
	play->n_heard++;
	while (at < play->n_said &&
	       !(play->said[at].asks && play->said[at].request == asked.request))
		at++;
	/* Bytes that were no message of ours may have been one after all. */
	if (at == play->n_said) {
		assert_true(play->garbled || play->told.lost);
		return;
	}
	accepted = (spec && spec->reply != MESSAGE_REPLY_ACK) || reply->payload.u64 == 0;
	if (!play->garbled && !play->told.lost)
		told_done(&play->told, play->said[at].seq, accepted);
	play->n_said -= at + 1;
	memmove(play->said, play->said + at + 1, play->n_said * sizeof(play->said[0]));
}

/* S1: nobody asks for what he has asked for, and was not answered. */
static void expect_new(const struct play *play, const struct vhu_iotlb *iotlb)
{
	for (unsigned i = 0; i < play->n_misses; i++) {
		const struct miss *miss = &play->misses[i];

		assert_true(miss->excused || miss->iotlb.perm != iotlb->perm ||
		            miss->iotlb.iova / PAGE != iotlb->iova / PAGE);
	}
}

/* S3: no more misses than the window has. A change of configuration wants no reply. */
static void hear_request(struct play *play, const struct message *message)
{
	const struct message_context context = {
		.channel = MESSAGE_BACK,
		.features = UINT64_MAX,
		.protocol_features = UINT64_MAX,
		.n_rings = QUEUES,
		.back_channel = true,
	};
	struct message_fault why;

	assert_int_equal(message_check(message, &context, &why), 0);
	if (message->header.request == VHU_BE_CONFIG_CHANGE_MSG) {
		assert_false(message->header.flags & VHU_FLAG_NEED_REPLY);
		return;
	}
	assert_int_equal(message->header.request, VHU_BE_IOTLB_MSG);
	assert_int_equal(message->payload.iotlb.type, VHU_IOTLB_MISS);
	assert_true(message->payload.iotlb.perm >= 1 && message->payload.iotlb.perm <= 3);
	if (play->n_misses == MISSES_MAX)
		return;
	if (!play->garbled)
		expect_new(play, &message->payload.iotlb);
	play->misses[play->n_misses++] = (struct miss){
		.header = message->header,
		.iotlb = message->payload.iotlb,
		.excused = is_excused(play, &message->payload.iotlb),
	};
	if (message->header.flags & VHU_FLAG_NEED_REPLY)
		assert_true(play->n_misses <= PENDING_WINDOW || play->garbled);
}

/* Misses first: what was said before they were heard may not have been done. */
void peer_hear(struct play *play)
{
	struct message message;
	int got;

	while ((got = end_recv(&play->back, &message)) == 1) {
		hear_request(play, &message);
		message_close_fds(&message);
	}
	if (got < 0) {
		end_close(&play->back);
		play->n_misses = 0;
	}
	while (!play->deaf && (got = end_recv(&play->main, &message)) == 1) {
		hear_reply(play, &message);
		message_close_fds(&message);
	}
	if (!play->deaf && got < 0)
		end_close(&play->main);
}

static void forget_oldest(struct play *play)
{
	play->n_misses--;
	memmove(play->misses, play->misses + 1, play->n_misses * sizeof(play->misses[0]));
}

void peer_answer(struct play *play, uint64_t value)
{
	struct message message;

	/* An answer to nothing may be taken for one to what has not been heard yet. */
	peer_hear(play);
	if (!play->n_misses)
		play->garbled = true;
	message_init(&message, VHU_BE_IOTLB_MSG);
	message.header.flags |= VHU_FLAG_REPLY;
	message.header.size = sizeof(message.payload.u64);
	message.payload.u64 = value;
	if (end_send(&play->back, &message) && play->n_misses)
		forget_oldest(play);
}

/* Who does not ask for a reply gets none. */
void peer_grant(struct play *play)
{
	struct miss miss;
	uint64_t page;

	peer_hear(play);
	if (!play->n_misses)
		return;
	miss = play->misses[0];
	page = miss.iotlb.iova & ~(uint64_t)(PAGE - 1);
	if (page < MEMORY)
		peer_say_iotlb(play, VHU_IOTLB_UPDATE, page, PAGE, UVA + page, PERM_RW);
	if (miss.header.flags & VHU_FLAG_NEED_REPLY)
		peer_answer(play, page < MEMORY ? 0 : 1);
	else
		forget_oldest(play);
}

void peer_kick(unsigned queue)
{
	fd_signal(events[EVENT_KICK][queue % QUEUES]);
}
