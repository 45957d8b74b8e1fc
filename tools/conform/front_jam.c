/* SPDX-License-Identifier: BSD-3-Clause */
#include "front_jam.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

#define FILLER    UINT32_C(0x6a616d) /* no request */
#define EARLY_MAX 64u

static void send_back_channel(struct front *f, int fd)
{
	struct message message = msg_fd(VHU_FE_SET_BACKEND_REQ_FD, fd);

	expect_ack(f, &message);
}

void front_open_jammable(struct front *f, const struct front_setup *setup)
{
	struct front_setup without = *setup;
	int pair[2];

	without.no_back = true;
	front_open(f, &without);
	if (!(f->protocol & VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ)))
		trial_skip(f->trial, "the back-end has no back-channel");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		trial_error(f->trial, "no socket pair: %s", strerror(errno));
	f->back.fd = pair[0];
	f->back_filler = pair[1];
	send_back_channel(f, pair[1]);
}

/* A message goes in whole or not at all, so that what is there stays a row of messages. */
void front_jam(struct front *f)
{
	struct {
		struct vhu_header header;
		struct vhu_iotlb body;
	} filler = { .header = { FILLER, VHU_FLAG_VERSION, sizeof(struct vhu_iotlb) } };

	f->jammed = true;
	while (send(f->back_filler, &filler, sizeof(filler), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		f->n_fillers++;
	NOTE(f, "the back-channel is full, and not read");
}

static bool next_is_filler(const struct front *f)
{
	struct vhu_header header;

	return recv(f->back.fd, &header, sizeof(header), MSG_PEEK | MSG_DONTWAIT) ==
	               (ssize_t)sizeof(header) &&
	       header.request == FILLER;
}

static void serve(struct front *f, const struct front_miss *miss)
{
	if (f->on_miss && f->on_miss(f, miss) == ANSWER_DONE)
		return;
	if (!front_grant(f, miss))
		front_refuse(f, miss);
}

/* None is answered before all is read: a back-end may not be able to hear of it until then. */
void front_unjam(struct front *f)
{
	struct front_miss early[EARLY_MAX];
	struct message filler;
	unsigned n = 0;

	NOTE(f, "the back-channel is read again");
	trial_mute(f->trial);
	while (f->n_fillers) {
		if (next_is_filler(f)) {
			link_recv(&f->back, &filler, 0);
			f->n_fillers--;
		} else if (n == EARLY_MAX || !front_next_miss(f, &early[n++], 100)) {
			trial_error(f->trial, "the back-channel can't be emptied");
		}
	}
	trial_unmute(f->trial);
	f->jammed = false;
	for (unsigned i = 0; i < n; i++)
		serve(f, &early[i]);
}
