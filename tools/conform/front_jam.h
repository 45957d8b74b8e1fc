/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A back-channel that is full. The rig keeps the back-end's end of the socket
 * pair, too, and fills it with messages of its own: whatever the back-end wants to
 * send then waits, or is told that there is no room, for as long as the case wants.
 * That widens every race with a miss, and is what a front-end looks like that waits
 * for an acknowledgement and serves nothing meanwhile.
 *
 * Thread: the one that runs the suite.
 */
#ifndef CONFORM_FRONT_JAM_H
#define CONFORM_FRONT_JAM_H

#include "front.h"

/* front_open() with a back-channel that can be filled. The end of it is not noticed. */
void front_open_jammable(struct front *f, const struct front_setup *setup);

/* Fills it; misses are not read until front_unjam(). Best while the back-end is idle. */
void front_jam(struct front *f);

/* Makes room. Misses that came before it was full are served as always. */
void front_unjam(struct front *f);

#endif
