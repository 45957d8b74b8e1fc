/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The other side: a front-end that is one thread, as QEMU is under its big lock,
 * and serves nothing while it awaits a reply; the drivers, who see rings only.
 */

/* Waits for the reply to what was sent; may be killed meanwhile. */
inline await()
{
	if
	:: main_reply ? base
	:: HANGUPS -> goto killed
	fi
}

/* What was behind these pages belongs to the front-end again. */
inline take_back(pages)
{
	d_step {
		for (tmp : 0 .. PAGES - 1) {
			if
			:: HAS(pages, tmp) ->
				lent[tmp]++;
				there[tmp] = lent[tmp]
			:: else
			fi
		}
		tmp = 0
	}
}

/* Whether a request that is not done wants the page; scenarios that ask have no more. */
#define STILL(q, i, p)	(!HAS(lanes[q].used, i) && HAS(WANTS(q, i), p))
#define IS_WANTED(p)	(STILL(0, 0, p) || STILL(0, 1 % REQUESTS, p) || \
			 STILL(1 % QUEUES, 0, p) || STILL(1 % QUEUES, 1 % REQUESTS, p))

proctype frontend()
{
	byte page, pages, q;
	byte n_invalidations, n_replacements, n_unmaps, n_refusals, n_gives, n_pushes, n_lies, n_restarts, n_tables;
	byte unmapped; /* by drivers that have no request there any more */
	byte base, tmp;
	bool stopped = !STARTED;

end:
	do
	/* A miss has come. Nothing is looked up for a device that is stopped. */
	:: atomic { stopped && nempty(back_request) && nfull(back_reply) ->
		back_request ? page;
		back_reply ! true }
	:: atomic { !stopped && !back_lost && nempty(back_request) ->
		back_request ? page;
		pages = 1 << page;
		if
		:: !mapped[page] ->
			/* The driver's kernel would log a DMA fault. */
			assert(!HAS(unmapped, page));
			goto refuse
		:: mapped[page] && LARGE -> pages = ALL_PAGES & ~unmapped
		:: mapped[page]
		:: n_lies < LIES ->
			n_lies++;
			ever_refused = ever_refused | (1 << page);
			pages = 0;
			goto lie
		fi;
		main_request ! UPDATE, pages;
		pages = 0;
		if
		:: EAGER -> goto reply
		:: else
		fi }
		atomic { await();
		goto reply }

	:: atomic { !stopped && n_invalidations < INVALIDATIONS ->
		n_invalidations++;
		pages = HITS(n_invalidations);
		main_request ! INVALIDATE, pages;
		goto removed }
	:: atomic { !stopped && n_replacements < REPLACEMENTS ->
		n_replacements++;
		pages = 1;
		main_request ! UPDATE_ANEW, pages;
		goto removed }
	:: atomic { !stopped && n_tables < TABLES ->
		n_tables++;
		pages = ALL_PAGES;
		main_request ! TABLE, pages;
		goto removed }

	/* A driver that has its requests back unmaps what they wanted. */
	:: atomic { n_unmaps < UNMAPS && !IS_WANTED(n_unmaps) ->
		mapped[n_unmaps] = false;
		pages = 1 << n_unmaps;
		unmapped = unmapped | pages;
		n_unmaps++;
		main_request ! INVALIDATE, pages;
		goto removed }

	/* The ring's page is taken away, and perhaps given back. */
	:: atomic { n_refusals < REFUSALS ->
		n_refusals++;
		pages = 1 << RING_PAGE(0);
		ever_refused = pages;
		mapped[RING_PAGE(0)] = false;
		main_request ! INVALIDATE, pages;
		goto removed }
	:: atomic { n_refusals > 0 && n_gives < GIVES ->
		n_gives++;
		mapped[RING_PAGE(0)] = true;
		main_request ! UPDATE, 1 << RING_PAGE(0) }
		atomic { await() }

	:: atomic { !stopped && n_pushes < PUSHES ->
		n_pushes++;
		main_request ! UPDATE, 1 }
		atomic { await() }

	/* All rings stop, one after the other, and start again. */
	:: atomic { !stopped && n_restarts < RESTARTS ->
		n_restarts++;
		main_request ! STOP, q;
		goto stopping }
	:: atomic { stopped ->
		stopped = false;
		main_request ! START, q;
		goto starting }

	/* It closes the back-channel, and all that needs a translation may fail. */
	:: atomic { LOSSES && !back_lost ->
		back_lost = true;
		ever_refused = ALL_PAGES }

	:: atomic { HANGUPS -> goto killed }

	:: atomic { false -> skip;
next:
		page = 0;
		base = 0 }
	od;

	/* What was behind these pages belongs to the front-end again. */
removed:
	atomic {
		await();
		take_back(pages);
		pages = 0;
		goto next
	}
refuse:
	atomic {
		back_reply ! true;
		goto next
	}
lie:
	atomic {
		back_reply ! false;
		goto next
	}
reply:
	atomic {
		back_reply ! false;
		page = 0
	}
	if
	:: EAGER -> await()
	:: else
	fi;
	goto end;

	/* Where a ring stopped all before is done, and nothing behind was begun. */
stopping:
	atomic {
		await();
		assert(lanes[q].used == (1 << base) - 1);
		q++;
		if
		:: q < QUEUES ->
			main_request ! STOP, q;
			goto stopping
		:: else ->
			q = 0;
			take_back(ALL_PAGES);
			stopped = true;
			goto next
		fi
	}
starting:
	atomic {
		await();
		q++;
		if
		:: q < QUEUES ->
			main_request ! START, q;
			goto starting
		:: else ->
			q = 0;
			goto next
		fi
	}

killed:
	hung_up = true
}

/* vring_driver_kick_needed(): the index at which a kick was asked for has just been passed. */
#if EVENT_IDX
#define KICK_WANTED(q)	(lanes[q].event == lanes[q].avail - 1)
#else
#define KICK_WANTED(q)	(!lanes[q].quiet)
#endif

/* A driver: makes requests available and kicks if it is asked to. */
proctype driver(byte q)
{
	do
	:: lanes[q].avail < REQUESTS ->
		lanes[q].avail++;
		if
		:: KICK_WANTED(q) -> lanes[q].kicked = true
		:: else
		fi
	:: lanes[q].avail == REQUESTS -> break
	od;
	/* All of them come back, unless nobody is there any more to do it. */
	lanes[q].used == ALL_DONE || hung_up || (RINGS && !mapped[DATA])
}
