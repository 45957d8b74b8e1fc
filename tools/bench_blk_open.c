/* SPDX-License-Identifier: BSD-3-Clause */
/* Connects to the back-end of "vhu bench blk", chooses, checks, starts; and ends. */
#include "bench_blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "option.h"
#include "progress.h"
#include "say.h"

#define SECTOR          512u
#define BIT(n)          (UINT64_C(1) << (n))
#define ACCESS_PLATFORM BIT(VIRTIO_F_ACCESS_PLATFORM)
#define INDIRECT_DESC   BIT(28)
#define EVENT_IDX       BIT(29)
/* As much of the configuration space as any device has. */
#define CONFIG_BYTES ((uint32_t)offsetof(struct virtio_blk_config, num_queues) + 2)

__attribute__((format(printf, 2, 3))) static int complain(int error, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(BENCH_NAME, "%s", text);
	return error;
}

/* Why the front-end failed, if it did. */
static int explain(const struct bench *bench, const char *what, int error)
{
	return say_failure(BENCH_NAME, bench->frontend, what, error, NULL);
}

static void on_fault(const struct vhu_iommu_fault *fault, void *opaque)
{
	struct bench *bench = opaque;

	if (!bench->faults++)
		bench->fault = *fault;
}

static int open_front_end(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	const struct vhu_iommu_config iommu = { .policy = options->policy,
		                                .fault = on_fault,
		                                .opaque = bench };
	struct vhu_frontend_config config = { .name = "bench", .timeout_ms = options->timeout_ms };
	int fd;
	int error = peer_connect(BENCH_NAME, options->socket_path, PEER_PATIENCE_MS, &fd);

	if (error)
		return error;
	peer_of(fd, &bench->peer);
	if (options->iommu != BENCH_IOMMU_OFF)
		error = vhu_iommu_new(&iommu, &bench->iommu);
	config.iommu = bench->iommu;
	if (!error)
		error = vhu_frontend_new(&config, fd, &bench->frontend);
	if (error)
		close(fd);
	return explain(bench, "setting up", error);
}

/* What the driver chooses of the features; the disk must be fit for what is wanted. */
static int choose_features(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	uint64_t offered = vhu_frontend_features_offered(bench->frontend);
	uint64_t wanted = BIT(VIRTIO_F_VERSION_1) | INDIRECT_DESC | EVENT_IDX |
	                  BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_SEG_MAX) |
	                  BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_RO);

	if (options->queues > 1)
		wanted |= BIT(VIRTIO_BLK_F_MQ);
	if (bench->iommu)
		wanted |= ACCESS_PLATFORM;
	bench->features = offered & wanted;
	if (bench->iommu && !(offered & ACCESS_PLATFORM))
		return complain(-EOPNOTSUPP,
		                "--iommu=%s: the back-end has no device IOTLB; leave it out",
		                bench_iommu_name(options->iommu));
	if ((options->reads < 100 || options->verify) && (offered & BIT(VIRTIO_BLK_F_RO)))
		return complain(-EROFS, "the disk can't be written; give --rw=randread or "
		                        "--rw=read, without --verify");
	return 0;
}

static int check_queues(const struct bench *bench, const struct virtio_blk_config *config)
{
	unsigned most = 1;

	if (bench->features & BIT(VIRTIO_BLK_F_MQ))
		most = le16toh(config->num_queues);
	if (vhu_frontend_queues(bench->frontend) && vhu_frontend_queues(bench->frontend) < most)
		most = vhu_frontend_queues(bench->frontend);
	if (bench->options.queues > most)
		return complain(-EINVAL, "--num-queues=%u: the back-end has %u; give no more",
		                bench->options.queues, most);
	return 0;
}

static int check_request(struct bench *bench, const struct virtio_blk_config *config)
{
	const struct bench_options *options = &bench->options;
	unsigned segments = (options->bytes - 1) / options->segment + 1;
	uint32_t block = SECTOR, most = 1;

	if (bench->features & BIT(VIRTIO_BLK_F_BLK_SIZE))
		block = le32toh(config->blk_size);
	if (bench->features & BIT(VIRTIO_BLK_F_SEG_MAX))
		most = le32toh(config->seg_max);
	if (!block || options->bytes % block)
		return complain(-EINVAL,
		                "--bs=%s: the disk has blocks of %u bytes; give a multiple",
		                option_size_text(options->bytes), block);
	if (segments > most && segments > 1)
		return complain(-EINVAL,
		                "--segment=%s: the back-end takes no more than %u to a request; "
		                "give a larger one",
		                option_size_text(options->segment), most);
	return 0;
}

static int check_area(struct bench *bench, const struct virtio_blk_config *config)
{
	const struct bench_options *options = &bench->options;
	uint64_t size, area;

	bench->sectors = le64toh(config->capacity);
	if (!bench->sectors || bench->sectors > UINT64_MAX / SECTOR)
		return complain(-EINVAL, "the disk has %llu sectors; is the back-end a disk?",
		                (unsigned long long)bench->sectors);
	size = bench->sectors * SECTOR;
	if (options->area > size)
		return complain(-EINVAL, "--area=%s: the disk has only %s; give no more",
		                option_size_text(options->area), option_size_text(size));
	area = options->area ? options->area : size;
	bench->blocks = area / options->bytes;
	if (!bench->blocks)
		return complain(-EINVAL, "--bs=%s: there is no room for one in %s; give less",
		                option_size_text(options->bytes), option_size_text(area));
	if (options->verify && bench->blocks < options->depth * options->queues)
		return complain(-EINVAL,
		                "--verify: the area has fewer blocks than requests are in flight; "
		                "give a larger --area or a smaller --iodepth");
	return 0;
}

