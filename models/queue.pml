/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue and its requests, and what a lane does with them: pieces of a worker's
 * turn (src/backend/request.c, pump.c, lane.c, src/memory/translate.c). Their
 * variables are those of the worker in worker.pml.
 */

/* A chain's way; those ahead are told by the lane's two indices. */
#define UNISSUED	0
#define ISSUED		1
#define HELD		2
#define FREE		3

typedef request {
	byte state;
	bool watched; /* a drain waits for it */
	bool faulted; /* refused: only its status is wanted */
	bool probed;
	byte retries;
	byte pointer[PAGES] /* while it is translated and issued */
}

#define IS_AHEAD	(next_issue < next_take)

inline touch_ring()
{
	if
	:: RINGS -> TOUCH(RING_PAGE(q), ring)
	:: else
	fi
}

/* request_put() and queue_publish(): the driver has it back. */
inline request_put(i)
{
	touch_ring();
	assert(!HAS(lanes[q].used, i));
	assert(!requests[i].faulted || MAY_FAIL(q, i));
	lanes[q].used = lanes[q].used | (1 << (i));
#if SLEEP
	lanes[q].busy--;
#endif
	requests[i].state = FREE
}

/* queue_release_held() */
inline release_held(all)
{
	d_step {
		for (n : 0 .. REQUESTS - 1) {
			if
			:: requests[n].state == HELD && (all || slot_ticket[SLOT(q, n)] <= answered) ->
				request_put(n)
			:: else
			fi
		}
		n = 0;
		do
		:: n < REQUESTS && requests[n].state != HELD -> n++
		:: else -> break
		od;
		lanes[q].holding = lanes[q].holding && n < REQUESTS;
		n = 0
	}
}

/* vhu_request_complete(): the last access through its pointers has been. */
inline request_complete(i)
{
	d_step {
		for (n : 0 .. PAGES - 1) {
			if
			:: requests[i].pointer[n] ->
				TOUCH(n, requests[i].pointer[n]);
				requests[i].pointer[n] = 0
			:: else
			fi
		}
		n = 0;
		requests[i].watched = false;
#ifdef WRONG_PUBLISH_UNANSWERED
		holds = false;
#else
		holds = (!stopping && !frozen && slot_ticket[SLOT(q, i)] > answered);
#endif
		if
		:: !holds -> request_put(i)
		:: else -> requests[i].state = HELD
		fi
	}
}

/* vring_quiet(): with event_idx a driver that has kicked is quiet by itself. */
inline set_quiet()
{
#if !EVENT_IDX
	touch_ring();
	lanes[q].quiet = true;
#endif
	quiet = true
}

/* arm(), its first half: kicks are asked for. */
inline arm_kicks()
{
	touch_ring();
#if EVENT_IDX
	lanes[q].event = next_take;
#else
	lanes[q].quiet = false;
#endif
	quiet = false
}

/* ... and its second: what came before that is seen. */
inline arm_look()
{
	touch_ring();
	owed = (lanes[q].avail > next_take)
}

/* queue_has_work(): a look that finds something, or would be where nothing is any more. */
#define PEEKS		(serves && !halted && !frozen && !stopping && !IS_AHEAD && ring && \
			 (lanes[q].avail > next_take || ring <= there[RING_PAGE(q)]))

/* queue_rest(): before a ring is let go, which may be looked at next when it is kicked (S7). */
#define MUST_REST	(quiet && !halted && !frozen && !stopping && (!RINGS || ring))

/* A drain that takes all, or the ring's page. */
#define LETS_GO	(serves && (command == LANE_VIEW || (RINGS && ring && HAS(mask, RING_PAGE(q)))))

/* lane_drain(): what must end before the acknowledgement is marked. */
inline lane_drain(order)
{
	d_step {
		draining = order;
#ifndef WRONG_CACHE_KEPT
		for (n : 0 .. PAGES - 1) {
			if
			:: HAS(mask, n) -> cache[n] = 0
			:: else
			fi
		}
#endif
#ifndef WRONG_RING_KEPT
		frozen = (serves && (order == LANE_VIEW ||
				     (RINGS && ring && HAS(mask, RING_PAGE(q)))));
#endif
		drained_busy = false;
		for (n : 0 .. REQUESTS - 1) {
			if
			:: requests[n].state == ISSUED ->
				drained_busy = frozen;
				requests[n].watched = (frozen || (WANTS(q, n) & mask) != 0)
			:: else
			fi
		}
		n = 0
	}
}

#if SLEEP
/* lane_forget(), but for its rings. */
inline lane_forget()
{
	mask = lanes[q].left;
	lanes[q].left = 0;
	for (n : 0 .. PAGES - 1) {
		if
		:: HAS(mask, n) -> cache[n] = 0
		:: else
		fi
	}
	n = 0
}

