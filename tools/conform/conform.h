/* SPDX-License-Identifier: BSD-3-Clause */
/* The sub-commands of "vhu conform". What they return becomes the exit status. */
#ifndef CONFORM_CONFORM_H
#define CONFORM_CONFORM_H

/* Beside those of cli.h: nobody could be judged. */
#define EXIT_NO_PEER 3

int conform_backend_main(int argc, char **argv);
int conform_frontend_main(int argc, char **argv);

#endif
