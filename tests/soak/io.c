/* SPDX-License-Identifier: BSD-3-Clause */
#include "io.h"

#include <stddef.h>

#include "pattern.h"
#include "record.h"

#define DATA_FRAMES 4u
#define PAGE_MASK   ((uint64_t)FRAME - 1)

static bool device_writes(const struct io_piece *piece)
{
	return piece->role == IO_IN || piece->role == IO_STATUS;
}

static char *piece_ptr(const struct scene *scene, const struct io_piece *piece)
{
	return (char *)frames_ptr(scene->frames, piece->frame) + piece->offset;
}

static struct io_piece *add_piece(struct io *io, enum io_role role, uint32_t frame, uint32_t offset,
                                  uint32_t len)
{
	struct io_piece *piece = &io->pieces[io->n_pieces++];

	*piece = (struct io_piece){ .role = role, .frame = frame, .offset = offset, .len = len };
	return piece;
}

/* @bytes of data, from somewhere in a first frame on. */
static bool add_data(struct scene *scene, struct io *io, enum io_role role, uint32_t bytes)
{
	uint32_t offset = random_chance(50) ? 0 : random_below(FRAME);

	for (uint64_t at = 0; at < bytes; offset = 0) {
		uint32_t frame = frames_take(scene->frames, false);
		uint32_t len = FRAME - offset;
		struct io_piece *piece;

		if (frame == FRAMES_NONE)
			return false;
		if (len > bytes - at)
			len = (uint32_t)(bytes - at);
		piece = add_piece(io, role, frame, offset, len);
		piece->at = at;
		at += len;
	}
	return true;
}

static uint32_t random_bytes(void)
{
	if (random_chance(25))
		return 0;
	if (random_chance(50))
		return 1 + random_below(64);
	return 1 + random_below((DATA_FRAMES - 1) * FRAME);
}

/* Header and status share a firm frame: neither may go while a session lasts. */
static bool take_frames(struct scene *scene, struct io *io)
{
	struct device_header *header = &io->header;
	uint32_t meta = frames_take(scene->frames, true);

	if (meta == FRAMES_NONE)
		return false;
	*header = (struct device_header){
		.magic = DEVICE_MAGIC,
		.out_key = random_next(),
		.in_key = random_next(),
		.when = random_below(DEVICE_LATER + 1),
		.delay_us = random_chance(70) ? 0 : random_below(random_chance(5) ? 12000 : 800),
		.out_len = random_bytes(),
		.in_len = random_bytes(),
	};
	add_piece(io, IO_HEADER, meta, random_below(FRAME / 2), sizeof(*header));
	if (!add_data(scene, io, IO_OUT, header->out_len) ||
	    !add_data(scene, io, IO_IN, header->in_len))
		return false;
	add_piece(io, IO_STATUS, meta, FRAME / 2 + 64 + random_below(FRAME / 2 - 64), 1);
	return true;
}

static void give_frames(struct scene *scene, struct io *io)
{
	for (unsigned i = 0; i < io->n_pieces; i++) {
		struct io_piece *piece = &io->pieces[i];

		/* That of the status is that of the header. */
		if (!piece->gone && piece->role != IO_STATUS)
			frames_give(scene->frames, piece->frame);
		piece->gone = true;
	}
}

static void write_pieces(struct scene *scene, const struct io *io)
{
	for (unsigned i = 0; i < io->n_pieces; i++) {
		const struct io_piece *piece = &io->pieces[i];
		char *to = piece_ptr(scene, piece);

		if (piece->role == IO_HEADER)
			memcpy(to, &io->header, sizeof(io->header));
		else if (piece->role == IO_OUT)
			pattern_fill(io->header.out_key, piece->at, to, piece->len);
		else if (piece->role == IO_STATUS)
			*to = (char)STATUS_NONE;
	}
}

/* Frames lie anywhere; their addresses follow each other within a role. */
static void place_pieces(const struct scene *scene, struct io *io)
{
	uint64_t page = io->window + random_below(32) * (uint64_t)FRAME, meta = page;

	for (unsigned i = 0; i < io->n_pieces; i++) {
		struct io_piece *piece = &io->pieces[i];
		bool is_meta = piece->role == IO_HEADER || piece->role == IO_STATUS;

		if (!is_meta)
			page += FRAME;
		/* A page that is never mapped between what is read and what is written. */
		if (piece->role == IO_IN && piece->at == 0)
			page += FRAME;
		piece->addr = (is_meta ? meta : page) + piece->offset;
		if (!scene->iommu)
			piece->addr = frames_gpa(piece->frame) + piece->offset;
	}
}

