/* SPDX-License-Identifier: BSD-3-Clause */
/* What is on offer, and what is said when something is not. */
#include <errno.h>
#include <limits.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "support/census.h"
#include "support/fake.h"

#define PLATFORM VHU_BIT(VIRTIO_F_ACCESS_PLATFORM)
#define VERSION  VHU_BIT(VIRTIO_F_VERSION_1)
#define PACKED   VHU_BIT(VIRTIO_F_RING_PACKED)
#define LOG_ALL  VHU_BIT(26)

/* Of what the back-end offers: what a driver would take, and the library can't carry out. */
static void what_the_library_can_not_carry_out_is_not_offered(void **state)
{
	static const uint64_t beyond[] = { PACKED, LOG_ALL, VHU_BIT(VHU_F_PROTOCOL_FEATURES) };
	struct fake_config config = fake_full;
	struct fake *fake;

	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++)
		config.features |= beyond[i];
	fake = fake_ready(&config, VERSION);
	assert_int_equal(vhu_frontend_features_offered(fake->frontend), VERSION);
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++)
		assert_int_equal(vhu_frontend_set_features(fake->frontend, beyond[i]), -EOPNOTSUPP);
	fake_free(fake);
}

static const struct {
	const char *name;
	uint64_t without, protocol_without;
	bool iommu;
	const char *text;
} refusals[] = {
	{ "no IOMMU", 0, 0, false, "vhu_frontend_config" },
	{ "not offered", PLATFORM, 0, true, "the back-end does not offer ACCESS_PLATFORM" },
	{ "no acknowledgements", 0, VHU_BIT(VHU_PROTOCOL_F_REPLY_ACK), true, "REPLY_ACK" },
	{ "no back-channel", 0, VHU_BIT(VHU_PROTOCOL_F_BACKEND_REQ), true, "BACKEND_REQ" },
};

static void M2_why_there_is_no_bit_33_is_said(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct fake_config config = fake_full;
		struct vhu_iommu *iommu;
		struct fake *fake;

		print_message("  %s\n", refusals[i].name);
		assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &iommu), 0);
		config.features &= ~refusals[i].without;
		config.protocol_features &= ~refusals[i].protocol_without;
		config.iommu = refusals[i].iommu ? iommu : NULL;
		fake = fake_ready(&config, 0);
		assert_int_equal(vhu_frontend_set_features(fake->frontend, PLATFORM), -EOPNOTSUPP);
		assert_non_null(strstr(vhu_frontend_error(fake->frontend), "SET_FEATURES"));
		assert_non_null(strstr(vhu_frontend_error(fake->frontend), refusals[i].text));
		fake_free(fake);
		vhu_iommu_free(iommu);
	}
}

static void what_is_done_twice_or_wrongly_has_a_text_of_its_own(void **state)
{
	struct fake *fake = fake_ready(&fake_full, 0);

	assert_int_equal(vhu_frontend_negotiate(fake->frontend), -EISCONN);
	assert_non_null(strstr(vhu_frontend_error(fake->frontend), "negotiated"));
	fake_free(fake);
}

static int make_socket(int domain, int type)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* An fd that was not taken is still open, and the caller's. */
static void an_fd_that_will_not_do_stays_the_callers(void **state)
{
	const struct {
		int fd, error;
	} cases[] = {
		{ make_socket(AF_UNIX, SOCK_STREAM), -ENOTCONN },
		{ make_socket(AF_UNIX, SOCK_DGRAM), -EPROTOTYPE },
		{ make_socket(AF_INET, SOCK_STREAM), -EPROTOTYPE },
		{ eventfd(0, EFD_CLOEXEC), -ENOTSOCK },
	};
	const struct vhu_frontend_config config = { 0 };
	struct census before = census_take();
	struct vhu_frontend *frontend;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = cases[i].fd;

		assert_int_equal(vhu_frontend_new(&config, fd, &frontend), cases[i].error);
		census_check(before);
	}
	assert_int_equal(vhu_frontend_new(&config, -1, &frontend), -EBADF);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = cases[i].fd;

		fd_close(&fd);
	}
}

static void a_time_out_is_a_time(void **state)
{
	const struct vhu_frontend_config negative = { .timeout_ms = -1 };
	struct fake_config config = fake_full;
	struct vhu_frontend *frontend;
	struct fake *fake;
	uint8_t status;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(vhu_frontend_new(&negative, pair[0], &frontend), -EINVAL);
	assert_int_equal(vhu_frontend_connect(&negative, "/nowhere", &frontend), -EINVAL);
	assert_int_equal(vhu_frontend_listen(&negative, "/nowhere", &frontend), -EINVAL);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	/* Sums with the longest there is do not wrap. */
	config.timeout_ms = INT_MAX;
	fake = fake_ready(&config, 0);
	assert_int_equal(vhu_frontend_get_status(fake->frontend, &status), 0);
	fake_free(fake);
}

/* The 64th: an IOMMU has no more. */
static void one_device_too_many_is_refused_and_keeps_its_fd(void **state)
{
	enum { MOST = 63 };
	struct vhu_frontend *frontends[MOST], *another;
	struct vhu_frontend_config config = { 0 };
	struct census before;
	int pairs[MOST + 1][2];

	assert_int_equal(vhu_iommu_new(&(struct vhu_iommu_config){ 0 }, &config.iommu), 0);
	for (unsigned i = 0; i <= MOST; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
	for (unsigned i = 0; i < MOST; i++)
		assert_int_equal(vhu_frontend_new(&config, pairs[i][0], &frontends[i]), 0);
	before = census_take();
	assert_int_equal(vhu_frontend_new(&config, pairs[MOST][0], &another), -ENOSPC);
	census_check(before);
	vhu_frontend_free(frontends[0]);
	assert_int_equal(vhu_frontend_new(&config, pairs[MOST][0], &frontends[0]), 0);
	for (unsigned i = 0; i < MOST; i++)
		vhu_frontend_free(frontends[i]);
	for (unsigned i = 0; i <= MOST; i++)
		fd_close(&pairs[i][1]);
	vhu_iommu_free(config.iommu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_library_can_not_carry_out_is_not_offered),
		cmocka_unit_test(M2_why_there_is_no_bit_33_is_said),
		cmocka_unit_test(what_is_done_twice_or_wrongly_has_a_text_of_its_own),
		cmocka_unit_test(an_fd_that_will_not_do_stays_the_callers),
		cmocka_unit_test(a_time_out_is_a_time),
		cmocka_unit_test(one_device_too_many_is_refused_and_keeps_its_fd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
