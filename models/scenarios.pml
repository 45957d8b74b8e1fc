/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each scenario has and does: numbers of queues, requests and pages, and how
 * often the front-end does what. It does them in any order, at any moment.
 *
 *	STARTED		1: rings run from the start
 *	DRIVERS		1: drivers make requests available as time goes by; 0: all are from the start
 *	EVENT_IDX	1: kicks are asked for by an index, 0: by a flag
 *	QUEUES		queues, each with a worker of its own
 *	REQUESTS	a driver makes available, per queue
 *	DATA		pages that requests want
 *	RINGS		1: the rings lie behind the IOMMU, too, one page each
 *	WANTS(q, i)	the pages that request i of queue q wants
 *	KNOWN		pages that the map has from the start
 *	WINDOW		most misses unanswered at a time (S3)
 *	ROOM		messages that a socket of the back-channel holds, each way
 *	INVALIDATIONS	of HITS(n) pages each; what stood there is taken back then
 *	REPLACEMENTS	updates that give a page anew without an invalidation (U2)
 *	UNMAPS		of a page by a driver that has all its requests back
 *	REFUSALS	of a page, for good, whoever wants it
 *	GIVES		a refused page is given after all, unasked
 *	PUSHES		updates of page 0 that nobody asked for (U5)
 *	RESTARTS	of all rings
 *	TABLES		changes of the memory table that take all memory back
 *	HANGUPS		1: the front-end may die at any moment
 *	LOSSES		1: the front-end may close the back-channel alone at any moment
 *	SLEEP		1: workers sleep, and are left alone if they may be
 *	LOOK		1, with SLEEP: instead of that they look at their rings
 *	LARGE		1: an update may cover all pages at once
 *	EAGER		1: a reply to a miss does not wait for its update's acknowledgement
 *	LIES		misses that are answered with zero and without an update (S4)
 */

/* Two workers share a page; invalidations under issued requests, with chunks of work. */
#ifdef CASE_INVALIDATE
#define QUEUES		2
#define REQUESTS	2
#define DATA		2
#define RINGS		0
#define WANTS(q, i)	((q) == 0 -> 3 : 1)
#define KNOWN		3
#define INVALIDATIONS	1
#define HITS(n)		1
#endif

/* An update that takes the place of another, and an invalidation, under two requests. */
#ifdef CASE_REPLACE
#define DRIVERS		1
#define QUEUES		1
#define REQUESTS	2
#define DATA		2
#define RINGS		0
#define WANTS(q, i)	((i) == 0 -> 3 : 1)
#define KNOWN		3
#define INVALIDATIONS	1
#define HITS(n)		1
#define REPLACEMENTS	1
#endif

/* One queue whose ring is behind the IOMMU: pages, owed kicks, halts. */
#ifdef CASE_RING
#define EVENT_IDX	1
#define DRIVERS		1
#define QUEUES		1
#define REQUESTS	2
#define DATA		1
#define RINGS		1
#define WANTS(q, i)	1
#define KNOWN		1
#define INVALIDATIONS	1
#define HITS(n)		3
#endif

/* Misses under way when all rings stop, replies that come after they started again. */
#ifdef CASE_RESTART
#define QUEUES		1
#define REQUESTS	2
#define DATA		2
#define RINGS		1
#define WANTS(q, i)	(1 << (i))
#define KNOWN		0
#define RESTARTS	2
#endif

/* A new memory table under issued requests, and a front-end that dies. */
#ifdef CASE_MEMORY
#define QUEUES		2
#define REQUESTS	1
#define DATA		1
#define RINGS		0
#define WANTS(q, i)	1
#define KNOWN		1
#define TABLES		1
#define HANGUPS		1
#endif

/* Sockets that hold one message, a window of four. */
#ifdef CASE_JAM
#define QUEUES		1
#define REQUESTS	3
#define DATA		4
#define RINGS		0
#define WANTS(q, i)	((i) == 0 -> 3 : 2 << (i))
#define KNOWN		0
#define WINDOW		4
#define ROOM		1
#define INVALIDATIONS	1
#define HITS(n)		1
#endif

/* Updates larger than a miss, a driver that unmaps at once, replies that come early. */
#ifdef CASE_UNANSWERED
#define QUEUES		2
#define REQUESTS	1
#define DATA		2
#define RINGS		0
#define WANTS(q, i)	3
#define KNOWN		0
#define UNMAPS		2
#define LARGE		1
#endif

