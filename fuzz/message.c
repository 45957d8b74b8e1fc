/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a message: decoded by a channel, judged, described. Shows that
 * nothing is read beyond what came, that a verdict always has its reason, and
 * that a channel and the table agree on what a message is.
 *
 * The first bytes of the input are what the receiver knows; the mutator knows of
 * headers, so that most of what follows is taken for a message.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "input.h"
#include "support/check.h"
#include "transport/channel.h"
#include "wire/message.h"

/* What precedes the messages in the input. */
struct preface {
	uint8_t back; /* bit 0: the back-channel, 1: there is one, 2: rings run, 3: replies */
	uint8_t n_rings;
	uint8_t n_fds;
	uint8_t text_size;
	uint64_t features;
	uint64_t protocol_features;
} __attribute__((packed));

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static bool ring_runs(const void *opaque, unsigned index)
{
	const struct preface *preface = opaque;

	assert_true(index < preface->n_rings);
	return preface->back & 4;
}

/* In memory of exactly the size given, so that a byte beyond is seen. */
static void describe(const struct message *message, const struct preface *preface, bool is_reply)
{
	size_t size = preface->text_size * 2u;
	char *text = malloc(size);

	assert_true(text || !size);
	message_describe(message, preface->back & 1, is_reply, text, size);
	if (size)
		assert_true(memchr(text, '\0', size) != NULL);
	free(text);
}

static void expect_reason(int error, const struct message_fault *why)
{
	assert_true(memchr(why->text, '\0', sizeof(why->text)) != NULL);
	assert_true(error <= 0);
	assert_int_equal(error != 0, why->text[0] != '\0');
}

static void judge(const struct message *message, const struct preface *preface)
{
	enum message_channel channel = preface->back & 1;
	const struct message_context context = {
		.channel = channel,
		.features = preface->features,
		.features_offered = ~preface->features,
		.protocol_features = preface->protocol_features,
		.n_rings = preface->n_rings,
		.back_channel = preface->back & 2,
		.ring_runs = ring_runs,
		.opaque = preface,
	};
	const struct vhu_header asked = { .request = message->header.request };
	struct message_fault why[3] = { { "" } };
	int header, whole, reply;

	header = message_check_header(channel, &message->header, false, &why[0]);
	whole = message_check(message, &context, &why[1]);
	reply = message_check_reply(message, channel, &asked, &why[2]);
	expect_reason(header, &why[0]);
	expect_reason(whole, &why[1]);
	expect_reason(reply, &why[2]);
	assert_true(whole || !header);
	assert_true(!header || whole == header);
	assert_int_equal(message_check(message, &context, NULL), whole);
	/* It can't be both. */
	assert_true(whole || reply);
	describe(message, preface, false);
	describe(message, preface, true);
}

/* A message that no channel has looked at, of any size it claims. */
static void judge_unread(const struct input *rest, const struct preface *preface)
{
	struct message message;
	struct input input = *rest;

	message_init(&message, 0);
	input_bytes(&input, &message.header, sizeof(message.header));
	input_bytes(&input, &message.payload, sizeof(message.payload));
	message.n_fds = preface->n_fds % (MESSAGE_FDS_MAX + 1);
	judge(&message, preface);
}

/* The same bytes on a socket; every other one is sent in two parts. */
static void decode(const struct input *rest, const struct preface *preface)
{
	enum message_channel kind = preface->back & 1;
	struct message message;
	struct channel *channel;
	size_t part = preface->n_fds < rest->left ? preface->n_fds : rest->left, read = 0;
	int pair[2], got = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(channel_new(pair[0], kind, &channel), 0);
	for (unsigned round = 0; round < 2; round++) {
		size_t n = round ? rest->left - part : part;
		const uint8_t *from = rest->at + (round ? part : 0);

		assert_int_equal(send(pair[1], from, n, MSG_DONTWAIT), n);
		while ((got = channel_recv(channel, &message)) == 1) {
			struct message_fault why = { "" };
			bool is_reply = message.header.flags & VHU_FLAG_REPLY;
			int error = message_check_header(kind, &message.header, is_reply, &why);

			assert_true(error == 0 || error == -EOPNOTSUPP);
			read += sizeof(message.header) + message.header.size;
			judge(&message, preface);
			message_close_fds(&message);
		}
		if (got < 0)
			break;
	}
	assert_true(read <= rest->left);
	close(pair[1]);
	if (got == 0) {
		got = channel_recv(channel, &message);
		assert_int_equal(got, read == rest->left ? -ENOTCONN : -EPIPE);
	}
	assert_int_equal(channel_recv(channel, &message), got);
	assert_true(channel_fault(channel)->text[0] != '\0');
	channel_free(channel);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fuzz_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct preface preface;

	input_bytes(&input, &preface, sizeof(preface));
	judge_unread(&input, &preface);
	decode(&input, &preface);
	return 0;
}

/* A header that some row of the table likes, before whatever payload is there. */
static size_t put_header(uint8_t *at, size_t room, enum message_channel channel, unsigned seed)
{
	uint32_t end = channel == MESSAGE_MAIN ? VHU_FE_END : VHU_BE_END;
	const struct message_spec *spec = message_spec(channel, 1 + seed % (end - 1));
	struct vhu_header header = { .request = spec->request, .flags = VHU_FLAG_VERSION };
	bool is_reply = seed >> 8 & 1;
	uint32_t least = is_reply ? spec->reply_min : spec->size_min;
	uint32_t most = is_reply ? spec->reply_max : spec->size_max;

	header.size = least + (most > least ? (seed >> 9) % (most - least + 1) : 0);
	header.flags |= is_reply ? VHU_FLAG_REPLY : seed >> 28 & VHU_FLAG_NEED_REPLY;
	if (room < sizeof(header) + header.size)
		return 0;
	memcpy(at, &header, sizeof(header));
	return sizeof(header) + header.size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	size_t at = sizeof(struct preface), added;

	if (seed % 2 || max_size < at)
		return LLVMFuzzerMutate(data, size, max_size);
	if (size < at) {
		memset(data + size, 0xff, at - size);
		size = at;
	}
	/* In front, or behind all that is there. */
	if (seed / 2 % 4 == 0)
		at = size;
	added = put_header(data + at, max_size - at, data[0] & 1, seed / 8);
	return at + added > size ? at + added : size;
}
