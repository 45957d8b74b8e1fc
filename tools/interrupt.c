/* SPDX-License-Identifier: BSD-3-Clause */
#include "interrupt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static char line[64];
static volatile sig_atomic_t deferred, noted;

static void on_signal(int number)
{
	if (deferred && !noted) {
		noted = number;
		return;
	}
	/* There is nobody left to tell if that fails. */
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		_exit(EXIT_INTERRUPTED);
	_exit(EXIT_INTERRUPTED);
}

void interrupt_watch(const char *program)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction action = { .sa_handler = on_signal };
	struct sigaction before;

	snprintf(line, sizeof(line), "%s: interrupted\n", program);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

volatile sig_atomic_t *interrupt_defer(void)
{
	deferred = 1;
	return &noted;
}