static void map_piece(struct scene *scene, const struct io *io, struct io_piece *piece,
                      uint8_t perm)
{
	uint64_t skip = io->whole ? piece->offset : 0;
	int error = vhu_iommu_map(scene->iommu, piece->addr - skip, io->whole ? FRAME : piece->len,
	                          (uintptr_t)piece_ptr(scene, piece) - skip, perm);

	record_expect(error, "vhu_iommu_map", "");
	piece->mapped = true;
}

/* Now and then a piece is left out, or may only be read: that request is refused. */
static void map_pieces(struct scene *scene, struct io *io)
{
	unsigned odd = random_chance(5) ? random_below(io->n_pieces) : IO_PIECES;

	for (unsigned i = 0; i < io->n_pieces; i++) {
		struct io_piece *piece = &io->pieces[i];
		uint8_t perm = device_writes(piece) ? VHU_PERM_WRITE : VHU_PERM_READ;

		if (io->whole && piece->role == IO_STATUS)
			continue;
		if (i == odd && (piece->role == IO_OUT || piece->role == IO_IN)) {
			io->must_refuse = true;
			if (piece->role == IO_OUT || random_chance(50))
				continue;
			perm = VHU_PERM_READ;
		} else if (io->whole) {
			perm = VHU_PERM_RW;
		}
		map_piece(scene, io, piece, perm);
	}
}

bool io_prepare(struct scene *scene, struct io *io, uint64_t window)
{
	*io = (struct io){ .busy = true, .window = window, .whole = random_chance(40) };
	if (!take_frames(scene, io)) {
		give_frames(scene, io);
		io->busy = false;
		return false;
	}
	write_pieces(scene, io);
	place_pieces(scene, io);
	if (scene->iommu)
		map_pieces(scene, io);
	return true;
}

unsigned io_buffers(const struct io *io, struct vhu_buffer *buffers)
{
	unsigned n = 0;

	for (unsigned i = 0; i < io->n_pieces; i++) {
		const struct io_piece *piece = &io->pieces[i];
		bool writable = device_writes(piece);
		struct vhu_buffer *last = n ? &buffers[n - 1] : NULL;

		if (last && last->writable == writable && last->addr + last->len == piece->addr &&
		    random_chance(80))
			last->len += piece->len;
		else
			buffers[n++] = (struct vhu_buffer){ piece->addr, piece->len, writable };
	}
	return n;
}

/* What the frame of @first has to be, by all the pieces that lie in it. */
static void expected_frame(const struct scene *scene, const struct io *io,
                           const struct io_piece *first, uint8_t status, uint8_t *ret)
{
	pattern_fill(frames_canary(scene->frames, first->frame), 0, ret, FRAME);
	for (unsigned i = 0; i < io->n_pieces; i++) {
		const struct io_piece *piece = &io->pieces[i];
		uint8_t *to = ret + piece->offset;

		if (piece->frame != first->frame || piece->gone)
			continue;
		if (piece->role == IO_HEADER)
			memcpy(to, &io->header, sizeof(io->header));
		else if (piece->role == IO_OUT)
			pattern_fill(io->header.out_key, piece->at, to, piece->len);
		else if (piece->role == IO_STATUS)
			*to = status;
		else if (status == STATUS_OK)
			pattern_fill(io->header.in_key, piece->at, to, piece->len);
	}
}

/* Every byte of every frame is what it has to be for a request that ended by @status. */
static void verify(const struct scene *scene, const struct io *io, uint8_t status)
{
	static const char *const roles[] = { "header", "data read", "data written", "status" };
	uint8_t expected[FRAME];

	for (unsigned i = 0; i < io->n_pieces; i++) {
		const struct io_piece *piece = &io->pieces[i];
		const uint8_t *there = frames_ptr(scene->frames, piece->frame);
		unsigned at = 0;

		if (piece->gone || piece->role == IO_STATUS)
			continue;
		expected_frame(scene, io, piece, status, expected);
		if (!memcmp(there, expected, FRAME))
			continue;
		while (there[at] == expected[at])
			at++;
		record_fail("a request that ended by %#x: its frame %u (%s, %u bytes at %u) has "
		            "%#x at %u, not %#x",
		            status, piece->frame, roles[piece->role], piece->len, piece->offset,
		            there[at], at, expected[at]);
	}
}

static const struct io_piece *status_piece(const struct io *io)
{
	return &io->pieces[io->n_pieces - 1];
}

