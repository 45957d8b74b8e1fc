/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhu-blk as a process, on a disk and with statistics in a folder of its own. It
 * does not outlive the test, however that ends.
 *
 * Fails the test where it can't do what it should.
 */
#ifndef BLACKBOX_SERVICE_H
#define BLACKBOX_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How long a test waits for what must happen, in ms. Ample: machines are slow. */
#define PATIENCE_MS  20000

#define SERVICE_PATH 96

struct service {
	pid_t pid; /* -1: not running */
	char folder[64];
	char socket[SERVICE_PATH];
	char disk[SERVICE_PATH];
	char stats[SERVICE_PATH];
};

/* What to run; set by main(). */
extern const char *service_program;

/* A folder with a disk of zeros. */
void service_init(struct service *service, uint64_t size);
/* Ends the process, if need be by force, and removes the folder. */
void service_done(struct service *service);

/* Serves the disk, or with @memory as much memory; @args ends with NULL. */
void service_start(struct service *service, uint64_t memory, const char *const *args);
void service_signal(struct service *service, int number);
/* Waits for its end: the exit status, 128 + the signal's number. */
int service_wait(struct service *service);
/* SIGTERM, and it must end well. */
void service_stop(struct service *service);

/* Of the statistics file, "requests" or "iotlb.misses". */
uint64_t service_figure(const struct service *service, const char *key);
/* Waits until the file tells of this many sessions. */
void service_wait_sessions(const struct service *service, uint64_t n);
/* Whether there is a file; its syntax, and that nothing is in it but numbers, is checked. */
bool service_has_figures(const struct service *service);

/* What the process holds: open fds, threads, and mappings of memory shared with it. */
unsigned service_fds(const struct service *service);
unsigned service_threads(const struct service *service);
unsigned service_shared(const struct service *service);

void sleep_ms(int ms);

#endif
