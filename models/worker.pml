/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one lane with one queue (src/backend/lane.c, queue.c, pump.c,
 * request.c). A turn of its loop is what stands behind a "::" of the outer do:
 * mails are read only there, and never in the middle of a burst. An atomic holds
 * one access to what others change, and what is the worker's own around it.
 *
 * Where rings are not behind the IOMMU (RINGS 0) they are mapped for ever.
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
		frozen = serves && (order == LANE_VIEW ||
				    (RINGS && ring && HAS(mask, RING_PAGE(q))));
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

proctype worker(byte q)
{
	/* The lane */
	byte cache[PAGES];
	mtype:mail draining;

	/* Its queue */
	request requests[REQUESTS];
	byte next_issue, next_take;
	byte ring; /* pointer to its page */
	bool serves = STARTED, owed = STARTED, due = STARTED;
	bool frozen, drained_busy, halted, stopping;

	/* Of a turn */
	mtype:mail command;
	short holes;
	byte mask, taken, n, p, k, n_issued, n_watched;
	bool reporting, translating, holed, blocked, holds, found;
	chan commands = down[q];

	xr commands;

end:
	do
	/* lane_obey() and queue_woken() */
	:: atomic { commands ? command, mask ->
		if
		:: command == WAKE ->
			lanes[q].wake_posted = false;
			due = serves;
			goto woken
		:: command == LANE_START ->
			serves = true;
			owed = true;
			due = true;
			up ! ACKNOWLEDGE, q, 0
		:: command == LANE_STOP -> stopping = true
		:: command == LANE_SHOOT || command == LANE_VIEW ->
			lane_drain(command);
			MEET(SHOT_WHILE_ISSUED, requests[0].watched && !frozen);
			MEET(FROZEN_WHILE_ISSUED, requests[0].watched && frozen)
		:: command == LANE_LEAVE -> goto leave
		fi;
		goto settle }

	/* queue_kicked() */
	:: atomic { serves && lanes[q].kicked ->
		lanes[q].kicked = false;
		owed = true;
		halted = false;
		lanes[q].halted_seen = false;
		due = true }

	/* The kernel has done with one of those that it was given, whichever. */
	:: atomic { requests[0].state == ISSUED -> k = 0; goto complete }
	:: atomic { requests[1 % REQUESTS].state == ISSUED -> k = 1 % REQUESTS; goto complete }
	:: atomic { requests[2 % REQUESTS].state == ISSUED -> k = 2 % REQUESTS; goto complete }

	/* queue_pump() */
	:: atomic { serves && due ->
		due = false;
		if
		:: halted || frozen || stopping || !(owed || IS_AHEAD) -> goto pumped
		:: else
		fi;
#ifdef WRONG_OWED
		owed = false;
#endif
		if
		:: !RINGS || ring -> goto round
		:: else
		fi;

		/* queue_map(), and of it ring_slot_take() */
		taken = slot_state[SLOT(q, RING_SLOT)];
		if
		:: taken == WAITING ->
			taken = IDLE;
			goto pumped
		:: taken == REFUSED ->
			lanes[q].halted_seen = true;
			goto take_refusal
		:: else -> slot_take(RING_SLOT)
		fi;
		taken = IDLE;
		found = true; /* for the ring's page, not for a round */
		goto report_open;

round:
		found = false;
		goto report_open }

	/* What follows is reached by a goto, from inside of an atomic. */
	:: atomic { false -> skip;

complete:
		request_complete(k);
		if
		:: holds -> goto hold
		:: else
		fi;
		k = 0;
		goto settle;

report_open:
		reporting = !lanes[q].report_posted;
		if
		:: !reporting -> goto report_wanted
		:: else
		fi;
report_opened:
		if
		:: found && reporting ->
			found = false;
			ring = map[RING_PAGE(q)];
			if
			:: ring -> goto round_quiet
			:: else ->
				report_add(RING_SLOT, RING_PAGE(q));
				goto map_report
			fi
		:: found && !reporting ->
			found = false;
			goto pumped
		:: else
		fi;

round_quiet:
#ifndef WRONG_OWED
		owed = true;
#endif
		k = next_issue;
		if
		:: DRIVERS ->
			touch_ring();
			lanes[q].quiet = true;
			goto chain
		:: else
		fi;
chain_here:
		if
		:: k == next_take -> request_take()
		:: else -> found = true
		fi;
		if
		:: !found -> goto round_end
		:: else
		fi;
		found = false;
		request_begin();
page_here:
		if
		:: p < DATA ->
			translate(k, p);
			p++;
			page_next()
		:: else
		fi;
		if
		:: p < DATA -> goto page
		:: else
		fi;
		p = 0;
#ifdef WRONG_GATE
		goto gate;
gate_passed:
#endif
		request_end();
		if
		:: requests[k].state == ISSUED && requests[k].faulted -> goto complete_faulted
		:: else
		fi;
chain_done:
		k++;
		if
		/* Its report is still with the session, which was told to wake it. */
		:: blocked && !reporting -> goto round_over
		:: else -> goto chain
		fi;

round_end:
		if
		:: reporting && holes -> goto round_report
		:: else
		fi;
round_reported:
		if
		:: DRIVERS ->
			touch_ring();
			lanes[q].quiet = false;
			goto arm
		:: else
		fi;
arm_here:
		touch_ring();
		if
		:: lanes[q].avail > next_take -> due = true
		:: else -> owed = false
		fi;
round_over:
		blocked = false;
		reporting = false;
		k = 0;

pumped:
		/* Of those that are held, who may go. */
		if
		:: lanes[q].holding -> release_held(false)
		:: else
		fi;

settle:
		command = NO_COMMAND;
		mask = 0;
		lane_settle() }
	od;

	/* Where others may come in between, in the order of the above. */
woken:
	atomic {
		if
		:: lanes[q].unhalt ->
			lanes[q].unhalt = false;
			lanes[q].halted_seen = false;
			halted = false
		:: else
		fi;
		goto settle
	}
take_refusal:
	atomic {
		slot_take(RING_SLOT);
		if
		:: taken == REFUSED -> halted = true
		:: else -> lanes[q].halted_seen = false
		fi;
		MEET(RING_HALTED, halted);
		if
		:: taken == REFUSED ->
			taken = IDLE;
			goto pumped
		:: else ->
			taken = IDLE;
			found = true;
			goto report_open
		fi
	}
hold:
	lanes[q].holding = true;
	atomic {
		MEET(HELD_BACK, true);
#ifndef WRONG_HOLD_UNCHECKED
		due = due || slot_ticket[SLOT(q, k)] <= answered;
#endif
		holds = false;
		k = 0;
		goto settle
	}
complete_faulted:
	atomic {
		request_complete(k);
		if
		:: holds -> goto hold_faulted
		:: else -> goto chain_done
		fi
	}
hold_faulted:
	lanes[q].holding = true;
	atomic {
		due = due || slot_ticket[SLOT(q, k)] <= answered;
		holds = false;
		goto chain_done
	}
report_wanted:
	lanes[q].report_wanted = true;
	atomic {
#ifndef WRONG_REPORT_UNCHECKED
		reporting = !lanes[q].report_posted;
		if
		:: reporting -> lanes[q].report_wanted = false
		:: else
		fi;
#endif
		goto report_opened
	}
map_report:
	atomic {
		report_send();
		goto pumped
	}
chain:
	atomic { goto chain_here }
page:
	atomic { goto page_here }
#ifdef WRONG_GATE
	/* A shootdown is served with pointers in hand that it does not see. */
gate:
	atomic {
		if
		:: commands ? [LANE_SHOOT, _] ->
			commands ? LANE_SHOOT, mask;
			lane_drain(LANE_SHOOT);
			drain_finish();
			mask = 0
		:: else
		fi;
		goto gate_passed
	}
#endif
round_report:
	atomic {
		report_send();
		reporting = true;
		goto round_reported
	}
arm:
	atomic { goto arm_here }

leave:
	atomic {
		assert(!serves);
		for (n : 0 .. REQUESTS - 1) {
			assert(requests[n].state == UNISSUED || requests[n].state == FREE)
		}
		up ! ACKNOWLEDGE, q, 0
	}
}