static int read_config(struct bench *bench, struct virtio_blk_config *ret)
{
	int error;

	memset(ret, 0, sizeof(*ret));
	error = vhu_frontend_get_config(bench->frontend, 0, ret, CONFIG_BYTES);
	return say_failure(BENCH_NAME, bench->frontend, "reading the configuration", error,
	                   "is the back-end a disk?");
}

static int negotiate(struct bench *bench)
{
	struct virtio_blk_config config;
	int error = vhu_frontend_negotiate(bench->frontend);

	if (error)
		return say_negotiation(BENCH_NAME, bench->frontend, error);
	error = read_config(bench, &config);
	if (!error)
		error = choose_features(bench);
	if (error)
		return error;
	error = vhu_frontend_set_features(bench->frontend, bench->features);
	if (error)
		return explain(bench, "negotiating", error);
	error = check_queues(bench, &config);
	if (!error)
		error = check_request(bench, &config);
	return error ? error : check_area(bench, &config);
}

/* In bytes; 0: not known. */
static uint64_t memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

/* All of it is touched, and a machine that runs out of it kills whom it likes. */
static int check_memory(const struct bench *bench, uint64_t bytes)
{
	const struct bench_options *options = &bench->options;
	uint64_t available = memory_available();

	if (!available || bytes <= available)
		return 0;
	return complain(
		-ENOMEM,
		"--iodepth=%u of --bs=%s in --num-queues=%u takes %llu MiB of memory, %llu are "
		"available; give less",
		options->depth, option_size_text(options->bytes), options->queues,
		(unsigned long long)bytes >> 20, (unsigned long long)available >> 20);
}

/* The kernel gives pages when they are touched first: not while time is taken. */
static void touch_memory(const struct bench *bench, uint64_t bytes)
{
	const uint64_t step = UINT64_C(64) << 20;
	struct progress progress;

	progress_start(&progress);
	for (uint64_t at = 0; at < bytes; at += step) {
		uint64_t some = bytes - at < step ? bytes - at : step;
		int64_t now = progress_now_ns();

		if (progress_due(&progress, now) && !bench->options.silent)
			progress_show(&progress, now, "preparing %llu of %llu MiB of memory",
			              (unsigned long long)at >> 20,
			              (unsigned long long)bytes >> 20);
		memset(vhu_guestmem_ptr(bench->mem, at, some), 0, some);
	}
	progress_make_way();
}

static int share_memory(struct bench *bench, uint64_t bytes)
{
	const struct vhu_region *regions;
	int error = check_memory(bench, bytes);
	unsigned n;

	if (!error)
		error = say_failure(BENCH_NAME, NULL, "memory for requests",
		                    vhu_guestmem_new(&bytes, 1, &bench->mem),
		                    "give a smaller --iodepth, --bs or --num-queues");
	if (error)
		return error;
	touch_memory(bench, bytes);
	regions = vhu_guestmem_regions(bench->mem, &n);
	return explain(bench, "sharing memory",
	               vhu_frontend_add_memory(bench->frontend, regions, n));
}

static int start_queues(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	struct blk_load_config config = {
		.frontend = bench->frontend,
		.iommu = bench->iommu,
		.each = options->iommu >= BENCH_IOMMU_STRICT,
		.lazy = options->iommu == BENCH_IOMMU_LAZY,
		.quiet = options->poll,
		.features = bench->features,
		.depth = options->depth,
		.bytes = options->bytes,
		.segment = options->segment,
	};
	uint64_t each = blk_load_bytes(&config);
	int error = share_memory(bench, each * options->queues);

	config.mem = bench->mem;
	for (; !error && bench->n_loads < options->queues; bench->n_loads += !error) {
		config.queue = bench->n_loads;
		config.start = each * config.queue;
		error = explain(bench, "starting a queue",
		                blk_load_new(&config, &bench->loads[bench->n_loads]));
	}
	return error;
}

int bench_blk_open(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	int error = open_front_end(bench);

	bench->random = options->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	if (!error)
		error = negotiate(bench);
	if (!error && options->verify)
		error = explain(bench, "--verify",
		                bench_check_new(bench->blocks, options->bytes, options->seed,
		                                &bench->check));
	return error ? error : start_queues(bench);
}

int bench_blk_stop(struct bench *bench)
{
	int error = 0;

	for (unsigned i = 0; !error && i < bench->n_loads; i++)
		error = explain(bench, "stopping a queue", blk_load_stop(bench->loads[i]));
	return error;
}

void bench_blk_close(struct bench *bench)
{
	for (unsigned i = 0; i < bench->n_loads; i++)
		blk_load_free(bench->loads[i]);
	bench_check_free(bench->check);
	vhu_frontend_free(bench->frontend);
	vhu_iommu_free(bench->iommu);
	vhu_guestmem_free(bench->mem);
}
