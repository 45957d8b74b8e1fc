/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open files of this process: those it was given without need, how many it may
 * have, and the socket a service manager may have left it. Main thread, at start.
 */
#ifndef VHU_BLK_DESCRIPTORS_H
#define VHU_BLK_DESCRIPTORS_H

/*
 * To be called before anything is opened: what of standard input, output and error is
 * closed becomes something that can't be read or written. Else the next file that is
 * opened would be it, and what is said would be written into a disk. 0, or -errno.
 */
int descriptors_open_standard(void);

/*
 * The socket by the protocol of sd_listen_fds(3): its fd, -1 if there is none for this
 * process, -2 after a complaint if there is more than one, or none that makes sense.
 * Says so once.
 */
int descriptors_activation(void);

/* Closes all but 0 to 2 and the @n in @keep, -1 among them being none. */
void descriptors_close_others(const int *keep, unsigned n);

/* Raises the limit to what that many queues and threads need; warns where it can't. */
void descriptors_make_room(unsigned queues, unsigned threads);

#endif
