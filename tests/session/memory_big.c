/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory as large machines have it: many nodes, many slots, a terabyte, files,
 * huge pages. A request moves data through each, by way of the IOTLB.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "memory/memtable.h"
#include "session/stage.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/*
 * The thread sanitizer leaves a program half a terabyte to a terabyte and a
 * half of addresses, by what the kernel's dice say.
 */
#ifdef THREAD_SANITIZER
#define VAST (TIB / 4)
#else
#define VAST TIB
#endif

/* Where memory of the test's own lies, in gpa, which is its uva, too. */
#define OWN_GPA (UINT64_C(1) << 44)
/* And where the device sees it. */
#define OWN_IOVA (UINT64_C(1) << 45)

static struct rig *start(void **state, struct rig_config config)
{
	config.gpa_addresses = true;
	return stage_open(state, config);
}

static void add_slot(struct rig *rig, uint64_t gpa, uint64_t size, uint64_t offset, int fd)
{
	struct message message;

	message_init(&message, VHU_FE_ADD_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = (struct vhu_memory_region){ gpa, size, gpa, offset };
	message.fds[0] = fd;
	message.n_fds = 1;
	assert_int_equal(rig_call(rig, &message), 0);
}

static void remove_slot(struct rig *rig, uint64_t gpa, uint64_t size)
{
	struct message message;

	message_init(&message, VHU_FE_REM_MEM_REG);
	message.header.size = sizeof(message.payload.single);
	message.payload.single.region = (struct vhu_memory_region){ gpa, size, gpa, 0 };
	assert_int_equal(rig_call(rig, &message), 0);
}

/* The device copies a pattern from @gpa + from to @gpa + to; both lie in @fd at @offset on. */
static void copy_in_file(struct rig *rig, int fd, uint64_t gpa, uint64_t offset, uint64_t from,
                         uint64_t to, uint32_t len, unsigned n)
{
	unsigned char *out = malloc(len), *in = malloc(len + 1);

	assert_true(out && in);
	for (uint32_t i = 0; i < len; i++)
		out[i] = (unsigned char)(i * 13 + n);
	assert_int_equal(pwrite(fd, out, len, (off_t)(offset + from)), len);
	assert_int_equal(rig_update(rig, OWN_IOVA + from, len, gpa + from, PERM_READ), 0);
	assert_int_equal(rig_update(rig, OWN_IOVA + to, len + 1, gpa + to, PERM_WRITE), 0);
	stage_ask_copy(rig, 0, OWN_IOVA + from, len, OWN_IOVA + to, len + 1, n);
	stage_expect_used(rig, 0, n, len + 1);
	assert_int_equal(pread(fd, in, len + 1, (off_t)(offset + to)), len + 1);
	assert_memory_equal(in, out, len);
	assert_int_equal(in[len], RIG_OK);
	assert_int_equal(rig_invalidate(rig, OWN_IOVA, TIB), 0);
	free(out);
	free(in);
}

static int make_memfd(uint64_t size)
{
	int fd = memfd_create("big", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* A buffer over all the nodes is as many pieces of memory. */
static void eight_nodes(void **state)
{
	const uint64_t node = MIB;
	struct rig *rig = start(state, (struct rig_config){ .n_regions = 8, .region_size = node });
	uint32_t len = (uint32_t)(6 * node + 10);
	uint64_t gpa = 2 * node - 5;
	unsigned char *memory = rig_ptr(rig, gpa, len - 10);

	len -= 10;
	assert_int_equal(rig_update(rig, OWN_IOVA, len, gpa, PERM_RW), 0);
	memset(memory, 0xee, len);
	stage_ask(rig, 0, OWN_IOVA, len, 1);
	stage_expect_used(rig, 0, 1, len);
	stage_expect_filled(rig, gpa, len);
	rig_free(rig);
}

static void every_one_of_509_slots(void **state)
{
	const uint64_t size = 16 * PAGE;
	struct rig *rig = start(state, (struct rig_config){ 0 });
	unsigned n = MEMTABLE_REGIONS_MAX - 1;
	int fd = make_memfd(n * size);

	assert_int_equal(n, 508);
	/* In an order that is none. */
	for (unsigned i = 0; i < n; i++) {
		unsigned slot = i * 7 % n;

		add_slot(rig, OWN_GPA + slot * 2 * size, size, slot * size, fd);
	}
	for (unsigned slot = 0; slot < n; slot++)
		copy_in_file(rig, fd, OWN_GPA + slot * 2 * size, slot * size, 8, 4 * PAGE + 3, PAGE,
		             slot);
	for (unsigned slot = 0; slot < n; slot += 2)
		remove_slot(rig, OWN_GPA + slot * 2 * size, size);
	for (unsigned slot = 1; slot < n; slot += 50)
		copy_in_file(rig, fd, OWN_GPA + slot * 2 * size, slot * size, 8, 4 * PAGE + 3, PAGE,
		             slot);
	rig_free(rig);
	close(fd);
}

/* Nothing of it is there but what was touched. */
static void a_sparse_terabyte(void **state)
{
	struct rig *rig = start(state, (struct rig_config){ 0 });
	int fd = make_memfd(VAST);
	struct stat st;

	add_slot(rig, OWN_GPA, VAST, 0, fd);
	copy_in_file(rig, fd, OWN_GPA, 0, 0, GIB, 3 * PAGE, 1);
	copy_in_file(rig, fd, OWN_GPA, 0, VAST - 65 * PAGE, VAST - 32 * PAGE - 1, 32 * PAGE, 2);
	copy_in_file(rig, fd, OWN_GPA, 0, VAST / 2 - 7, VAST / 3, 100, 3);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 < (off_t)MIB);
	remove_slot(rig, OWN_GPA, VAST);
	rig_free(rig);
	close(fd);
}

/* At an offset of a file on a disk, or on what is in the place of one. */
static void memory_in_a_file(void **state)
{
	struct rig *rig = start(state, (struct rig_config){ 0 });
	char name[] = "memory-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, (off_t)(4 * MIB)), 0);
	add_slot(rig, OWN_GPA, 2 * MIB, MIB, fd);
	copy_in_file(rig, fd, OWN_GPA, MIB, 100, MIB + 5, 20 * PAGE, 1);
	copy_in_file(rig, fd, OWN_GPA, MIB, 0, 2 * MIB - PAGE, PAGE - 1, 2);
	rig_free(rig);
	close(fd);
}

static uint64_t free_huge_pages(uint64_t size)
{
	unsigned long long n = 0;
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%llukB/free_hugepages",
	         (unsigned long long)size >> 10);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%llu", &n) != 1)
		n = 0;
	if (file)
		fclose(file);
	return n;
}

/* Offset and size of the region are no multiples of the page: the mapping's are. */
static void huge_pages(void **state, uint64_t page, unsigned flag)
{
	char *memory;
	struct rig *rig;
	int fd;

	if (free_huge_pages(page) < 2) {
		print_message("skipped: the machine has fewer than two free pages of %llu MiB\n",
		              (unsigned long long)page >> 20);
		skip();
	}
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | flag);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(2 * page)), 0);
	/* Files of huge pages know no write(2). */
	memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(memory != MAP_FAILED);
	/* The kernel may need seconds to clear one. */
	memory[0] = memory[page] = 0;
	rig = start(state, (struct rig_config){ 0 });
	add_slot(rig, OWN_GPA, 2 * page - 2 * PAGE, PAGE, fd);
	assert_int_equal(rig_update(rig, OWN_IOVA, 2 * page - 2 * PAGE, OWN_GPA, PERM_RW), 0);
	memset(memory + PAGE, 7, PAGE);
	stage_ask_copy(rig, 0, OWN_IOVA, PAGE, OWN_IOVA + page - 3 * PAGE, 4 * PAGE, 1);
	stage_expect_used(rig, 0, 1, 4 * PAGE);
	for (unsigned i = 0; i < 4 * PAGE - 1; i++)
		assert_int_equal(memory[page - 2 * PAGE + i], 7);
	remove_slot(rig, OWN_GPA, 2 * page - 2 * PAGE);
	rig_free(rig);
	munmap(memory, 2 * page);
	close(fd);
}

static void huge_pages_of_2_MiB(void **state)
{
	huge_pages(state, 2 * MIB, 21u << MAP_HUGE_SHIFT);
}

static void huge_pages_of_1_GiB(void **state)
{
	huge_pages(state, GIB, 30u << MAP_HUGE_SHIFT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(eight_nodes),         EACH(every_one_of_509_slots),
		EACH(a_sparse_terabyte),   EACH(memory_in_a_file),
		EACH(huge_pages_of_2_MiB), RIG_TEST_WITH(huge_pages_of_1_GiB, rig_own_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
