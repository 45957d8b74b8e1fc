/* SPDX-License-Identifier: BSD-3-Clause */
#include "frames.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"
#include "verdict.h"

#define UNSEEN __attribute__((no_sanitize("thread")))

/* Those of the run that goes on; for the handler. */
static struct frames *volatile current;

/* The first that was caught since the last run. */
static struct {
	const char *volatile thread;
	char *volatile addr;
} caught;

static uint64_t canary_seed(const struct frame *frame)
{
	return pattern_mix(~(frame->iova ^ frame->round << 20));
}

/* The region in whose mapping, or in what stands for it, the address is. */
UNSEEN static const struct frames_region *region_of(const struct frames *frames, const char *addr)
{
	for (unsigned i = 0; frames && i < FRAMES_REGIONS; i++) {
		const struct frames_region *region = &frames->regions[i];
		const char *theirs = region->theirs;

		if (theirs && addr >= theirs && (uint64_t)(addr - theirs) < region->size)
			return region;
	}
	return NULL;
}

/* Leaves word, and lets the thread go on: the run ends in good order. */
UNSEEN static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	char *addr = info->si_addr, *page = addr - (uintptr_t)addr % PAGE;
	int error = errno;

	(void)context;
	if (!region_of(current, addr)) {
		signal(signal_number, SIG_DFL);
		return;
	}
	if (!caught.addr) {
		caught.thread = disk_thread;
		caught.addr = addr;
	}
	/* Where memory has gone there is nothing to be made accessible. */
	if (syscall(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE))
		syscall(SYS_mmap, page, PAGE, PROT_READ | PROT_WRITE,
		        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	errno = error;
}

UNSEEN void frames_tell(struct frames *frames)
{
	char *addr = caught.addr;
	const char *thread = caught.thread;
	const struct frames_region *region = region_of(frames, addr);
	const struct frame *frame;

	if (!addr || !region)
		return;
	frame = &frames->all[region->first + (uint64_t)(addr - region->theirs) / PAGE];
	verdict_set(VERDICT_VIOLATION,
	            "%s: %s touched the page at iova 0x%" PRIx64 ", byte %u, in frame %u, after %s "
	            "of round %" PRIu64 " was acknowledged",
	            frames->subject, thread ? thread : "a thread of the engine's", frame->iova,
	            (unsigned)((uintptr_t)addr % PAGE), (unsigned)(frame - frames->all), frame->way,
	            frame->round);
}

static void catch_faults(struct frames *frames)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	caught.addr = NULL;
	current = frames;
	sigaction(SIGSEGV, &action, NULL);
}

static void add_region(struct frames *frames, unsigned i, unsigned n)
{
	unsigned n_regions;
	const struct vhu_region *shared = vhu_guestmem_regions(frames->mem, &n_regions);

	frames->regions[i] = (struct frames_region){
		.first = frames->n,
		.n = n,
		.fd = shared[i].fd,
		.gpa = shared[i].gpa,
		.uva = shared[i].uva,
		.size = shared[i].size,
	};
	frames->n += n;
}

static void free_region(struct frames *frames, const struct frames_region *region)
{
	for (unsigned f = region->first; f < region->first + region->n; f++) {
		if (f < frames->n_fixed)
			continue;
		frames->all[f].state = FRAME_FREE;
		frames->free[frames->n_free++] = f;
	}
}

int frames_init(struct frames *frames, const char *subject, unsigned n_fixed, unsigned n,
                unsigned n_second)
{
	const uint64_t sizes[FRAMES_REGIONS] = { (uint64_t)(n_fixed + n) * PAGE,
		                                 (uint64_t)n_second * PAGE };
	int error;

	memset(frames, 0, sizeof(*frames));
	if (n_fixed + n + n_second > FRAMES_MAX)
		return -E2BIG;
	error = vhu_guestmem_new(sizes, FRAMES_REGIONS, &frames->mem);
	if (error)
		return error;
	frames->subject = subject;
	frames->ours = vhu_guestmem_ptr(frames->mem, 0, PAGE);
	frames->n_fixed = n_fixed;
	add_region(frames, 0, n_fixed + n);
	add_region(frames, 1, n_second);
	for (unsigned i = 0; i < n_fixed; i++)
		frames->all[i].state = FRAME_USED;
	catch_faults(frames);
	return 0;
}

void frames_done(struct frames *frames)
{
	current = NULL;
	frames_readmit(frames, 1);
	vhu_guestmem_free(frames->mem);
	frames->mem = NULL;
}

/* A second mapping of the file, beside ours. */
bool frames_shared(struct frames *frames, unsigned i)
{
	struct frames_region *region = &frames->regions[i];
	unsigned long start, end, inode;
	struct stat st;
	char line[512], *theirs = NULL;
	FILE *maps = fopen("/proc/self/maps", "re");

	fstat(region->fd, &st);
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %*x %*s %lu", &start, &end, &inode) == 3 &&
		    inode == st.st_ino && end - start == region->size && start != region->uva)
			theirs = (char *)start;
	if (maps)
		fclose(maps);
	region->theirs = theirs;
	region->shared = theirs;
	if (!theirs) {
		verdict_set(VERDICT_FAULT, "%s: the back-end has not mapped region %u",
		            frames->subject, i);
		return false;
	}
	free_region(frames, region);
	return true;
}

