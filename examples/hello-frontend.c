/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least that a front-end has to do to use a device that is behind an IOMMU: meet
 * it, agree on features, share memory, hand a queue over, map what the device may
 * touch, and take that back. The device is virtio-rng, see hello-backend.c.
 *
 *	hello-frontend /tmp/rng.sock
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <vhu/frontend.h>
#include <vhu/iommu.h>

#define WANTED 32u
#define MEMORY UINT64_C(65536)

/* Where things are in memory, and where the device finds them. */
#define RING        UINT64_C(0)
#define BUFFER      UINT64_C(0x8000)
#define RING_IOVA   UINT64_C(0x100000000)
#define BUFFER_IOVA UINT64_C(0x200000000)

/* VIRTIO_F_VERSION_1 and VIRTIO_F_ACCESS_PLATFORM */
#define FEATURES (UINT64_C(1) << 32 | UINT64_C(1) << 33)

struct hello {
	struct vhu_iommu *iommu;
	struct vhu_frontend *frontend;
	struct vhu_guestmem *mem;
	struct vhu_vq *vq;
};

static int meet(struct hello *hello, const char *path)
{
	const struct vhu_iommu_config iommu = { .policy = VHU_IOMMU_HINT };
	struct vhu_frontend_config config = { .name = "hello", .timeout_ms = 2000 };
	const struct vhu_region *regions;
	unsigned n;
	int error = vhu_iommu_new(&iommu, &hello->iommu);

	config.iommu = hello->iommu;
	if (!error)
		error = vhu_frontend_connect(&config, path, &hello->frontend);
	if (!error)
		error = vhu_frontend_negotiate(hello->frontend);
	if (!error)
		error = vhu_frontend_set_features(hello->frontend, FEATURES);
	if (!error)
		error = vhu_guestmem_new(&(uint64_t){ MEMORY }, 1, &hello->mem);
	if (error)
		return error;
	regions = vhu_guestmem_regions(hello->mem, &n);
	return vhu_frontend_add_memory(hello->frontend, regions, n);
}

static int map(struct hello *hello, uint64_t iova, uint64_t gpa, uint64_t size, uint8_t perm)
{
	void *ptr = vhu_guestmem_ptr(hello->mem, gpa, size);

	return vhu_iommu_map(hello->iommu, iova, size, (uintptr_t)ptr, perm);
}

static int start_queue(struct hello *hello)
{
	struct vhu_vq_config config = { .num = 8, .addr = RING_IOVA, .buffer_addr = RING_IOVA };
	const size_t size = vhu_vq_bytes(config.num, 0);
	int error = map(hello, RING_IOVA, RING, size, VHU_PERM_RW);

	config.mem = vhu_guestmem_ptr(hello->mem, RING, size);
	return error ? error : vhu_vq_start(hello->frontend, &config, &hello->vq);
}

/* Bytes that came, or -errno. */
static int ask(struct hello *hello)
{
	const struct vhu_buffer buffer = { BUFFER_IOVA, WANTED, true };
	uint32_t written = 0;
	void *token;
	int error = map(hello, BUFFER_IOVA, BUFFER, WANTED, VHU_PERM_WRITE);

	if (!error)
		error = vhu_vq_add(hello->vq, &buffer, 1, hello);
	if (!error)
		error = vhu_vq_kick(hello->vq);
	if (error)
		return error;
	/* Answers what the device misses meanwhile. */
	if (vhu_vq_wait(hello->vq, 5000) != 1 || vhu_vq_get(hello->vq, &token, &written) != 1)
		return -EIO;
	/* Only once this has returned is the memory ours again. */
	error = vhu_iommu_unmap(hello->iommu, BUFFER_IOVA, WANTED);
	return error ? error : (int)written;
}

int main(int argc, char **argv)
{
	struct hello hello = { 0 };
	const unsigned char *bytes;
	int result;

	if (argc != 2) {
		fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
		return 2;
	}
	result = meet(&hello, argv[1]);
	if (!result)
		result = start_queue(&hello);
	if (!result)
		result = ask(&hello);
	if (result < 0)
		fprintf(stderr, "%s: %s\n", argv[1],
		        hello.frontend ? vhu_frontend_error(hello.frontend) : strerror(-result));
	bytes = hello.mem ? vhu_guestmem_ptr(hello.mem, BUFFER, WANTED) : NULL;
	for (int i = 0; i < result; i++)
		printf("%02x%s", bytes[i], i + 1 == result ? "\n" : "");
	if (hello.vq)
		vhu_vq_stop(hello.vq);
	vhu_vq_free(hello.vq);
	vhu_frontend_free(hello.frontend);
	vhu_guestmem_free(hello.mem);
	vhu_iommu_free(hello.iommu);
	return result < 0;
}
