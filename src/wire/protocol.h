/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user protocol as its specification gives it (docs/interop/
 * vhost-user.rst of QEMU): numbers, bits and layouts, and nothing else.
 * Integers are in the machine's own byte order.
 */
#ifndef WIRE_PROTOCOL_H
#define WIRE_PROTOCOL_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Requests of a front-end, on the main channel. */
enum vhu_frontend_request {
	VHU_FE_GET_FEATURES = 1,
	VHU_FE_SET_FEATURES = 2,
	VHU_FE_SET_OWNER = 3,
	VHU_FE_RESET_OWNER = 4,
	VHU_FE_SET_MEM_TABLE = 5,
	VHU_FE_SET_LOG_BASE = 6,
	VHU_FE_SET_LOG_FD = 7,
	VHU_FE_SET_VRING_NUM = 8,
	VHU_FE_SET_VRING_ADDR = 9,
	VHU_FE_SET_VRING_BASE = 10,
	VHU_FE_GET_VRING_BASE = 11,
	VHU_FE_SET_VRING_KICK = 12,
	VHU_FE_SET_VRING_CALL = 13,
	VHU_FE_SET_VRING_ERR = 14,
	VHU_FE_GET_PROTOCOL_FEATURES = 15,
	VHU_FE_SET_PROTOCOL_FEATURES = 16,
	VHU_FE_GET_QUEUE_NUM = 17,
	VHU_FE_SET_VRING_ENABLE = 18,
	VHU_FE_SEND_RARP = 19,
	VHU_FE_NET_SET_MTU = 20,
	VHU_FE_SET_BACKEND_REQ_FD = 21,
	VHU_FE_IOTLB_MSG = 22,
	VHU_FE_SET_VRING_ENDIAN = 23,
	VHU_FE_GET_CONFIG = 24,
	VHU_FE_SET_CONFIG = 25,
	VHU_FE_CREATE_CRYPTO_SESSION = 26,
	VHU_FE_CLOSE_CRYPTO_SESSION = 27,
	VHU_FE_POSTCOPY_ADVISE = 28,
	VHU_FE_POSTCOPY_LISTEN = 29,
	VHU_FE_POSTCOPY_END = 30,
	VHU_FE_GET_INFLIGHT_FD = 31,
	VHU_FE_SET_INFLIGHT_FD = 32,
	VHU_FE_GPU_SET_SOCKET = 33,
	VHU_FE_RESET_DEVICE = 34,
	VHU_FE_VRING_KICK = 35,
	VHU_FE_GET_MAX_MEM_SLOTS = 36,
	VHU_FE_ADD_MEM_REG = 37,
	VHU_FE_REM_MEM_REG = 38,
	VHU_FE_SET_STATUS = 39,
	VHU_FE_GET_STATUS = 40,
	VHU_FE_GET_SHARED_OBJECT = 41,
	VHU_FE_SET_DEVICE_STATE_FD = 42,
	VHU_FE_CHECK_DEVICE_STATE = 43,
	VHU_FE_GET_SHMEM_CONFIG = 44,
	VHU_FE_END, /* one above the last */
};

/* Requests of a back-end, on the back-channel. */
enum vhu_backend_request {
	VHU_BE_IOTLB_MSG = 1,
	VHU_BE_CONFIG_CHANGE_MSG = 2,
	VHU_BE_VRING_HOST_NOTIFIER_MSG = 3,
	VHU_BE_VRING_CALL = 4,
	VHU_BE_VRING_ERR = 5,
	VHU_BE_SHARED_OBJECT_ADD = 6,
	VHU_BE_SHARED_OBJECT_REMOVE = 7,
	VHU_BE_SHARED_OBJECT_LOOKUP = 8,
	VHU_BE_SHMEM_MAP = 9,
	VHU_BE_SHMEM_UNMAP = 10,
	VHU_BE_END,
};

