/* SPDX-License-Identifier: BSD-3-Clause */
#include "record.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINES_KEPT 40u
#define LINE_BYTES 200u

struct lines {
	char text[LINES_KEPT][LINE_BYTES];
	uint64_t n;
};

static struct {
	pthread_mutex_t lock; /* of all but the numbers */
	uint64_t seed, state;
	struct lines steps, said;
	char life[64]; /* for the handler of signals */
	struct sigaction before[65];
} record = { .lock = PTHREAD_MUTEX_INITIALIZER };

static char *next_line(struct lines *lines)
{
	return lines->text[lines->n++ % LINES_KEPT];
}

static void print_lines(const struct lines *lines, const char *what)
{
	uint64_t first = lines->n > LINES_KEPT ? lines->n - LINES_KEPT : 0;

	fprintf(stderr, "-- %s\n", what);
	for (uint64_t i = first; i < lines->n; i++)
		fprintf(stderr, "%8" PRIu64 " %s\n", i + 1, lines->text[i % LINES_KEPT]);
}

/* Says whose life it was; what was there before has the last word. */
static void die(int number)
{
	ssize_t ignored = write(STDERR_FILENO, record.life, strlen(record.life));

	(void)ignored;
	sigaction(number, &record.before[number], NULL);
}

void record_init(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	const struct sigaction action = { .sa_handler = die };

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, &record.before[numbers[i]]);
}

void record_begin(uint64_t seed)
{
	pthread_mutex_lock(&record.lock);
	record.seed = record.state = seed;
	record.steps.n = record.said.n = 0;
	snprintf(record.life, sizeof(record.life), "\nsoak: --seed=%" PRIu64 ": a signal\n", seed);
	pthread_mutex_unlock(&record.lock);
}

void record_step(const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&record.lock);
	va_start(args, format);
	vsnprintf(next_line(&record.steps), LINE_BYTES, format, args);
	va_end(args);
	pthread_mutex_unlock(&record.lock);
}

uint64_t record_steps(void)
{
	uint64_t n;

	pthread_mutex_lock(&record.lock);
	n = record.steps.n;
	pthread_mutex_unlock(&record.lock);
	return n;
}

void record_fail(const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&record.lock);
	fprintf(stderr, "\nsoak: --seed=%" PRIu64 " step %" PRIu64 ": ", record.seed,
	        record.steps.n);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	print_lines(&record.said, "what the library said last");
	print_lines(&record.steps, "the last steps");
	_exit(1);
}

void record_expect(int error, const char *what, const char *why)
{
	if (error)
		record_fail("%s: %s (%s)", what, strerror(-error), why);
}

void record_hook(enum vhu_log_level level, const char *subject, const char *text, void *opaque)
{
	(void)level;
	(void)opaque;
	pthread_mutex_lock(&record.lock);
	snprintf(next_line(&record.said), LINE_BYTES, "[step %" PRIu64 "] %s: %s", record.steps.n,
	         subject, text);
	pthread_mutex_unlock(&record.lock);
}

/* splitmix64 */
uint64_t random_next(void)
{
	uint64_t z = record.state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned random_below(unsigned n)
{
	return (unsigned)(random_next() % n);
}

bool random_chance(unsigned percent)
{
	return random_below(100) < percent;
}
