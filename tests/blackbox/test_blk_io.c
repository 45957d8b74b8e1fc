/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhu-blk at work, behind an IOMMU in strict mode and without: every engine keeps
 * what is written, every request gets its status, and the statistics are right.
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"
#include "service.h"
#include "support/check.h"

#define MIB    (UINT64_C(1) << 20)
#define SIZE   (4 * MIB)
#define QUEUES 4u

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

/* The disk's file itself, past the daemon. */
static void check_file(const struct service *service, uint64_t seed)
{
	int fd = open(service->disk, O_RDONLY | O_CLOEXEC);
	char page[BLK_PAGE];

	assert_true(fd >= 0);
	for (uint64_t at = 0; at < SIZE; at += BLK_PAGE) {
		assert_int_equal(pread(fd, page, sizeof(page), (off_t)at), sizeof(page));
		assert_true(pattern_holds(page, at, seed));
	}
	close(fd);
}

/* What both sides have counted must agree. */
static void check_figures(const struct service *service, const struct machine *machine,
                          const struct vhu_frontend_stats *stats, bool strict)
{
	uint64_t needed = service_figure(service, "iotlb.pages_needed");

	assert_int_equal(service_figure(service, "requests"), machine->requests);
	assert_int_equal(service_figure(service, "bytes_written"), SIZE);
	assert_int_equal(service_figure(service, "bytes_read"), SIZE);
	assert_int_equal(service_figure(service, "errors"), 0);
	assert_int_equal(service_figure(service, "refused_requests"), 0);
	assert_int_equal(service_figure(service, "ring_errors"), 0);
	assert_in_range(service_figure(service, "kicks"), 1, machine->requests + QUEUES);
	assert_in_range(service_figure(service, "calls"), 1, machine->requests);
	assert_int_equal(service_figure(service, "iotlb.misses"), stats->misses);
	assert_int_equal(service_figure(service, "iotlb.updates"), stats->updates);
	assert_int_equal(service_figure(service, "iotlb.invalidations"), stats->invalidations);
	assert_int_equal(service_figure(service, "iotlb.refused"), 0);
	assert_int_equal(service_figure(service, "iotlb.unsatisfied"), 0);
	assert_int_equal(service_figure(service, "iotlb.entries"), 0);
	assert_int_equal(machine->faults, 0);
	if (!strict)
		return;
	/* An indirect table is a page more, or two. */
	assert_in_range(needed, machine->pages_needed,
	                machine->pages_needed + 2 * machine->requests);
	assert_true(stats->misses <= needed * 102 / 100 + 100);
	/* In strict mode nothing is found that was not asked for. */
	assert_true(stats->misses >= machine->pages_needed);
}

static void write_and_verify(struct service *service, const struct machine_config *config,
                             uint64_t seed)
{
	struct vhu_frontend_stats stats;
	struct machine machine;
	char page[BLK_PAGE];

	machine_open(&machine, service->socket, config);
	machine_write(&machine, 0, SIZE, seed);
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_FLUSH, 0, 0, page), 0);
	machine_verify(&machine, 0, SIZE, seed);
	for (unsigned i = 0; i < machine.config.queues; i++)
		assert_int_equal(blk_driver_stop(machine.drivers[i]), 0);
	vhu_frontend_stats(machine.frontend, &stats);
	machine_drop(&machine);
	service_wait_sessions(service, seed);
	check_figures(service, &machine, &stats, !config->plain);
}

static const struct engine_case {
	const char *name;
	const char *args[4];
	bool memory;
} engines[] = {
	{ "memory", { NULL }, .memory = true },
	{ "memory, threads", { "--queue-threads=2" }, .memory = true },
	{ "inline", { "--engine=inline" } },
	{ "inline, threads", { "--engine=inline", "--queue-threads=2" } },
	{ "threads", { "--engine=threads" } },
	{ "threads, threads", { "--engine=threads", "--queue-threads=2" } },
	{ "io_uring", { "--engine=io_uring" } },
	{ "io_uring, threads", { "--engine=io_uring", "--queue-threads=2" } },
	{ "auto", { "--engine=auto" } },
	{ "few entries", { "--iotlb-entries=4" } },
	{ "no hints", { "--no-miss-hints", "--queue-threads=2" } },
};

static void every_engine_keeps_what_is_written(void **state)
{
	struct service *service = *state;
	const struct machine_config config = { .queues = QUEUES };
	const struct machine_config plain = { .queues = QUEUES, .plain = true };

	for (unsigned i = 0; i < ARRAY_SIZE(engines); i++) {
		const struct engine_case *c = &engines[i];

		print_message("  %s\n", c->name);
		unlink(service->stats);
		service_start(service, c->memory ? SIZE : 0, c->args);
		write_and_verify(service, &config, 1);
		write_and_verify(service, &plain, 2);
		service_stop(service);
		if (!c->memory)
			check_file(service, 2);
	}
}

