/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What another back-end's device IOTLB costs it: frames through dpdk-testpmd by
 * "vhu bench net", which runs as its user would run it, behind an IOMMU whose
 * mappings stay against none. Published, without a bar; nothing of ours is on
 * the back-end's side.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pairs.h"
#include "results.h"

#define PEER     "dpdk-testpmd"
#define START_MS 10000
#define END_MS   5000
#define N_CASES  4u

/* Of pairs_seconds(), so that all of it stays far below a minute. */
#define PART      0.45
#define UNCOUNTED 0.15

static const struct net_case {
	const char *name;
	const char *iommu, *pages;
	int against;   /* a case, or -1 */
	double warmup; /* parts of UNCOUNTED; a back-end that drops frames meanwhile takes longer */
} cases[N_CASES] = {
	{ "off, 256 pages", "--iommu=off", "--pages=256", -1, 1 },
	{ "static, 256 pages", "--iommu=static", "--pages=256", 0, 2 },
	{ "off, 2048 pages", "--iommu=off", "--pages=2048", -1, 1 },
	{ "static, 2048 pages", "--iommu=static", "--pages=2048", 2, 10 },
};

/* Of one run. Processor time is what else the machine does to it least. */
struct figures {
	double per_second;
	double cpu_ns; /* of the back-end, per frame */
	double misses; /* per frame */
};

struct testpmd {
	char folder[256], path[300];
	int input; /* its standard input: it ends when that is closed */
	pid_t pid;
};

