/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of pending misses (src/iotlb/pending.c) and what connects it to queues
 * and to the back-channel (src/backend/misses.c). The session's alone, so that
 * each function is one step, but for what workers see: verdicts and wakes.
 *
 * Replies carry no address. A miss that was sent has a number, and replies count
 * the numbers up; a number that no live miss bears belongs to an orphan (S9).
 */

/* States of a page's live miss. */
#define NONE		0
#define UNSENT		1
#define SENT		2
#define ANSWERED	3

typedef miss {
	byte state;
	byte number;
	byte waiters; /* slots of all queues */
	byte late;    /* those of them who came after it was sent */
	bool disturbed
}

#define UNANSWERED_NOW	(last_sent - last_answered)

/* queue_wake(); a queue that was told to stop is woken no more. */
inline queue_wake(q)
{
	d_step {
		if
		:: !HAS(leaving, q) && !lanes[q].wake_posted ->
			lanes[q].wake_posted = true;
			assert(nfull(down[q]));
			down[q] ! WAKE, 0;
			RING_FOR(q)
		:: else
		fi
	}
}

/* pending_resolved(): for one step; whoever waits for nothing more is settled later. */
inline pending_resolved(s, verdict_of)
{
	if
	:: verdict_of > verdict[s] -> verdict[s] = verdict_of
	:: else
	fi;
	assert(waiting[s] > 0);
	waiting[s]--;
	settle = settle | ((waiting[s] == 0) << s)
}

/* miss_resolve() and miss_retire() */
inline miss_resolve(p, verdict_of)
{
	for (tmp2 : 0 .. QUEUES * SLOTS - 1) {
		if
		:: HAS(misses[p].waiters, tmp2) ->
			/* Who came late asks for himself. */
			tmp3 = ((verdict_of == REFUSED && HAS(misses[p].late, tmp2)) -> FILLED :
											verdict_of);
			pending_resolved(tmp2, tmp3)
		:: else
		fi
	}
	miss_clear(p)
}

inline miss_clear(p)
{
	misses[p].state = NONE;
	misses[p].number = 0;
	misses[p].waiters = 0;
	misses[p].late = 0;
	misses[p].disturbed = false
}

/* pending_want(): slot s can't go on without page p. */
inline pending_want(p, s)
{
	if
	:: misses[p].state == NONE -> misses[p].state = UNSENT
	:: else
	fi;
	if
	:: !HAS(misses[p].waiters, s) ->
		misses[p].waiters = misses[p].waiters | (1 << s);
		waiting[s]++;
		if
		:: misses[p].state != UNSENT -> misses[p].late = misses[p].late | (1 << s)
		:: else
		fi;
		if
		:: misses[p].state == SENT -> set_ticket(s, misses[p].number)
		:: else
		fi
	:: else
	fi
}

/* pending_ticket() */
inline set_ticket(s, its_number)
{
	if
	:: its_number > slot_ticket[s] -> slot_ticket[s] = its_number
	:: else
	fi;
	if
	:: its_number > last_ticket[(s) / SLOTS] -> last_ticket[(s) / SLOTS] = its_number
	:: else
	fi
}

/* pending_update(): all that wait for a page of the mask look again. */
inline pending_update(pages)
{
	d_step {
		for (tmp : 0 .. PAGES - 1) {
			if
			:: HAS(pages, tmp) && misses[tmp].state != NONE ->
#ifdef WRONG_TRUST_REPLY
				given[tmp] = map[tmp]
#else
				miss_resolve(tmp, FILLED)
#endif
			:: else
			fi
		}
		tmp = 0
	}
}

inline pending_disturb(pages)
{
	for (tmp : 0 .. PAGES - 1) {
		misses[tmp].disturbed = (misses[tmp].disturbed ||
					 (HAS(pages, tmp) && misses[tmp].state != NONE))
	}
}

/* pending_reply(): the reply to the oldest miss. */
inline pending_reply(is_refused)
{
	d_step {
		assert(last_sent > last_answered); /* or it was a reply to nothing */
		last_answered++;
		orphaned = true;
		for (tmp : 0 .. PAGES - 1) {
			if
			:: misses[tmp].state == SENT && misses[tmp].number == last_answered ->
				orphaned = false;
				if
				:: is_refused -> miss_resolve(tmp, REFUSED)
#ifdef WRONG_TRUST_REPLY
				:: else -> miss_resolve(tmp, FILLED)
#else
				:: else -> misses[tmp].state = ANSWERED
#endif
				fi
			:: else
			fi
		}
		tmp = 0
	}
}

/* pending_judge(): what was answered, and not given (S4). */
inline pending_judge()
{
	d_step {
		for (tmp : 0 .. PAGES - 1) {
			if
			:: misses[tmp].state == ANSWERED ->
				tmp4 = (misses[tmp].disturbed -> RETRY : REFUSED);
				miss_resolve(tmp, tmp4)
			:: else
			fi
		}
		tmp = 0
	}
}

/* pending_drop_ring() and pending_unsend(): nobody of the queue waits any more. */
inline pending_drop_ring(q)
{
	for (tmp : 0 .. PAGES - 1) {
		misses[tmp].waiters = misses[tmp].waiters & ~(((1 << SLOTS) - 1) << SLOT(q, 0));
		misses[tmp].late = misses[tmp].late & misses[tmp].waiters;
		if
		:: misses[tmp].waiters == 0 -> miss_clear(tmp)
		:: else
		fi
	}
	if
	:: running == 0 ->
		do
		:: len(unsent) > 0 ->
			unsent ? tmp;
			last_sent--
		:: else -> break
		od;
#ifdef WRONG_CLEAR_FIFO
		last_answered = last_sent
#endif
	:: else
	fi
}

/* channel_free(): what was not sent never will be. */
inline back_drop()
{
	do
	:: len(unsent) > 0 -> unsent ? tmp
	:: else -> break
	od;
	tmp = 0
}

/* pending_fail(): who came late is not spared. */
inline pending_fail()
{
	last_answered = last_sent;
	for (tmp : 0 .. PAGES - 1) {
		misses[tmp].late = 0;
		miss_resolve(tmp, REFUSED)
	}
	tmp = 0
}

/* misses_send(): as many as the window and the socket take; nothing while all is stopped (S6). */
inline misses_send()
{
	d_step {
		for (tmp : 0 .. PAGES - 1) {
			if
			:: running != 0 && !lost && UNANSWERED_NOW < WINDOW && misses[tmp].state == UNSENT ->
				last_sent++;
				misses[tmp].state = SENT;
				misses[tmp].number = last_sent;
				for (tmp2 : 0 .. QUEUES * SLOTS - 1) {
					if
					:: HAS(misses[tmp].waiters, tmp2) ->
						set_ticket(tmp2, last_sent)
					:: else
					fi
				}
				unsent ! tmp
			:: else
			fi
		}
		tmp = 0
	}
	misses_flush()
}

/* channel_flush() */
inline misses_flush()
{
	d_step {
		do
		:: len(unsent) > 0 && len(back_request) < ROOM ->
			unsent ? tmp;
			back_request ! tmp
		:: else -> break
		od;
		tmp = 0
	}
}