static uint8_t read_status(const struct scene *scene, const struct io *io)
{
	if (io->status_gone)
		return io->last_status;
	return __atomic_load_n((uint8_t *)piece_ptr(scene, status_piece(io)), __ATOMIC_ACQUIRE);
}

void io_judge(struct scene *scene, struct io *io, uint32_t written)
{
	uint8_t status = read_status(scene, io);
	uint32_t wanted = status == STATUS_OK ? io->header.in_len + 1 : 1;

	if (status != STATUS_OK && status != STATUS_REFUSED)
		record_fail("a request came back with status %#x", status);
	if (status == STATUS_OK && io->must_refuse)
		record_fail("a request was carried out that has memory which is not mapped");
	if (status == STATUS_REFUSED && !io->must_refuse && !io->may_refuse)
		record_fail("a request was refused of which all is mapped");
	if (written != wanted)
		record_fail("%u bytes were written, not %u", wanted, written);
	verify(scene, io, status);
}

void io_judge_unbegun(struct scene *scene, struct io *io)
{
	uint8_t status = read_status(scene, io);

	if (status != STATUS_NONE || io->settled)
		record_fail("a request that was not completed has status %#x", status);
	verify(scene, io, status);
}

/* Memory was just taken back: what the request is now it has to be for ever. */
static void look(struct scene *scene, struct io *io)
{
	uint8_t status = read_status(scene, io);

	if (status == STATUS_OK) {
		verify(scene, io, status);
		io->settled = true;
	} else if (io->settled) {
		record_fail("the status of a request has changed from %#x to %#x", STATUS_OK,
		            status);
	} else {
		io->must_refuse = true;
	}
}

static void unmap_piece(struct scene *scene, const struct io *io, struct io_piece *piece)
{
	uint64_t skip = io->whole ? piece->offset : 0;

	record_expect(
		vhu_iommu_unmap(scene->iommu, piece->addr - skip, io->whole ? FRAME : piece->len),
		"vhu_iommu_unmap", vhu_frontend_error(scene->frontend));
	piece->mapped = false;
}

/* To others at once: what the back-end still writes there is found. */
static void give_piece(struct scene *scene, struct io_piece *piece)
{
	if (piece->role == IO_HEADER || piece->gone)
		return;
	piece->gone = true;
	frames_give(scene->frames, piece->frame);
}

void io_revoke(struct scene *scene, struct io *io)
{
	struct io_piece *piece = &io->pieces[random_below(io->n_pieces - 1)];

	/* By pages, the header's is the status's, too. */
	if (!piece->mapped || (io->whole && piece->role == IO_HEADER))
		return;
	unmap_piece(scene, io, piece);
	look(scene, io);
	give_piece(scene, piece);
}

void io_revoke_region(struct scene *scene, struct io *io, unsigned region)
{
	bool concerned = false;

	for (unsigned i = 0; i < io->n_pieces; i++)
		concerned |= !io->pieces[i].gone && frames_region_of(io->pieces[i].frame) == region;
	if (!concerned)
		return;
	if (!scene->iommu) {
		/* Shared anew, it may work after all. */
		if (read_status(scene, io) != STATUS_OK)
			io->may_refuse = true;
		return;
	}
	look(scene, io);
	for (unsigned i = 0; i < io->n_pieces; i++) {
		struct io_piece *piece = &io->pieces[i];

		if (piece->gone || frames_region_of(piece->frame) != region)
			continue;
		if (piece->mapped)
			unmap_piece(scene, io, piece);
		give_piece(scene, piece);
	}
}

static void unmap_all(struct scene *scene, struct io *io)
{
	if (!scene->iommu)
		return;
	record_expect(vhu_iommu_unmap(scene->iommu, io->window, IO_WINDOW), "vhu_iommu_unmap",
	              vhu_frontend_error(scene->frontend));
	for (unsigned i = 0; i < io->n_pieces; i++)
		io->pieces[i].mapped = false;
}

void io_revoke_all(struct scene *scene, struct io *io)
{
	unmap_all(scene, io);
	look(scene, io);
	io->last_status = read_status(scene, io);
	io->status_gone = true;
	give_frames(scene, io);
}

bool io_wants(const struct io *io, uint64_t addr)
{
	return io->busy && !io->done && addr >= io->window && addr - io->window < IO_WINDOW;
}

void io_release(struct scene *scene, struct io *io)
{
	uint8_t status = read_status(scene, io);

	/* It was judged; whether anything changed since is seen after the unmap. */
	unmap_all(scene, io);
	verify(scene, io, status);
	give_frames(scene, io);
	io_forget(io);
}

void io_forget(struct io *io)
{
	io->busy = false;
}
