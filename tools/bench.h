/* SPDX-License-Identifier: BSD-3-Clause */
/* The sub-commands of vhu bench. Each has argv[0] set to its full name. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

/* How long a back-end may take to listen: it may have been started a moment ago. */
#define PEER_PATIENCE_MS 2000

int bench_blk_main(int argc, char **argv);
int bench_net_main(int argc, char **argv);

#endif