/* Of a ring that is busy nothing was counted as forgotten: a LANE_SHOOT follows. */
#define LOSES_RING	(RINGS && ring && lanes[q].busy == 0 && HAS(mask, RING_PAGE(q)))
#endif

/* drain_finish(): the last access has ended. */
inline drain_finish()
{
	if
	:: frozen ->
		owed = owed || drained_busy;
		release_held(true);
		d_step {
			ring = 0;
			frozen = false;
			drained_busy = false;
			due = true
		}
	:: else
	fi;
	draining = NO_COMMAND;
	assert(nfull(up));
	up ! ACKNOWLEDGE, q, 0
}

/* slot_take(): a verdict is taken once. */
inline slot_take(i)
{
	d_step {
		taken = slot_state[SLOT(q, i)];
		if
		:: taken != WAITING -> slot_state[SLOT(q, i)] = IDLE
		:: else
		fi
	}
}

/* Of a hole in slot i; what is not in a report is not waited for. */
inline report_add(i, page)
{
	if
	:: reporting ->
		holes = holes | (1 << HOLE(i, page));
		slot_state[SLOT(q, i)] = WAITING
	:: else
	fi
}

inline report_send()
{
	if
	:: reporting && holes ->
		lanes[q].report_posted = true;
		assert(nfull(up));
		up ! REPORT, q, holes;
		holes = 0
	:: else
	fi;
	reporting = false
}

/* translate() of one page: the front cache, else the map, which fills it. */
inline translate(i, page)
{
	if
	:: cache[page] == 0 -> cache[page] = map[page]
	:: else
	fi;
	requests[i].pointer[page] = cache[page];
#ifdef WRONG_TRUST_REPLY
	if
	:: taken == FILLED -> requests[i].pointer[page] = given[page]
	:: else
	fi;
#endif
	if
	:: requests[i].pointer[page] == 0 ->
		holed = true;
		report_add(i, page)
	:: else
	fi
}

/* request_take(): whether there was one, in found. */
inline request_take()
{
	touch_ring();
	found = (lanes[q].avail > next_take);
	if
	:: found ->
		slot_state[SLOT(q, next_take)] = IDLE;
		next_take++
	:: else
	fi
}

/*
 * Begins with chain k: head_advance() for the first of those ahead, probe() behind
 * one that waits. In p: the first page to translate, or DATA.
 */
inline request_begin()
{
	p = DATA;
	if
	:: !blocked -> slot_take(k)
	:: else
	fi;
	if
	:: taken == WAITING -> blocked = true
	:: taken != WAITING && blocked && requests[k].probed
	:: else ->
		requests[k].retries = requests[k].retries + (taken == RETRY);
		requests[k].faulted = (requests[k].faulted || taken == REFUSED ||
				       requests[k].retries > RETRIES);
		translating = true;
		if
		:: !requests[k].faulted -> p = 0
		:: else
		fi
	fi;
	page_next()
}

inline page_next()
{
	do
	:: p < DATA && !HAS(WANTS(q, k), p) -> p++
	:: else -> break
	od
}

/* All of its pages were looked up: it is issued, or parked without a pointer (V1). */
inline request_end()
{
	if
	:: translating && !holed && !blocked ->
#if SLEEP
		lanes[q].busy++;
#endif
		requests[k].state = ISSUED;
		next_issue++
	:: translating && (holed || blocked) ->
		for (n : 0 .. PAGES - 1) {
			requests[k].pointer[n] = 0
		}
		n = 0;
		requests[k].probed = (requests[k].probed || reporting);
		blocked = true
	:: else
	fi;
	holed = false;
	translating = false;
	taken = IDLE
}

/* stop_finish(): issued requests are done, what is ahead is rewound. */
inline stop_finish()
{
	release_held(true);
	d_step {
		for (n : next_issue .. REQUESTS - 1) {
			requests[n].faulted = false;
			requests[n].probed = false;
			requests[n].retries = 0
		}
		n = 0;
		next_take = next_issue;
		stopping = false;
		serves = false;
		ring = 0;
		due = false;
		owed = false;
		halted = false
	}
	assert(nfull(up));
	up ! ACKNOWLEDGE, q, next_take
}

/* lane_settle(): the end of each turn. */
inline lane_settle()
{
	if
	:: stopping || draining != NO_COMMAND ->
		d_step {
			for (n : 0 .. REQUESTS - 1) {
#ifndef WRONG_REWIND_ISSUED
				n_issued = n_issued + (requests[n].state == ISSUED);
#endif
#ifndef WRONG_ACK_EARLY
				n_watched = n_watched + requests[n].watched;
#endif
			}
			n = 0
		}
		if
		:: stopping && n_issued == 0 -> stop_finish()
		:: else
		fi;
		if
		:: draining != NO_COMMAND && n_watched == 0 -> drain_finish()
		:: else
		fi;
		n_issued = 0;
		n_watched = 0
	:: else
	fi
}
