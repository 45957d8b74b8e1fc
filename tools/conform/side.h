/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * "vhu conform SIDE": who is judged. What both sides have in common, from the
 * command line to the exit status, is side.c; how a peer is met and a case performed
 * on it is backend.c and frontend.c.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_SIDE_H
#define CONFORM_SIDE_H

#include "options.h"
#include "suite.h"

/* Beside those of cli.h: nobody could be judged. */
#define EXIT_NO_PEER 3

struct side {
	const char *name;    /* "backend": of the sub-command */
	const char *title;   /* "back-end" */
	const char *summary; /* a line of help */
	const char *about;   /* the help before and, behind \v, after the options */
	const struct conform_area *const *areas;
	const unsigned *n_areas;
	/* Meets the peer, runs the suite, ends with side_tell(); the exit status. */
	int (*judge)(struct suite *suite, const struct options *options);
};

extern const struct side side_backend, side_frontend;

/* The exit status. */
int side_main(const struct side *side, int argc, char **argv);

/* Reports what came of it; the exit status. @peer: the name of its program, may be empty. */
int side_tell(const struct side *side, const struct suite *suite, const struct options *options,
              const char *peer);

#endif
