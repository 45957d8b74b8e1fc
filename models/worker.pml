/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one lane with one queue (src/backend/lane.c, queue.c, pump.c,
 * request.c). A turn of its loop is what stands behind a "::" of the outer do:
 * mails are read only there, and never in the middle of a burst. An atomic holds
 * one access to what others change, and what is the worker's own around it.
 *
 * Where rings are not behind the IOMMU (RINGS 0) they are mapped for ever.
 */

proctype worker(byte q)
{
	/* The lane */
	byte cache[PAGES];
	mtype:mail draining;

	/* Its queue */
	request requests[REQUESTS];
	byte next_issue, next_take;
	byte ring; /* pointer to its page */
	bool quiet; /* it was told not to kick, since it was mapped */
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
#if SLEEP
	/* loop_run(), look_on(): between any two turns, whether there is more to do or not */
	:: lanes[q].asleep = true;
		goto asleep
	:: atomic { lanes[q].left != 0 -> goto forget }
#endif
#if LOOK
	/* Now and then kicks are asked for. */
	:: atomic { serves && MUST_REST -> goto rest }
#endif

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
		:: command == LANE_STOP && MUST_REST -> goto rest
		:: command == LANE_STOP && !MUST_REST -> stopping = true
		:: (command == LANE_SHOOT || command == LANE_VIEW) && MUST_REST && LETS_GO -> goto rest
		:: (command == LANE_SHOOT || command == LANE_VIEW) && !(MUST_REST && LETS_GO) ->
			goto drain
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
#ifndef WRONG_HALT_UNSHOWN
			lanes[q].halted_seen = true;
#endif
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
			:: ring ->
				quiet = false;
				goto round_quiet
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
		:: DRIVERS && !quiet ->
			set_quiet();
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
		/* The session may be waiting for this worker: the rest comes in another round. */
		:: !blocked && len(commands) > 0 ->
			due = true;
			goto round_over
		:: !(blocked && !reporting) && !(!blocked && len(commands) > 0) -> goto chain
		fi;

round_end:
		if
		:: reporting && holes -> goto round_report
		:: else
		fi;
round_reported:
		if
		/* Who looks asks for kicks later. */
		:: LOOK && !IS_AHEAD -> goto round_over
		:: DRIVERS && !(LOOK && !IS_AHEAD) ->
			arm_kicks();
			goto arm
		:: else
		fi;
arm_here:
		arm_look();
		due = (due || owed);
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

#if SLEEP
		lanes[q].restless = (owed || IS_AHEAD);
#endif

settle:
		command = NO_COMMAND;
		mask = 0;
		lane_settle();
		goto turn;

drain:
		lane_drain(command);
		MEET(SHOT_WHILE_ISSUED, requests[0].watched && !frozen);
		MEET(FROZEN_WHILE_ISSUED, requests[0].watched && frozen);
		goto settle;

rested:
		if
		:: command == LANE_STOP ->
			stopping = true;
			goto settle
		:: command == LANE_SHOOT || command == LANE_VIEW -> goto drain
#if LOOK
		:: command == NO_COMMAND && mask == 0 -> goto turn
#endif
		:: else
		fi;
#if SLEEP
unmap_left:
		ring = 0;
		due = (due || (serves && (owed || IS_AHEAD)));
		mask = 0;
#endif

turn:
		skip }
	od;

#if LOOK
	/* look_on(): what is posted, and the ring's index; with it, fds */
asleep:
end_asleep:
	if
	:: atomic {
		len(commands) > 0 || lanes[q].left != 0 || (serves && (due || lanes[q].kicked)) ||
			requests[0].state == ISSUED || requests[1 % REQUESTS].state == ISSUED ||
			requests[2 % REQUESTS].state == ISSUED }
	:: atomic { PEEKS ->
		touch_ring();
		MEET(FOUND_BY_LOOKING, true);
		owed = true;
		due = true }
	fi;
	goto wake;
#elif SLEEP
	/* take_turn(), a look at what came before that, and sleep */
asleep:
#ifndef WRONG_SLEEP_UNCHECKED
	if
	:: len(commands) > 0 || lanes[q].left != 0 || (serves && due) -> goto wake
	:: else
	fi;
#endif
end_asleep:
	atomic {
		lanes[q].rung || (serves && lanes[q].kicked) || requests[0].state == ISSUED ||
			requests[1 % REQUESTS].state == ISSUED ||
			requests[2 % REQUESTS].state == ISSUED -> lanes[q].rung = false
	}
#endif
#if SLEEP
	/* wake_up(), and what was left with the lane, before anything else */
wake:
	atomic {
		lanes[q].asleep = false;
		lanes[q].woken = true
	}
#ifdef WRONG_WAKE_UNFORGOTTEN
	goto end;
#endif
forget:
	atomic {
		lane_forget();
		if
		:: LOSES_RING && MUST_REST -> goto rest
		:: LOSES_RING && !MUST_REST -> goto unmap_left
		:: else -> mask = 0;
			goto turn
		fi
	}
#endif

	/* Where others may come in between, in the order of the above. */
rest:
	atomic { arm_kicks() }
	atomic {
		arm_look();
#if SLEEP
		lanes[q].restless = (owed || IS_AHEAD);
#endif
		goto rested
	}
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
#ifdef WRONG_HALT_UNSHOWN
	slot_take(RING_SLOT);
#endif
	atomic {
#ifdef WRONG_HALT_UNSHOWN
		lanes[q].halted_seen = true;
#else
		slot_take(RING_SLOT);
#endif
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
