/* SPDX-License-Identifier: BSD-3-Clause */
/* The main loop: a server, its workers and the signals, until told to end. */
#ifndef VHU_BLK_SERVE_H
#define VHU_BLK_SERVE_H

#include "listener.h"
#include "options.h"

/* From now on signals wait until serve() takes them; threads started before that
 * never see one. */
void serve_block_signals(void);

/* Returns an exit code, after a complaint where it isn't EXIT_FINE. */
int serve(const struct options *options, const struct storage *storage, struct blk *blk,
          struct listener *listener);

#endif
