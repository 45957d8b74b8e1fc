/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The work of vhu bench net: send, receive, verify, and answer misses all the
 * while. One phase to warm up, one that counts; each ends when what is under
 * way has come back, or will not.
 *
 * Thread: the only one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_net.h"
#include "progress.h"
#include "say.h"

/* Frames behind the last one that are still known. */
#define HISTORY 65536u

/* At a time, before the device is shown them and misses are served. */
#define BURST 32u

/* Without events: polling at first, then sleeping for so long at a time. */
#define POLL_NS  INT64_C(200000)
#define SLEEP_MS 1

/* What the device has taken and not returned by then is lost. */
#define LOST_NS INT64_C(2000000)

/* For frames to come back after the last one was sent. */
#define DRAIN_NS INT64_C(250000000)

/* Totals that the live line has told. */
struct shown {
	uint64_t sent, received, misses;
};

struct work {
	struct net_bench *bench;
	struct net_counts *counts;
	bool loop, verify;
	unsigned window;                      /* frames under way at the most */
	uint64_t first, next;                 /* numbers: of the phase, to be sent */
	uint64_t awaited;                     /* the eldest that is still waited for */
	uint64_t arrived;                     /* frames that made the way of the mode */
	int64_t now_ns, moved_ns, arrived_ns; /* when anything moved; when one of those did */
	struct shown shown;
	int64_t sent_ns[HISTORY];
	bool returned[HISTORY];
};

static void verify(struct work *work, const struct net_part *parts, unsigned n, uint64_t number,
                   uint32_t bytes)
{
	const uint32_t whole = NET_HEADER + work->bench->options->size;
	uint32_t differing = bytes > whole ? bytes - whole : whole - bytes;

	work->counts->verified += bytes - NET_HEADER;
	work->counts->differing += differing + net_frame_differing(parts, n, number);
}

/* A frame that this process has sent in this phase, and not seen again since. */
static bool is_return(struct work *work, uint64_t number)
{
	bool sent = number < work->next;

	if (number < work->first || (sent && work->next - number > HISTORY))
		return false;
	if (!sent || work->returned[number % HISTORY]) {
		work->counts->duplicates++;
		return false;
	}
	work->returned[number % HISTORY] = true;
	work->counts->returned++;
	if (number >= work->awaited)
		work->awaited = number + 1;
	return true;
}

static void handle(const struct net_part *parts, unsigned n, void *opaque)
{
	struct work *work = opaque;
	uint32_t bytes = 0;
	uint64_t number;

	for (unsigned i = 0; i < n; i++)
		bytes += parts[i].len;
	work->counts->received++;
	work->counts->bytes_received += bytes - NET_HEADER;
	if (!net_frame_is_ours(parts, n, &number))
		return;
	if (work->loop && !is_return(work, number))
		return;
	if (work->loop)
		latency_add(&work->bench->latency,
		            (uint64_t)(work->now_ns - work->sent_ns[number % HISTORY]), 1);
	if (work->verify)
		verify(work, parts, n, number, bytes);
}

static bool may_send(const struct work *work)
{
	return !work->loop || work->next - work->awaited < work->window;
}

/* Number of frames sent, or -errno. */
static int send_burst(struct work *work)
{
	struct net_port *port = work->bench->port;
	const struct net_part *parts;
	unsigned sent = 0, n;
	int error = 0;

	while (sent < BURST && may_send(work) && (parts = net_port_prepare(port, &n))) {
		net_frame_fill(parts, n, work->next, work->verify);
		error = net_port_send(port);
		if (error)
			return error;
		work->sent_ns[work->next % HISTORY] = work->now_ns;
		work->returned[work->next % HISTORY] = false;
		work->next++;
		sent++;
	}
	if (sent)
		error = net_port_kick(port);
	work->counts->sent += sent;
	return error ? error : (int)sent;
}

