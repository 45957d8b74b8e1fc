/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks that keep two programs from using the same file as a disk. They are open
 * file description locks on the bytes QEMU and its tools lock, so that each
 * notices the other: byte 100 + n is held by who does n with the file, byte
 * 200 + n by who does not want others to do it. All are shared locks; who takes
 * his looks whether others hold the opposite ones.
 *
 * Thread: any, one at a time per file.
 */
#ifndef DEVICES_LOCK_H
#define DEVICES_LOCK_H

#include <stdbool.h>

/*
 * For reading, and writing too if @writes; nobody else is to write or resize. 0,
 * -EAGAIN if another program is in the way, or the -errno of fcntl(2), of which
 * -EINVAL, -ENOLCK and -EOPNOTSUPP mean that this file system has no such locks.
 */
int lock_take(int fd, bool writes);

void lock_release(int fd);

#endif