#ifdef CASE_EARLY
#define QUEUES		1
#define REQUESTS	2
#define DATA		1
#define RINGS		0
#define WANTS(q, i)	1
#define KNOWN		0
#define INVALIDATIONS	2
#define HITS(n)		1
#define EAGER		1
#define LIES		1
#endif

/* A page comes unasked while its miss is on its way up; the driver goes on. */
#ifdef CASE_CROWD
#define DRIVERS		1
#define QUEUES		1
#define REQUESTS	2
#define DATA		2
#define RINGS		0
#define WANTS(q, i)	(1 << (i))
#define KNOWN		0
#define PUSHES		1
#endif

/* The back-channel is lost with misses under way, and invalidations go on. */
#ifdef CASE_LOSS
#define QUEUES		1
#define REQUESTS	2
#define DATA		2
#define RINGS		0
#define WANTS(q, i)	((i) == 0 -> 3 : 1)
#define KNOWN		0
#define INVALIDATIONS	1
#define HITS(n)		1
#define LOSSES		1
#endif

/* Two queues that miss the same page stop and start again, one after the other. */
#ifdef CASE_RESTART_BOTH
#define QUEUES		2
#define REQUESTS	1
#define DATA		1
#define RINGS		0
#define WANTS(q, i)	1
#define KNOWN		0
#define RESTARTS	1
#endif

/* A worker that sleeps, and is not woken for what it may forget when it wakes. */
#ifdef CASE_SLEEP
#define EVENT_IDX	1
#define SLEEP		1
#define DRIVERS		1
#define QUEUES		1
#define REQUESTS	2
#define DATA		1
#define RINGS		1
#define WANTS(q, i)	1
#define KNOWN		3
#define INVALIDATIONS	1
#define HITS(n)		3
#endif

/*
 * A worker that looks at its ring, and is not asked about what it may forget next; of
 * the ring's page it is, which goes, too, if all was given back.
 */
#ifdef CASE_LOOK
#define SLEEP		1
#define LOOK		1
#define DRIVERS		1
#define QUEUES		1
#define REQUESTS	2
#define DATA		1
#define RINGS		1
#define WANTS(q, i)	1
#define KNOWN		3
#define INVALIDATIONS	1
#define HITS(n)		(HAS(lanes[0].used, 1) -> 3 : 1)
#endif

/* A ring's page is refused, and given later. */
#ifdef CASE_HALT
#define DRIVERS		1
#define QUEUES		1
#define REQUESTS	2
#define DATA		1
#define RINGS		1
#define WANTS(q, i)	1
#define KNOWN		1
#define REFUSALS	1
#define GIVES		1
#endif

#ifndef STARTED
#define STARTED		1
#endif
#ifndef DRIVERS
#define DRIVERS		0
#endif
#ifndef EVENT_IDX
#define EVENT_IDX	0
#endif
#ifndef WINDOW
#define WINDOW		4
#endif
#ifndef ROOM
#define ROOM		WINDOW
#endif
#ifndef INVALIDATIONS
#define INVALIDATIONS	0
#define HITS(n)		0
#endif
#ifndef REPLACEMENTS
#define REPLACEMENTS	0
#endif
#ifndef UNMAPS
#define UNMAPS		0
#endif
#ifndef REFUSALS
#define REFUSALS	0
#endif
#ifndef GIVES
#define GIVES		0
#endif
#ifndef PUSHES
#define PUSHES		0
#endif
#ifndef RESTARTS
#define RESTARTS	0
#endif
#ifndef TABLES
#define TABLES		0
#endif
#ifndef HANGUPS
#define HANGUPS		0
#endif
#ifndef LOSSES
#define LOSSES		0
#endif
#ifndef SLEEP
#define SLEEP		0
#endif
#ifndef LOOK
#define LOOK		0
#endif
#ifndef LARGE
#define LARGE		0
#endif
#ifndef LIES
#define LIES		0
#endif
#ifndef EAGER
#define EAGER		0
#endif

/* Times that a miss is asked for again after its answer was lost (S4). */
#define RETRIES		3

#define PAGES		(DATA + RINGS * QUEUES)