/* All that was taken and did not come back is given up, to go on with the next. */
static void give_up_lost(struct work *work)
{
	if (!work->loop || may_send(work) || net_port_untaken(work->bench->port))
		return;
	if (work->now_ns - work->moved_ns < LOST_NS)
		return;
	work->awaited = work->next;
	work->counts->stalls++;
}

static int complain(struct work *work)
{
	const struct net_bench *bench = work->bench;
	/* Frames that were taken since the last one came back. */
	const char *what = work->moved_ns > work->arrived_ns ? "returns no frames"
	                                                     : "takes no frames";

	say(NET_NAME,
	    "the back-end %s: nothing for %d ms, after %llu sent, %llu received; it hangs, or give "
	    "a longer --timeout",
	    bench->options->mode == NET_RX ? "sends no frames" : what, bench->options->timeout_ms,
	    (unsigned long long)work->counts->sent, (unsigned long long)work->counts->received);
	if (work->counts->duplicates)
		say(NET_NAME, "%llu frames came twice, or were never sent",
		    (unsigned long long)work->counts->duplicates);
	if (bench->faults)
		say(NET_NAME, "%llu misses were refused, the first at 0x%llx for %s%s",
		    (unsigned long long)bench->faults, (unsigned long long)bench->fault.iova,
		    bench->fault.perm & VHU_PERM_READ ? "r" : "",
		    bench->fault.perm & VHU_PERM_WRITE ? "w" : "");
	return -ETIMEDOUT;
}

/* Nothing moves: sleep, unless it has moved a moment ago. */
static int idle(struct work *work)
{
	struct net_bench *bench = work->bench;
	int64_t still_ns = work->now_ns - work->moved_ns;
	int error = 0;

	give_up_lost(work);
	if (still_ns > POLL_NS)
		error = net_port_wait(bench->port, SLEEP_MS);
	return error < 0 ? net_say(bench, "waiting for frames", error) : 0;
}

static int serve(struct work *work)
{
	int error = vhu_frontend_run(work->bench->frontend, 0);

	return error ? net_say(work->bench, "the back-end", error) : 0;
}

/* Once round. 0 or -errno, which was said. */
static int turn(struct work *work, bool send)
{
	struct net_bench *bench = work->bench;
	int received, taken, sent = 0;

	work->now_ns = progress_now_ns();
	received = net_port_receive(bench->port, handle, work);
	if (received < 0)
		return net_say(bench, "receiving", received);
	taken = net_port_reap(bench->port);
	if (taken < 0)
		return net_say(bench, "sending", taken);
	if (send)
		sent = send_burst(work);
	if (sent < 0)
		return net_say(bench, "sending", sent);
	work->counts->taken += (unsigned)taken;
	if (net_frames(bench, work->counts) != work->arrived) {
		work->arrived = net_frames(bench, work->counts);
		work->arrived_ns = work->now_ns;
	}
	if (work->now_ns - work->arrived_ns > bench->options->timeout_ms * INT64_C(1000000))
		return complain(work);
	if (received || taken) {
		work->moved_ns = work->now_ns;
		return bench->iommu ? serve(work) : 0;
	}
	received = serve(work);
	return received ? received : idle(work);
}

/* Of the time since it was shown last, but for the seconds. */
static void show(struct work *work, struct progress *progress, const char *what)
{
	const struct net_counts *counts = work->counts;
	double step = (double)(work->now_ns - progress->shown_ns) / 1e9;
	struct vhu_frontend_stats stats;

	vhu_frontend_stats(work->bench->frontend, &stats);
	progress_show(progress, work->now_ns,
	              "%-10s %5.1f s %10.0f frames/s sent %10.0f received %8.0f misses/s", what,
	              (double)(work->now_ns - progress->start_ns) / 1e9,
	              (double)(counts->sent - work->shown.sent) / step,
	              (double)(counts->received - work->shown.received) / step,
	              (double)(stats.misses - work->shown.misses) / step);
	work->shown = (struct shown){ counts->sent, counts->received, stats.misses };
}

