/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The session thread (src/backend/dispatch.c, on_iotlb.c, on_vring.c, on_memory.c,
 * operation.c, misses.c, session.c). A message whose answer depends on workers
 * becomes an operation; until it is over the next one waits in its socket, and
 * all else goes on.
 */

/* What comes when all lanes have acknowledged. */
mtype:steps = { REPLY_TO_REMOVAL, UPDATE_DRAINED, STOP_ACKNOWLEDGED, STOP_FLUSHED,
	       START_ACKNOWLEDGED, TABLE_TAKEN, CLOSING_LEFT };

#define NO_STEP		0

#define OPEN		0
#define CLOSING		1
#define OVER		2

/* What the front-end may be waiting for. */
#ifdef WRONG_WAIT_FOR_MISS
#define READY_FOR_MAIN	(UNANSWERED_NOW == 0)
#else
#define READY_FOR_MAIN	true
#endif

/* pending_has_answered() */
#define HAS_ANSWERED	(misses[0].state == ANSWERED || misses[1 % PAGES].state == ANSWERED || \
			 misses[2 % PAGES].state == ANSWERED || misses[3 % PAGES].state == ANSWERED)

/* The update that belongs to a reply was sent before it, and may be yet to be read (S4). */
#ifdef WRONG_JUDGE_UNREAD
#define HAS_READ_ALL	true
#else
#define HAS_READ_ALL	empty(main_request)
#endif

/* Replies are read while misses wait to be sent, or both sides wait for ever (S3). */
#ifdef WRONG_SEND_FIRST
#define READY_FOR_REPLY	(len(unsent) == 0)
#else
#define READY_FOR_REPLY	true
#endif

/* slot_settle() of all that were resolved: the verdict, then the wake. */
inline slots_settle()
{
	do
	:: settle == 0 -> break
	:: else ->
		if
		:: HAS(settle, s) ->
			slot_state[s] = (verdict[s] -> verdict[s] : FILLED);
			verdict[s] = 0;
			settle = settle & ~(1 << s);
			queue_wake(s / SLOTS)
		:: else
		fi;
		s++
	od;
	s = 0
}

/* ring_updated(), its first half: an update outweighs a refusal; whether one was taken. */
inline ring_updated()
{
	if
	:: verdict[SLOT(q, RING_SLOT)] == REFUSED -> verdict[SLOT(q, RING_SLOT)] = FILLED
	:: else
	fi;
	done = (slot_state[SLOT(q, RING_SLOT)] != REFUSED);
	if
	:: !done -> slot_state[SLOT(q, RING_SLOT)] = FILLED
	:: else
	fi
}

/* take_holes(): what was given meanwhile is none (S1). */
inline take_holes()
{
	for (tmp : 0 .. SLOTS - 1) {
		tmp3 = 0;
		waiting[SLOT(q, tmp)]++;
		for (tmp2 : 0 .. PAGES - 1) {
			if
			:: HAS(holes, HOLE(tmp, tmp2)) ->
				tmp3 = 1;
				if
				:: lost -> verdict[SLOT(q, tmp)] = REFUSED
				:: !lost && map[tmp2] == 0 -> pending_want(tmp2, SLOT(q, tmp))
				:: else -> MEET(REPORT_OVERTAKEN, true)
				fi
			:: else
			fi
		}
		waiting[SLOT(q, tmp)]--;
		settle = settle | ((tmp3 && waiting[SLOT(q, tmp)] == 0) << SLOT(q, tmp))
	}
	tmp = 0;
	tmp2 = 0;
	tmp3 = 0
}

