/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ends, in mid-I/O, behind an IOMMU and without: of front-ends that go or are
 * killed, after which the next is served and nothing is left of them, and of the
 * daemon, which finishes what it has begun.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine.h"
#include "service.h"
#include "support/check.h"

#define MIB    (UINT64_C(1) << 20)
#define SIZE   (4 * MIB)
#define QUEUES 4u
#define DEPTH  16u

static const struct engine_case {
	const char *name;
	const char *args[4];
	bool memory;
} engines[] = {
	{ "memory", { NULL }, .memory = true },
	{ "inline, threads", { "--engine=inline", "--queue-threads=2" } },
	{ "threads", { "--engine=threads" } },
	{ "threads, threads", { "--engine=threads", "--queue-threads=2" } },
	{ "io_uring", { "--engine=io_uring" } },
	{ "io_uring, threads", { "--engine=io_uring", "--queue-threads=2" } },
};

static int setup(void **state)
{
	struct service *service = malloc(sizeof(*service));

	if (!service)
		return -1;
	service_init(service, SIZE);
	*state = service;
	return 0;
}

static int teardown(void **state)
{
	service_done(*state);
	free(*state);
	return 0;
}

static const struct machine_config *machine_cases(unsigned i)
{
	static const struct machine_config cases[] = {
		{ .queues = QUEUES, .depth = DEPTH },
		{ .queues = QUEUES, .depth = DEPTH, .plain = true },
	};

	return &cases[i % ARRAY_SIZE(cases)];
}

static void a_disk_outlives_its_front_ends(void **state)
{
	static const char *const args[] = { "--queue-threads=2", NULL };
	struct service *service = *state;

	service_start(service, SIZE, args);
	for (unsigned i = 0; i < 6; i++) {
		struct machine machine;

		machine_open(&machine, service->socket, machine_cases(i));
		if (i)
			machine_verify(&machine, 0, SIZE, i - 1);
		machine_write(&machine, 0, SIZE, i);
		if (i % 3)
			machine_close(&machine);
		else
			machine_drop(&machine);
		service_wait_sessions(service, i + 1);
		/* its own numbers, not those of all */
		assert_int_equal(service_figure(service, "bytes_written"), SIZE);
		assert_int_equal(service_figure(service, "requests"), machine.requests);
	}
	service_stop(service);
}

/* The front-end's process: I/O without end, from when it says so. */
static void work_until_killed(const struct service *service, const struct machine_config *config,
                              int tell)
{
	struct machine machine;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	machine_open(&machine, service->socket, config);
	machine_write(&machine, 0, SIZE, 0);
	if (write(tell, "!", 1) != 1)
		_exit(1);
	for (uint64_t seed = 1;; seed++)
		machine_write(&machine, 0, SIZE, seed);
}

static void kill_one(const struct service *service, const struct machine_config *config, int ms)
{
	int pipes[2], status;
	char byte;
	pid_t pid;

	fflush(NULL);
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		work_until_killed(service, config, pipes[1]);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	sleep_ms(ms);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct holdings {
	unsigned fds, threads, shared;
};

static struct holdings held_by(const struct service *service)
{
	return (struct holdings){ service_fds(service), service_threads(service),
		                  service_shared(service) };
}

static void serve_one(const struct service *service, const struct machine_config *config,
                      uint64_t seed)
{
	struct machine machine;

	machine_open(&machine, service->socket, config);
	machine_write(&machine, 0, SIZE, seed);
	machine_verify(&machine, 0, SIZE, seed);
	machine_close(&machine);
}

static void nothing_is_left_of_a_front_end_that_is_killed(void **state)
{
	struct service *service = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(engines); i++) {
		struct holdings before, after;

		print_message("  %s\n", engines[i].name);
		unlink(service->stats);
		service_start(service, engines[i].memory ? SIZE : 0, engines[i].args);
		/* What it holds is known when it has come to rest once. */
		serve_one(service, machine_cases(i), 0);
		service_wait_sessions(service, 1);
		before = held_by(service);
		for (unsigned n = 0; n < 4; n++) {
			kill_one(service, machine_cases(n), (int)(n * 7));
			/* The next comes at once, maybe before that end is noticed. */
			serve_one(service, machine_cases(n), n);
			service_wait_sessions(service, 2 * n + 3);
		}
		after = held_by(service);
		assert_int_equal(after.fds, before.fds);
		assert_int_equal(after.threads, before.threads);
		assert_int_equal(after.shared, before.shared);
		service_stop(service);
	}
}

