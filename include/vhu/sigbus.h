/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a back-end does when shared memory vanishes under it. A front-end that
 * makes the file of its memory shorter takes pages away that the back-end has
 * mapped; who touches one gets SIGBUS, and by default the process ends, and with
 * it the sessions of every other front-end.
 */
#ifndef VHU_SIGBUS_H
#define VHU_SIGBUS_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vhu_sigbus_install - have a fault in guest memory end its session alone.
 *
 * Installs a handler of SIGBUS for the whole process. A fault in guest memory
 * of one of the library's sessions puts zero pages in place of what is gone, from
 * there to the end of the region, and that session ends with a message that
 * names the region; what was being done goes on. Every other SIGBUS goes to the
 * handler that was there before, or to what the system does by default. Nothing
 * jumps and nothing is allocated in the handler.
 *
 * The kernel raises no signal for its own accesses: a system call on such memory
 * fails with EFAULT or moves fewer bytes, which a device reports as an error of
 * that request.
 *
 * SIGBUS must not be blocked in threads that run servers, workers or a device's
 * accesses to requests. Who installs a handler of SIGBUS after this has to call
 * the one it replaces.
 *
 * Context: any thread; meant for the start of the program. A second call changes
 * nothing.
 * Return: 0, or the -errno of sigaction(2).
 */
int vhu_sigbus_install(void);

#ifdef __cplusplus
}
#endif
#endif