void frames_withhold(struct frames *frames, unsigned i)
{
	unsigned kept = 0;

	frames_lift(frames, 0);
	for (unsigned f = 0; f < frames->n_free; f++)
		if (!frame_is_in(frames, frames->free[f], i))
			frames->free[kept++] = frames->free[f];
	frames->n_free = kept;
}

void frames_removed(struct frames *frames, unsigned i, uint64_t round, const char *way)
{
	struct frames_region *region = &frames->regions[i];
	char *theirs = region->theirs;

	for (unsigned f = region->first; f < region->first + region->n; f++) {
		frames->all[f].round = round;
		frames->all[f].way = way;
	}
	region->shared = false;
	/* Another thread may have got the place meanwhile: then nothing is trapped. */
	if (mmap(theirs, region->size, PROT_NONE,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
	         0) == theirs)
		region->barred = true;
}

void frames_readmit(struct frames *frames, unsigned i)
{
	struct frames_region *region = &frames->regions[i];

	if (region->barred)
		munmap(region->theirs, region->size);
	region->barred = false;
}

static unsigned take(struct frames *frames, unsigned i)
{
	unsigned frame = frames->free[i];

	frames->free[i] = frames->free[--frames->n_free];
	frames->all[frame].state = FRAME_USED;
	return frame;
}

unsigned frames_take(struct frames *frames, uint64_t random)
{
	if (!frames->n_free)
		frames_lift(frames, 0);
	return take(frames, (unsigned)(random % frames->n_free));
}

bool frames_take_this(struct frames *frames, unsigned frame)
{
	for (unsigned i = 0; i < frames->n_free; i++)
		if (frames->free[i] == frame) {
			take(frames, i);
			return true;
		}
	return false;
}

static void protect(struct frames *frames, unsigned frame, int prot)
{
	for (unsigned i = 0; i < FRAMES_REGIONS; i++) {
		const struct frames_region *region = &frames->regions[i];

		if (!frame_is_in(frames, frame, i) || !region->shared)
			continue;
		if (mprotect(region->theirs + (uint64_t)(frame - region->first) * PAGE, PAGE, prot))
			verdict_set(VERDICT_FAULT, "%s: mprotect(): %s", frames->subject,
			            strerror(errno));
	}
}

void frame_mark(struct frames *frames, unsigned i, enum frame_state state, uint64_t iova,
                uint64_t round, const char *way)
{
	struct frame *frame = &frames->all[i];

	frame->iova = iova;
	frame->round = round;
	frame->way = way;
	if (state == FRAME_TRAPPED)
		protect(frames, i, PROT_NONE);
	else if (state == FRAME_READ_ONLY)
		protect(frames, i, PROT_READ);
	else if (frame->state == FRAME_READ_ONLY)
		protect(frames, i, PROT_READ | PROT_WRITE);
	if (state == FRAME_CANARY)
		pattern_fill(frame_ptr(frames, i), canary_seed(frame));
	frame->state = state;
}

void frame_put_away(struct frames *frames, unsigned frame, enum frame_state state, uint64_t iova,
                    uint64_t round, const char *way)
{
	frame_mark(frames, frame, state, iova, round, way);
	frames->away[(frames->away_at + frames->n_away++) % FRAMES_MAX] = frame;
}

static void look(struct frames *frames, unsigned i)
{
	const struct frame *frame = &frames->all[i];
	const void *page = frame_ptr(frames, i);

	if (frame->state != FRAME_CANARY || pattern_is(page, canary_seed(frame)))
		return;
	verdict_set(VERDICT_VIOLATION,
	            "%s: the page at iova 0x%" PRIx64 ", byte %u, in frame %u, was written after "
	            "%s of round %" PRIu64 " was acknowledged",
	            frames->subject, frame->iova, pattern_differs(page, canary_seed(frame)), i,
	            frame->way, frame->round);
}

void frame_lift(struct frames *frames, unsigned i)
{
	struct frame *frame = &frames->all[i];

	look(frames, i);
	if (frame->state == FRAME_TRAPPED || frame->state == FRAME_READ_ONLY)
		protect(frames, i, PROT_READ | PROT_WRITE);
	frame->state = FRAME_USED;
}

void frames_lift(struct frames *frames, unsigned keep)
{
	while (frames->n_away > keep) {
		unsigned frame = frames->away[frames->away_at++ % FRAMES_MAX];

		frames->n_away--;
		frame_lift(frames, frame);
		frames->all[frame].state = FRAME_FREE;
		frames->free[frames->n_free++] = frame;
	}
}

void frames_look(struct frames *frames)
{
	frames_tell(frames);
	for (unsigned i = 0; i < frames->n_away; i++)
		look(frames, frames->away[(frames->away_at + i) % FRAMES_MAX]);
}