/* As many writes at once as there can be, each to its own place. */
static void submit_all(struct machine *machine, uint64_t seed)
{
	const unsigned pages = machine->config.pages;

	for (unsigned i = 0; i < QUEUES * DEPTH; i++) {
		struct blk_driver *driver = machine->drivers[i % QUEUES];
		uint64_t offset = i * pages * (uint64_t)BLK_PAGE;
		struct blk_io *io = blk_io_prepare(driver, VIRTIO_BLK_T_OUT, offset / BLK_SECTOR,
		                                   pages);

		assert_non_null(io);
		for (unsigned n = 0; n < pages; n++)
			pattern_fill(blk_io_page(driver, io, n), offset + n * BLK_PAGE, seed);
		assert_int_equal(blk_io_submit(driver, io), 0);
		assert_int_equal(blk_driver_kick(driver), 0);
	}
}

static bool is_on_disk(const struct service *service, const struct blk_io *io, uint64_t seed)
{
	int fd = open(service->disk, O_RDONLY | O_CLOEXEC);
	uint64_t offset = io->sector * BLK_SECTOR;
	char page[BLK_PAGE];
	bool is = true;

	assert_true(fd >= 0);
	for (unsigned i = 0; i < io->pages; i++, offset += BLK_PAGE) {
		assert_int_equal(pread(fd, page, sizeof(page), (off_t)offset), sizeof(page));
		is &= pattern_holds(page, offset, seed);
	}
	close(fd);
	return is;
}

/*
 * What the driver was told is done is done, as often as the daemon has counted.
 * Nothing has failed: what waited for a translation has not begun.
 */
static uint64_t collect(struct machine *machine, const struct service *service, uint64_t seed,
                        bool file)
{
	uint64_t n = 0;

	for (unsigned queue = 0; queue < QUEUES; queue++) {
		for (;;) {
			struct blk_io *io = NULL;

			blk_driver_complete(machine->drivers[queue], 0, &io);
			if (!io)
				break;
			n++;
			assert_int_equal(io->status, VIRTIO_BLK_S_OK);
			if (file)
				assert_true(is_on_disk(service, io, seed));
			blk_io_release(machine->drivers[queue], io);
		}
	}
	return n;
}

static void SIGTERM_finishes_what_was_begun(void **state)
{
	struct service *service = *state;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(engines); i++) {
		const struct engine_case *c = &engines[i / 2];
		struct machine machine;
		uint64_t done;

		print_message("  %s\n", c->name);
		unlink(service->stats);
		service_start(service, c->memory ? SIZE : 0, c->args);
		machine_open(&machine, service->socket, machine_cases(i));
		submit_all(&machine, i);
		/* some are answered, some issued, some neither */
		sleep_ms((int)(i % 4));
		service_stop(service);
		done = collect(&machine, service, i, !c->memory);
		assert_int_equal(service_figure(service, "requests"), done);
		assert_int_equal(service_figure(service, "sessions"), 1);
		machine_drop(&machine);
	}
}

/* The socket is there again, and the disk is as it was. */
static void a_restarted_daemon_serves_the_same_disk(void **state)
{
	struct service *service = *state;

	for (unsigned i = 0; i < 3; i++) {
		struct machine machine;

		service_start(service, 0, NULL);
		machine_open(&machine, service->socket, machine_cases(i));
		if (i)
			machine_verify(&machine, 0, SIZE, i - 1);
		machine_write(&machine, 0, SIZE, i);
		machine_close(&machine);
		if (i == 1) {
			/* a crash leaves its socket behind */
			service_signal(service, SIGKILL);
			assert_int_equal(service_wait(service), 128 + SIGKILL);
		} else {
			service_stop(service);
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_disk_outlives_its_front_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_left_of_a_front_end_that_is_killed,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(SIGTERM_finishes_what_was_begun, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restarted_daemon_serves_the_same_disk, setup,
		                                teardown),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s PATH_OF_VHU_BLK\n", argv[0]);
		return 2;
	}
	service_program = argv[1];
	return cmocka_run_group_tests_name("blackbox/blk_end", tests, NULL, NULL);
}