/* Bits of the protocol features. */
enum vhu_protocol_feature {
	VHU_PROTOCOL_F_MQ = 0,
	VHU_PROTOCOL_F_LOG_SHMFD = 1,
	VHU_PROTOCOL_F_RARP = 2,
	VHU_PROTOCOL_F_REPLY_ACK = 3,
	VHU_PROTOCOL_F_NET_MTU = 4,
	VHU_PROTOCOL_F_BACKEND_REQ = 5,
	VHU_PROTOCOL_F_CROSS_ENDIAN = 6,
	VHU_PROTOCOL_F_CRYPTO_SESSION = 7,
	VHU_PROTOCOL_F_PAGEFAULT = 8,
	VHU_PROTOCOL_F_CONFIG = 9,
	VHU_PROTOCOL_F_BACKEND_SEND_FD = 10,
	VHU_PROTOCOL_F_HOST_NOTIFIER = 11,
	VHU_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHU_PROTOCOL_F_RESET_DEVICE = 13,
	VHU_PROTOCOL_F_INBAND_NOTIFICATIONS = 14,
	VHU_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHU_PROTOCOL_F_STATUS = 16,
	VHU_PROTOCOL_F_XEN_MMAP = 17,
	VHU_PROTOCOL_F_SHARED_OBJECT = 18,
	VHU_PROTOCOL_F_DEVICE_STATE = 19,
	VHU_PROTOCOL_F_GET_VRING_BASE_INFLIGHT = 20,
	VHU_PROTOCOL_F_GPA_ADDRESSES = 21,
	VHU_PROTOCOL_F_SHMEM = 22,
};

/* The virtio feature bit that says that protocol features exist. */
#define VHU_F_PROTOCOL_FEATURES 30

#define VHU_BIT(n)              (UINT64_C(1) << (n))

struct vhu_header {
	uint32_t request;
	uint32_t flags; /* VHU_FLAG_* */
	uint32_t size;  /* of the payload */
} __attribute__((packed));

#define VHU_FLAG_VERSION_MASK 0x3u
#define VHU_FLAG_VERSION      0x1u
#define VHU_FLAG_REPLY        0x4u
#define VHU_FLAG_NEED_REPLY   0x8u
#define VHU_FLAG_MASK         0xfu

/* In the u64 of SET_VRING_KICK, CALL and ERR, and of vring areas. */
#define VHU_VRING_INDEX_MASK 0xffu
#define VHU_VRING_NOFD       VHU_BIT(8)

struct vhu_vring_state {
	uint32_t index;
	uint32_t num;
} __attribute__((packed));

struct vhu_vring_addr {
	uint32_t index;
	uint32_t flags; /* VHU_VRING_F_LOG */
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
} __attribute__((packed));

#define VHU_VRING_F_LOG 0x1u

struct vhu_memory_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t mmap_offset;
} __attribute__((packed));

#define VHU_MEMORY_REGIONS_MAX 8u

struct vhu_memory {
	uint32_t n;
	uint32_t padding;
	struct vhu_memory_region regions[VHU_MEMORY_REGIONS_MAX]; /* n of them are sent */
} __attribute__((packed));

struct vhu_memory_single {
	uint64_t padding;
	struct vhu_memory_region region;
} __attribute__((packed));

struct vhu_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
} __attribute__((packed));

struct vhu_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t uaddr;
	uint8_t perm;
	uint8_t type; /* VHU_IOTLB_* */
	uint8_t padding[6];
} __attribute__((packed));

/* The specification's text ends at type; peers send 32 bytes. */
#define VHU_IOTLB_SIZE_MIN 26u

enum vhu_iotlb_type {
	VHU_IOTLB_MISS = 1,
	VHU_IOTLB_UPDATE = 2,
	VHU_IOTLB_INVALIDATE = 3,
	VHU_IOTLB_ACCESS_FAIL = 4,
};

#define VHU_CONFIG_MAX 256u

struct vhu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags; /* VHU_CONFIG_* */
	unsigned char bytes[VHU_CONFIG_MAX];
} __attribute__((packed));

#define VHU_CONFIG_HEADER    12u
#define VHU_CONFIG_WRITABLE  0u
#define VHU_CONFIG_MIGRATION 1u

struct vhu_vring_area {
	uint64_t index; /* VHU_VRING_INDEX_MASK, VHU_VRING_NOFD */
	uint64_t size;
	uint64_t offset;
} __attribute__((packed));

struct vhu_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint8_t padding[4];
} __attribute__((packed));

struct vhu_shared {
	uint8_t uuid[16];
} __attribute__((packed));

struct vhu_device_state {
	uint32_t direction; /* 0 save, 1 load */
	uint32_t phase;     /* 0 stopped */
} __attribute__((packed));