/* queue_new() */
inline queue_new(q)
{
	d_step {
		for (tmp : 0 .. SLOTS - 1) {
			slot_state[SLOT(q, tmp)] = IDLE;
			slot_ticket[SLOT(q, tmp)] = 0;
			waiting[SLOT(q, tmp)] = 0;
			verdict[SLOT(q, tmp)] = 0
		}
		lanes[q].wake_posted = false;
		lanes[q].unhalt = false;
		lanes[q].holding = false;
		lanes[q].halted_seen = false;
		assert(!lanes[q].report_posted);
		lanes[q].report_wanted = false;
		last_ticket[q] = 0;
		leaving = leaving & ~(1 << q);
		running = running | (1 << q)
	}
}

/* Takes pages from the map; whether there were any. */
inline iotlb_remove(pages)
{
	d_step {
		pending_disturb(pages);
		done = false;
		for (tmp : 0 .. PAGES - 1) {
			if
			:: HAS(pages, tmp) ->
				done = (done || map[tmp] != 0);
				map[tmp] = 0
			:: else
			fi
		}
		tmp = 0
	}
}

/* apply() of an update; whether something was lost by it. */
inline iotlb_update(pages, anew)
{
	d_step {
		done = false;
		for (tmp : 0 .. PAGES - 1) {
			if
			:: HAS(pages, tmp) ->
				done = (done || (map[tmp] != 0 && map[tmp] != lent[tmp] + 1 + anew));
				map[tmp] = lent[tmp] + 1 + anew
			:: else
			fi
		}
		tmp = 0
	}
}

/* The memory of all pages goes, as far as this process has mapped it. */
inline memory_unmap()
{
	d_step {
		for (tmp : 0 .. PAGES - 1) {
			there[tmp] = lent[tmp] + 1
		}
		tmp = 0
	}
}