static bool is_installed(const char *program)
{
	char folders[4096], path[4400], *rest = folders;
	const char *all = getenv("PATH"), *folder;

	snprintf(folders, sizeof(folders), "%s", all ? all : "");
	while ((folder = strsep(&rest, ":"))) {
		snprintf(path, sizeof(path), "%s/%s", folder, program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

/* The processor that the bench itself is not kept on, if there is another. */
static int first_processor(void)
{
	cpu_set_t set;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

/* In the child. */
static void become_testpmd(const struct testpmd *peer, int input)
{
	char cores[64], device[512];
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), cpu = first_processor();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(input, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	snprintf(cores, sizeof(cores), "0@%d,1@%d", cpu, cpu);
	snprintf(device, sizeof(device), "net_vhost0,iface=%s,iommu-support=1,queues=1",
	         peer->path);
	execlp(PEER, PEER, "--lcores", cores, "--no-huge", "--no-pci", "--no-shconf", "-m", "256",
	       "--no-telemetry", "--vdev", device, "--", "--nb-cores=1", "--forward-mode=macswap",
	       "--total-num-mbufs=8192", "--no-flush-rx", "--disable-link-check", NULL);
	_exit(127);
}

static bool until_ended(pid_t pid, int ms)
{
	for (; ms > 0; ms -= 10) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	}
	return false;
}

static void testpmd_end(struct testpmd *peer)
{
	close(peer->input);
	if (peer->pid > 0 && !until_ended(peer->pid, END_MS)) {
		kill(peer->pid, SIGKILL);
		waitpid(peer->pid, NULL, 0);
	}
	unlink(peer->path);
	rmdir(peer->folder);
}

static int testpmd_start(struct testpmd *peer)
{
	const char *tmp = getenv("TMPDIR");
	int pipes[2];

	snprintf(peer->folder, sizeof(peer->folder), "%s/vhu-XXXXXX",
	         tmp && strlen(tmp) < 80 ? tmp : "/tmp");
	if (!mkdtemp(peer->folder) || pipe2(pipes, O_CLOEXEC))
		return -errno;
	snprintf(peer->path, sizeof(peer->path), "%s/net", peer->folder);
	peer->input = pipes[1];
	peer->pid = fork();
	if (!peer->pid)
		become_testpmd(peer, pipes[0]);
	close(pipes[0]);
	for (int ms = 0; ms < START_MS; ms += 10) {
		if (!access(peer->path, F_OK))
			return 0;
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	}
	return -ETIMEDOUT;
}

/* The vhu of the same build. */
static void find_vhu(char *ret, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", ret, size - 32);

	ret[n < 0 ? 0 : n] = 0;
	*(strrchr(ret, '/') ? strrchr(ret, '/') : ret) = 0;
	strcat(ret, "/../tools/vhu");
}

/* In the child. */
static void become_vhu(const struct testpmd *peer, const struct net_case *which, int output)
{
	char vhu[4096], path[320], seconds[32], warmup[32];

	find_vhu(vhu, sizeof(vhu));
	snprintf(path, sizeof(path), "--socket-path=%s", peer->path);
	snprintf(seconds, sizeof(seconds), "--time=%.3f", pairs_seconds() * PART);
	snprintf(warmup, sizeof(warmup), "--warmup=%.3f",
	         pairs_seconds() * UNCOUNTED * which->warmup);
	dup2(output, STDOUT_FILENO);
	execl(vhu, vhu, "bench", "net", path, which->iommu, which->pages, seconds, warmup, "--json",
	      NULL);
	fprintf(stderr, "net: %s: %s\n", vhu, strerror(errno));
	_exit(127);
}

static double number(const char *json, const char *key)
{
	const char *at = strstr(json, key);

	return at ? strtod(at + strlen(key), NULL) : 0;
}

static int run(const struct testpmd *peer, const struct net_case *which, struct figures *ret)
{
	char json[4096];
	size_t n = 0;
	ssize_t got;
	int pipes[2], status = -1;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		become_vhu(peer, which, pipes[1]);
	close(pipes[1]);
	while (pid > 0 && (got = read(pipes[0], json + n, sizeof(json) - 1 - n)) > 0)
		n += (size_t)got;
	json[n] = 0;
	close(pipes[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return -EIO;
	ret->per_second = number(json, "\"frames_per_s\": ");
	ret->cpu_ns = number(json, "\"peer_cpu_ns\": ");
	ret->misses = number(json, "\"misses\": ") / number(json, "\"received\": ");
	return ret->per_second > 0 ? 0 : -EIO;
}

/* The @field of each round, and what becomes of it against the same without an IOMMU. */
static int report(const struct net_case *which, const struct figures all[N_CASES][PAIRS],
                  size_t field, const char *unit, bool against)
{
	const bool compared = against && which->against >= 0;
	double values[PAIRS], ratios[PAIRS];
	struct spread spread;

	for (unsigned i = 0; i < PAIRS; i++) {
		const char *mine = (const char *)&all[which - cases][i];

		memcpy(&values[i], mine + field, sizeof(values[i]));
		if (compared) {
			const char *other = (const char *)&all[which->against][i];

			memcpy(&ratios[i], other + field, sizeof(ratios[i]));
			ratios[i] = values[i] / ratios[i];
		}
	}
	spread = spread_of(compared ? ratios : values, PAIRS);
	return result_add(&(struct result){
		.bench = "net",
		.name = which->name,
		.value = spread_of(values, PAIRS).median,
		.unit = unit,
		.against = compared ? cases[which->against].name : NULL,
		.spread = &spread,
	});
}

static int report_all(const struct net_case *which, const struct figures all[N_CASES][PAIRS])
{
	int err = report(which, all, offsetof(struct figures, per_second), "frames/s", true);

	if (!err)
		err = report(which, all, offsetof(struct figures, cpu_ns), "CPU ns/frame", true);
	if (!err && which->against >= 0)
		err = report(which, all, offsetof(struct figures, misses), "misses/frame", false);
	return err;
}

static int measure(const struct testpmd *peer)
{
	struct figures all[N_CASES][PAIRS];
	int err = 0;

	for (unsigned round = 0; round < PAIRS && !err; round++)
		for (unsigned i = 0; i < N_CASES && !err; i++)
			err = run(peer, &cases[i], &all[i][round]);
	for (unsigned i = 0; i < N_CASES && !err; i++)
		err = report_all(&cases[i], all);
	return err;
}

static int skip(const char *why)
{
	int err = 0;

	for (unsigned i = 0; i < N_CASES; i++)
		err |= result_skip("net", cases[i].name, why);
	return err != 0;
}

int main(void)
{
	struct testpmd peer = { .input = -1 };
	char vhu[4096];
	int err;

	find_vhu(vhu, sizeof(vhu));
	if (access(vhu, X_OK))
		return skip("vhu is not built");
	if (!is_installed(PEER))
		return skip(PEER " is not installed: package dpdk-dev");
	err = testpmd_start(&peer);
	if (!err) {
		pairs_pin(0);
		err = measure(&peer);
	}
	testpmd_end(&peer);
	if (err)
		fprintf(stderr, "net: %s\n", strerror(-err));
	return err != 0;
}