/* Waits for what is under way, however the phase has ended: it is not lost. */
static int drain(struct work *work)
{
	int64_t end_ns = work->now_ns + DRAIN_NS;
	int error = 0;

	while (!error && work->now_ns < end_ns) {
		if (!net_port_untaken(work->bench->port) &&
		    (!work->loop || work->counts->returned == work->counts->sent))
			break;
		error = turn(work, false);
	}
	return error;
}

static struct vhu_frontend_stats stats_since(const struct vhu_frontend *frontend,
                                             const struct vhu_frontend_stats *since)
{
	struct vhu_frontend_stats stats;

	vhu_frontend_stats(frontend, &stats);
	stats.misses -= since->misses;
	stats.refused -= since->refused;
	stats.updates -= since->updates;
	stats.updates_refused -= since->updates_refused;
	stats.invalidations -= since->invalidations;
	stats.access_fails -= since->access_fails;
	stats.requests -= since->requests;
	return stats;
}

static void begin(struct work *work, struct net_counts *counts)
{
	struct net_bench *bench = work->bench;
	struct vhu_frontend_stats stats;

	*counts = (struct net_counts){
		.own_cpu_ns = own_cpu_ns(),
		.peer_cpu_ns = peer_cpu_ns(&bench->peer),
	};
	/* What came before the warming up belongs to it. */
	if (counts != &bench->warmup)
		vhu_frontend_stats(bench->frontend, &counts->stats);
	vhu_frontend_stats(bench->frontend, &stats);
	work->shown = (struct shown){ .misses = stats.misses };
	memset(&bench->latency, 0, sizeof(bench->latency));
	work->counts = counts;
	work->first = work->awaited = work->next;
	work->arrived = 0;
	work->now_ns = work->moved_ns = work->arrived_ns = progress_now_ns();
}

static bool is_over(const struct work *work, int64_t start_ns, double seconds, uint64_t frames)
{
	if (frames && net_frames(work->bench, work->counts) >= frames)
		return true;
	return *work->bench->stop || (double)(work->now_ns - start_ns) >= seconds * 1e9;
}

static int run_phase(struct work *work, struct net_counts *counts, double seconds, uint64_t frames,
                     const char *what)
{
	struct net_bench *bench = work->bench;
	bool send = bench->options->mode != NET_RX;
	struct progress progress;
	int64_t start_ns;
	int error = 0;

	begin(work, counts);
	start_ns = work->now_ns;
	progress_start(&progress);
	while (!error && !is_over(work, start_ns, seconds, frames)) {
		error = turn(work, send);
		if (progress_due(&progress, work->now_ns))
			show(work, &progress, what);
	}
	counts->seconds = (double)(work->now_ns - start_ns) / 1e9;
	counts->own_cpu_ns = own_cpu_ns() - counts->own_cpu_ns;
	counts->peer_cpu_ns = peer_cpu_ns(&bench->peer) - counts->peer_cpu_ns;
	if (!error)
		error = drain(work);
	progress_make_way();
	counts->stats = stats_since(bench->frontend, &counts->stats);
	return *bench->stop ? -EINTR : error;
}

int net_run(struct net_bench *bench)
{
	const struct net_options *options = bench->options;
	unsigned tx_room = net_port_tx_room(bench->port), rx_room = net_port_rx_room(bench->port);
	struct work *work = calloc(1, sizeof(*work));
	int error;

	if (!work)
		return net_say(bench, "setting up", -ENOMEM);
	work->bench = bench;
	work->loop = options->mode == NET_LOOP;
	work->verify = !options->no_verify;
	work->window = tx_room < rx_room ? tx_room : rx_room;
	error = run_phase(work, &bench->warmup, options->warmup, 0, "warming up");
	if (!error)
		error = run_phase(work, &bench->counts, options->seconds, options->frames,
		                  "measuring");
	free(work);
	return error;
}