proctype session()
{
	/* Main channel and operation */
	byte state = OPEN;
	byte running = (STARTED -> (1 << QUEUES) - 1 : 0), leaving; /* queues */
	mtype:message kind;
	mtype:mail command;
	mtype:steps step;
	byte outstanding, range, to, base;

	/* Back-channel */
	miss misses[PAGES];
	chan unsent = [WINDOW] of { byte }; /* in the channel's own queue */
	byte last_sent, last_answered;
	byte last_ticket[QUEUES];
	byte waiting[QUEUES * SLOTS]; /* misses that a slot waits for */
	byte verdict[QUEUES * SLOTS]; /* the worst of those that were resolved */
	byte settle;                  /* slots whose verdict is not out yet */

	/* Of a turn */
	short holes;
	byte q, s, before, tmp, tmp2, tmp3, tmp4;
	bool done, orphaned, lost, of_ring;

	xr up;

end:
	do
	/* session_read_main() */
	:: atomic { state == OPEN && step == NO_STEP && READY_FOR_MAIN && nempty(main_request) ->
		main_request ? kind, range;
		if
		:: kind == INVALIDATE ->
			iotlb_remove(range);
			if
			:: done ->
				command = LANE_SHOOT;
				to = ALL_QUEUES
			:: else
			fi;
			step = REPLY_TO_REMOVAL
		:: kind == UPDATE || kind == UPDATE_ANEW ->
			iotlb_update(range, (kind == UPDATE_ANEW));
			if
			:: done ->
				command = LANE_SHOOT;
				to = ALL_QUEUES
			:: else
			fi;
			step = UPDATE_DRAINED
		:: kind == TABLE ->
			range = ALL_PAGES;
			iotlb_remove(range);
			if
			:: running != 0 ->
				command = LANE_VIEW;
				to = ALL_QUEUES
			:: else
			fi;
#ifdef WRONG_UNMAP_EARLY
			memory_unmap();
#endif
			step = TABLE_TAKEN
		:: kind == STOP ->
			assert(HAS(running, range));
			command = LANE_STOP;
			to = range;
			step = STOP_ACKNOWLEDGED
		:: kind == START ->
			queue_new(range);
			command = LANE_START;
			to = range;
			step = START_ACKNOWLEDGED
		fi;
		kind = 0;
		goto operation_run }

	/* Mails: acknowledgements, and reports of holes */
	:: atomic { up ? command, q, holes ->
		if
		:: command == ACKNOWLEDGE ->
			base = (step == STOP_ACKNOWLEDGED -> holes : base);
			outstanding--;
			command = NO_COMMAND;
			q = 0;
			holes = 0;
			goto operation_step
		:: command == REPORT && !HAS(leaving, q) && state == OPEN ->
			take_holes();
			slots_settle()
		:: else
		fi;
		command = NO_COMMAND;
		holes = 0;
		goto report_give_back }

	/* back_ready() */
	:: atomic { state == OPEN && READY_FOR_REPLY && !lost && nempty(back_reply) ->
		back_reply ? done;
		MEET(JAMMED, len(unsent) > 0 && len(back_request) == ROOM && len(back_reply) + 1 == ROOM);
		pending_reply(done);
		MEET(REPLY_OVERTOOK_UPDATE, HAS_ANSWERED && len(main_request) > 0);
		MEET(REFUSED_AS_ORPHAN, orphaned && done && running != 0);
		orphaned = false;
		slots_settle();
		goto announce }
	:: atomic { state == OPEN && !lost && len(unsent) > 0 && len(back_request) < ROOM ->
		misses_flush() }

	/* misses_judge(): the main channel has been read to its end */
	:: atomic { state == OPEN && step == NO_STEP && HAS_ANSWERED && HAS_READ_ALL ->
		MEET(UNSATISFIED, true);
		pending_judge();
		slots_settle();
		misses_send() }

	/* misses_close(): nobody will be asked any more, whoever waits is refused (S11) */
	:: atomic { state == OPEN && !lost && back_lost ->
		lost = true;
		back_drop();
		pending_fail();
		MEET(LOST_WHILE_WAITING, settle != 0);
		slots_settle();
		goto announce }

	/* session_close() */
	:: atomic { state == OPEN && hung_up ->
		state = CLOSING;
		MEET(DIED_IN_OPERATION, outstanding > 0);
		back_drop();
		if
		:: step == NO_STEP -> goto session_closing
		:: else
		fi }

	:: atomic { state == OVER -> goto session_free }

	/* What follows is reached by a goto, from inside of an atomic. */
	:: atomic { false -> skip;

operation_run:
		/* Commands to all lanes or to one, if there is a command. */
		if
		:: command == LANE_STOP -> leaving = leaving | (1 << to)
#if SLEEP
		:: command == LANE_SHOOT -> goto shoot
#endif
		:: else
		fi;
		for (q : 0 .. QUEUES - 1) {
			if
			:: command != NO_COMMAND && (to == ALL_QUEUES || to == q) ->
				outstanding++;
				assert(nfull(down[q]));
				down[q] ! command, range;
				RING_FOR(q)
			:: else
			fi
		}
		q = 0;
all_shot:
		command = NO_COMMAND;

operation_step:
		/* What follows when all have acknowledged. */
		if
		:: outstanding > 0 -> goto turn
		:: else
		fi;
		if
		:: step == UPDATE_DRAINED ->
			pending_update(range);
			slots_settle();
			q = QUEUES;
			if
			:: RINGS -> goto rings_updated
			:: else
			fi
		:: step == START_ACKNOWLEDGED -> misses_send()
		:: step == TABLE_TAKEN -> memory_unmap()
		:: step == STOP_ACKNOWLEDGED ->
			running = running & ~(1 << to);
			pending_drop_ring(to);
			if
			:: running == 0 ->
				/* The last one has stopped: everything is flushed (F1). */
				range = ALL_PAGES;
				iotlb_remove(range);
				command = LANE_SHOOT;
				to = ALL_QUEUES;
				step = STOP_FLUSHED;
				goto operation_run
			:: else
			fi
		:: step == CLOSING_LEFT ->
			state = OVER;
			step = NO_STEP;
			goto turn
		:: else
		fi;

session_finish:
		step = NO_STEP;
		range = 0;
		to = 0;
		q = 0;
		if
		:: state == OPEN ->
			main_reply ! base;
			base = 0;
			goto turn
		:: else
		fi;

session_closing:
		/* Stops one ring after the other, then leaves the lanes. */
		base = 0;
		to = 0;
		do
		:: to < QUEUES && !HAS(running, to) -> to++
		:: else -> break
		od;
		if
		:: to < QUEUES ->
			command = LANE_STOP;
			step = STOP_ACKNOWLEDGED
		:: else ->
			command = LANE_LEAVE;
			step = CLOSING_LEFT
		fi;
		goto operation_run;

turn:
		done = false }
	od;

#if SLEEP
	/* operation_shoot(), and of it lane_leave(): between two looks at the loop's turn. */
#ifdef WRONG_LOOKED_AT
#define RING_IS_READ	false
#else
#define RING_IS_READ	LOOK
#endif
shoot:
#ifdef WRONG_RESTLESS_BEFORE
	of_ring = (RINGS && HAS(range, RING_PAGE(q)) && lanes[q].restless);
#endif
	atomic {
#ifndef WRONG_RESTLESS_BEFORE
		of_ring = (RINGS && HAS(range, RING_PAGE(q)));
#endif
		done = lanes[q].asleep;
		lanes[q].woken = false;
		if
		:: !done -> goto shoot_awake
		:: else
		fi
	}
	atomic {
#ifndef WRONG_SKIP_BUSY
		done = (lanes[q].busy == 0 && !(of_ring && (RING_IS_READ || lanes[q].restless)));
#endif
		if
		:: !done -> goto shoot_awake
		:: else
		fi
	}
	lanes[q].left = lanes[q].left | range;
	atomic {
#ifndef WRONG_SKIP_WOKEN
		done = (lanes[q].asleep && !lanes[q].woken);
#endif
		MEET(LEFT_ASLEEP, done && !LOOK);
		MEET(LEFT_LOOKING, done && LOOK);
		MEET(LEFT_AND_WOKEN, !done);
		if
		:: done -> goto shoot_next
		:: else
		fi
	}
shoot_awake:
	atomic {
		outstanding++;
		assert(nfull(down[q]));
		down[q] ! LANE_SHOOT, range;
		RING_FOR(q);
		goto shoot_next
	}
shoot_next:
	atomic {
		of_ring = false;
		q++;
		if
		:: q < QUEUES -> goto shoot
		:: else ->
			q = 0;
			goto all_shot
		fi
	}
#endif

	/* Where others may come in between, in the order of the above. */
report_give_back:
	lanes[q].report_posted = false;
	atomic {
		done = lanes[q].report_wanted;
		lanes[q].report_wanted = false;
		if
		:: done -> queue_wake(q)
		:: else
		fi;
		q = 0;
		misses_send();
		goto turn
	}

	/* announce_answered(): Dekker with the hold of a request. */
announce:
	atomic {
		before = answered;
		answered = last_answered
	}
	atomic {
		for (q : 0 .. QUEUES - 1) {
			if
			:: HAS(running, q) && last_ticket[q] > before && lanes[q].holding ->
				queue_wake(q)
			:: else
			fi
		}
		q = 0;
		before = 0;
		misses_send();
		goto turn
	}

	/* misses_updated() */
rings_updated:
	atomic {
		do
		:: q > 0 ->
			q--;
			if
			:: HAS(running, q) && HAS(range, RING_PAGE(q)) ->
				ring_updated();
				if
				:: done -> goto unhalt
				:: else
				fi
			:: else
			fi
		:: else -> goto session_finish
		od
	}
unhalt:
	atomic {
		if
		:: lanes[q].halted_seen ->
			lanes[q].unhalt = true;
			goto unhalt_wake
		:: else -> goto rings_updated
		fi
	}
unhalt_wake:
	atomic {
		queue_wake(q);
		goto rings_updated
	}

	/* session_free(): nobody may have a pointer any more. */
session_free:
	memory_unmap()
}
