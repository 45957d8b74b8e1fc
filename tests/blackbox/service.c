/* SPDX-License-Identifier: BSD-3-Clause */
#include "service.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/check.h"

#define ARGS_MAX 16u

const char *service_program;

void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

void service_init(struct service *service, uint64_t size)
{
	int fd;

	*service = (struct service){ .pid = -1 };
	strcpy(service->folder, "/tmp/vhu-blackbox-XXXXXX");
	assert_non_null(mkdtemp(service->folder));
	snprintf(service->socket, SERVICE_PATH, "%s/socket", service->folder);
	snprintf(service->disk, SERVICE_PATH, "%s/disk", service->folder);
	snprintf(service->stats, SERVICE_PATH, "%s/stats.json", service->folder);
	fd = open(service->disk, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

void service_done(struct service *service)
{
	if (service->pid > 0) {
		kill(service->pid, SIGKILL);
		waitpid(service->pid, NULL, 0);
	}
	service->pid = -1;
	unlink(service->socket);
	unlink(service->disk);
	unlink(service->stats);
	rmdir(service->folder);
}

/* In the child. */
static void become(const struct service *service, uint64_t memory, const char *const *args,
                   pid_t parent)
{
	char socket[SERVICE_PATH + 16], disk[SERVICE_PATH + 16], stats[SERVICE_PATH + 16];
	const char *argv[ARGS_MAX + 6] = { service_program, socket, disk, stats,
		                           "--log-level=error" };

	snprintf(socket, sizeof(socket), "--socket-path=%s", service->socket);
	snprintf(stats, sizeof(stats), "--stats-json=%s", service->stats);
	if (memory)
		snprintf(disk, sizeof(disk), "--memory=%llu", (unsigned long long)memory);
	else
		snprintf(disk, sizeof(disk), "--blk-file=%s", service->disk);
	for (unsigned i = 0; args && args[i] && i < ARGS_MAX; i++)
		argv[5 + i] = args[i];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The parent may have ended before this was asked for. */
	if (getppid() != parent)
		_exit(127);
	execv(service_program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

void service_start(struct service *service, uint64_t memory, const char *const *args)
{
	pid_t parent = getpid();

	fflush(NULL);
	service->pid = fork();
	assert_true(service->pid >= 0);
	if (service->pid == 0)
		become(service, memory, args, parent);
	for (int ms = 0; access(service->socket, F_OK); ms += 5) {
		if (ms >= PATIENCE_MS || waitpid(service->pid, NULL, WNOHANG))
			fail_msg("%s does not listen", service_program);
		sleep_ms(5);
	}
}

void service_signal(struct service *service, int number)
{
	assert_true(service->pid > 0);
	assert_int_equal(kill(service->pid, number), 0);
}

int service_wait(struct service *service)
{
	int status;

	for (int ms = 0; waitpid(service->pid, &status, WNOHANG) == 0; ms += 5) {
		if (ms >= PATIENCE_MS)
			fail_msg("%s does not end", service_program);
		sleep_ms(5);
	}
	service->pid = -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void service_stop(struct service *service)
{
	service_signal(service, SIGTERM);
	assert_int_equal(service_wait(service), 0);
	assert_int_equal(access(service->socket, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

/* Numbers, and objects of numbers. */
static void check_figures(struct json_object *object)
{
	assert_true(json_object_is_type(object, json_type_object));
	json_object_object_foreach(object, key, value)
	{
		if (json_object_is_type(value, json_type_object))
			check_figures(value);
		else if (!json_object_is_type(value, json_type_int))
			fail_msg("statistics: %s is no number", key);
	}
}

bool service_has_figures(const struct service *service)
{
	struct json_object *object;

	if (access(service->stats, F_OK))
		return false;
	object = json_object_from_file(service->stats);
	if (!object)
		fail_msg("statistics: %s", json_util_get_last_err());
	check_figures(object);
	json_object_put(object);
	return true;
}

uint64_t service_figure(const struct service *service, const char *key)
{
	struct json_object *object = json_object_from_file(service->stats), *at = object;
	char words[64], *rest, *word;
	uint64_t value;

	if (!object)
		fail_msg("statistics: %s", json_util_get_last_err());
	check_figures(object);
	snprintf(words, sizeof(words), "%s", key);
	for (word = strtok_r(words, ".", &rest); word; word = strtok_r(NULL, ".", &rest))
		if (!json_object_object_get_ex(at, word, &at))
			fail_msg("statistics have no %s", key);
	value = json_object_get_uint64(at);
	json_object_put(object);
	return value;
}

void service_wait_sessions(const struct service *service, uint64_t n)
{
	for (int ms = 0; !service_has_figures(service) || service_figure(service, "sessions") < n;
	     ms += 5) {
		if (ms >= PATIENCE_MS)
			fail_msg("session %llu does not end", (unsigned long long)n);
		sleep_ms(5);
	}
}

/* The kernel's own workers of an io_uring are threads of the process, too, for a while. */
static bool is_kernels(const struct service *service, const char *thread)
{
	char path[300], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int)service->pid, thread);
	file = fopen(path, "r");
	if (!file)
		return false;
	(void)!fgets(name, sizeof(name), file);
	fclose(file);
	return strncmp(name, "iou-", 4) == 0;
}

static unsigned count_entries(const struct service *service, const char *what, bool threads)
{
	struct dirent *entry;
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)service->pid, what);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' && !(threads && is_kernels(service, entry->d_name));
	closedir(dir);
	return n;
}

unsigned service_fds(const struct service *service)
{
	return count_entries(service, "fd", false);
}

unsigned service_threads(const struct service *service)
{
	return count_entries(service, "task", true);
}

unsigned service_shared(const struct service *service)
{
	char path[64], line[512];
	unsigned n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)service->pid);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, "rw-s") && strstr(line, "memfd:");
	fclose(file);
	return n;
}