struct vhu_mmap {
	uint8_t shmid;
	uint8_t padding[7];
	uint64_t fd_offset;
	uint64_t shm_offset;
	uint64_t len;
	uint64_t flags; /* bit 0: writable */
} __attribute__((packed));

#define VHU_SHMEM_MAX 256u

struct vhu_shmem {
	uint32_t n;
	uint32_t padding;
	uint64_t sizes[VHU_SHMEM_MAX];
} __attribute__((packed));

/* The largest payload of any message. */
#define VHU_PAYLOAD_MAX sizeof(struct vhu_shmem)

static_assert(sizeof(struct vhu_header) == 12, "wire layout");
static_assert(sizeof(struct vhu_vring_state) == 8, "wire layout");
static_assert(sizeof(struct vhu_vring_addr) == 40, "wire layout");
static_assert(sizeof(struct vhu_memory_region) == 32, "wire layout");
static_assert(sizeof(struct vhu_memory) == 264, "wire layout");
static_assert(sizeof(struct vhu_memory_single) == 40, "wire layout");
static_assert(sizeof(struct vhu_log) == 16, "wire layout");
static_assert(sizeof(struct vhu_iotlb) == 32, "wire layout");
static_assert(sizeof(struct vhu_config) == 268, "wire layout");
static_assert(sizeof(struct vhu_vring_area) == 24, "wire layout");
static_assert(sizeof(struct vhu_inflight) == 24, "wire layout");
static_assert(sizeof(struct vhu_shared) == 16, "wire layout");
static_assert(sizeof(struct vhu_device_state) == 8, "wire layout");
static_assert(sizeof(struct vhu_mmap) == 40, "wire layout");
static_assert(sizeof(struct vhu_shmem) == 2056, "wire layout");
static_assert(offsetof(struct vhu_vring_addr, desc) == 8, "wire layout");
static_assert(offsetof(struct vhu_vring_addr, used) == 16, "wire layout");
static_assert(offsetof(struct vhu_vring_addr, avail) == 24, "wire layout");
static_assert(offsetof(struct vhu_vring_addr, log) == 32, "wire layout");
static_assert(offsetof(struct vhu_memory_region, size) == 8, "wire layout");
static_assert(offsetof(struct vhu_memory_region, uva) == 16, "wire layout");
static_assert(offsetof(struct vhu_memory_region, mmap_offset) == 24, "wire layout");
static_assert(offsetof(struct vhu_memory, regions) == 8, "wire layout");
static_assert(offsetof(struct vhu_memory_single, region) == 8, "wire layout");
static_assert(offsetof(struct vhu_log, mmap_offset) == 8, "wire layout");
static_assert(offsetof(struct vhu_iotlb, size) == 8, "wire layout");
static_assert(offsetof(struct vhu_iotlb, uaddr) == 16, "wire layout");
static_assert(offsetof(struct vhu_iotlb, perm) == 24, "wire layout");
static_assert(offsetof(struct vhu_iotlb, type) == 25, "wire layout");
static_assert(offsetof(struct vhu_config, size) == 4, "wire layout");
static_assert(offsetof(struct vhu_config, flags) == 8, "wire layout");
static_assert(offsetof(struct vhu_config, bytes) == 12, "wire layout");
static_assert(offsetof(struct vhu_vring_area, size) == 8, "wire layout");
static_assert(offsetof(struct vhu_vring_area, offset) == 16, "wire layout");
static_assert(offsetof(struct vhu_inflight, mmap_offset) == 8, "wire layout");
static_assert(offsetof(struct vhu_inflight, num_queues) == 16, "wire layout");
static_assert(offsetof(struct vhu_inflight, queue_size) == 18, "wire layout");
static_assert(offsetof(struct vhu_device_state, phase) == 4, "wire layout");
static_assert(offsetof(struct vhu_mmap, fd_offset) == 8, "wire layout");
static_assert(offsetof(struct vhu_mmap, shm_offset) == 16, "wire layout");
static_assert(offsetof(struct vhu_mmap, len) == 24, "wire layout");
static_assert(offsetof(struct vhu_mmap, flags) == 32, "wire layout");
static_assert(offsetof(struct vhu_shmem, sizes) == 8, "wire layout");
static_assert(offsetof(struct vhu_header, flags) == 4, "wire layout");
static_assert(offsetof(struct vhu_header, size) == 8, "wire layout");
static_assert(offsetof(struct vhu_vring_state, num) == 4, "wire layout");

#endif