/* Sizes of one page, and of as many as a request can have, on one queue. */
static void requests_of_any_size(void **state)
{
	static const struct machine_config cases[] = {
		{ .pages = 1, .depth = 1 },
		{ .pages = 1, .depth = 16 },
		{ .pages = BLK_PAGES_MAX, .depth = 4 },
		{ .pages = BLK_PAGES_MAX, .depth = 4, .plain = true },
	};
	struct service *service = *state;

	service_start(service, 0, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		write_and_verify(service, &cases[i], i + 1);
	service_stop(service);
	check_file(service, ARRAY_SIZE(cases));
}

static void what_is_wrong_gets_its_status(void **state)
{
	struct service *service = *state;
	const uint64_t sectors = SIZE / BLK_SECTOR;
	struct machine machine;
	char page[BLK_PAGE] = { 0 };
	struct blk_io *io;

	service_start(service, 0, NULL);
	machine_open(&machine, service->socket, &(struct machine_config){ 0 });
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_OUT, sectors - 8, 1, page), 0);
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_OUT, sectors - 7, 1, page),
	                 VIRTIO_BLK_S_IOERR);
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_IN, sectors, 1, page),
	                 VIRTIO_BLK_S_IOERR);
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_IN, UINT64_MAX, 1, page),
	                 VIRTIO_BLK_S_IOERR);
	assert_int_equal(machine_do(&machine, 0, 0x4711, 0, 0, page), VIRTIO_BLK_S_UNSUPP);
	/* An address that nobody has mapped: this request fails, and no other. */
	io = blk_io_prepare(machine.drivers[0], VIRTIO_BLK_T_IN, 0, 2);
	io->data_unmapped = true;
	assert_int_equal(blk_io_submit(machine.drivers[0], io), 0);
	assert_int_equal(blk_driver_kick(machine.drivers[0]), 0);
	assert_int_equal(blk_driver_complete(machine.drivers[0], PATIENCE_MS, &io), 1);
	assert_int_equal(io->status, VIRTIO_BLK_S_IOERR);
	blk_io_release(machine.drivers[0], io);
	assert_true(machine.faults > 0);
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_IN, 0, 1, page), 0);
	machine_close(&machine);
	service_wait_sessions(service, 1);
	assert_int_equal(service_figure(service, "requests"), 7);
	assert_int_equal(service_figure(service, "errors"), 5);
	assert_int_equal(service_figure(service, "unsupported"), 1);
	assert_int_equal(service_figure(service, "refused_requests"), 1);
	assert_int_equal(service_figure(service, "iotlb.refused"), machine.faults);
	assert_int_equal(service_figure(service, "bytes_written"), BLK_PAGE);
	assert_int_equal(service_figure(service, "bytes_read"), BLK_PAGE);
	service_stop(service);
}

static void a_disk_tells_its_size_and_name(void **state)
{
	static const char *const args[] = { "--serial=a serial number", "--block-size=4096",
		                            "--num-queues=3", NULL };
	struct service *service = *state;
	struct virtio_blk_config config;
	struct machine machine;
	char page[BLK_PAGE];

	service_start(service, 0, args);
	machine_open(&machine, service->socket, &(struct machine_config){ 0 });
	assert_int_equal(vhu_frontend_queues(machine.frontend), 3);
	assert_int_equal(vhu_frontend_get_config(machine.frontend, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.capacity, SIZE / BLK_SECTOR);
	assert_int_equal(config.blk_size, 4096);
	assert_int_equal(config.num_queues, 3);
	memset(page, 0xee, sizeof(page));
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_GET_ID, 0, 1, page), 0);
	assert_memory_equal(page, "a serial number\0\0\0\0\0", VIRTIO_BLK_ID_BYTES);
	assert_int_equal((unsigned char)page[VIRTIO_BLK_ID_BYTES], 0xee);
	machine_close(&machine);
	service_stop(service);
}

static void a_read_only_disk_is_not_written(void **state)
{
	static const char *const args[] = { "--read-only", NULL };
	struct service *service = *state;
	struct machine machine;
	char page[BLK_PAGE];

	service_start(service, 0, args);
	machine_open(&machine, service->socket, &(struct machine_config){ 0 });
	assert_true(machine.offered >> VIRTIO_BLK_F_RO & 1);
	memset(page, 0xee, sizeof(page));
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_OUT, 0, 1, page), VIRTIO_BLK_S_IOERR);
	assert_int_equal(machine_do(&machine, 0, VIRTIO_BLK_T_IN, 0, 1, page), 0);
	for (unsigned i = 0; i < sizeof(page); i++)
		assert_int_equal(page[i], 0);
	machine_close(&machine);
	service_stop(service);
}

/* The file is replaced as a whole: whenever it is read it is all there. */
static void statistics_can_be_asked_for_at_any_time(void **state)
{
	struct service *service = *state;
	struct machine machine;
	uint64_t last = 0;

	service_start(service, 0, NULL);
	assert_false(service_has_figures(service));
	machine_open(&machine, service->socket, &(struct machine_config){ 0 });
	for (unsigned i = 0; i < 20; i++) {
		service_signal(service, SIGUSR1);
		machine_write(&machine, 0, SIZE / 4, i);
		if (service_has_figures(service)) {
			uint64_t now = service_figure(service, "requests");

			assert_true(now >= last && now <= machine.requests);
			last = now;
		}
	}
	assert_true(last > 0);
	for (int ms = 0; last != machine.requests; ms += 10) {
		assert_true(ms < PATIENCE_MS);
		service_signal(service, SIGUSR1);
		sleep_ms(10);
		last = service_figure(service, "requests");
	}
	assert_int_equal(service_figure(service, "sessions"), 0);
	assert_int_equal(service_figure(service, "bytes_written"), 20 * SIZE / 4);
	machine_close(&machine);
	service_wait_sessions(service, 1);
	assert_int_equal(service_figure(service, "requests"), machine.requests);
	service_stop(service);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_engine_keeps_what_is_written, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(requests_of_any_size, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_gets_its_status, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_tells_its_size_and_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_only_disk_is_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(statistics_can_be_asked_for_at_any_time, setup,
		                                teardown),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s PATH_OF_VHU_BLK\n", argv[0]);
		return 2;
	}
	service_program = argv[1];
	return cmocka_run_group_tests_name("blackbox/blk_io", tests, NULL, NULL);
}
