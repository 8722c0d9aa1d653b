#define _GNU_SOURCE
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Empty cgroups kept for later executions: a new one costs a third of a start. */
#define SPARE_MAX 256
/*
 * What may still be charged to a cgroup that is to be reused. Files in a tmpfs stay charged to it when their writer has
 * ended, and would count against the next execution.
 */
#define CHARGE_MAX (1u << 20)
#define ANCESTORS_MAX 32

struct cgroup {
	int folder;
	int events;
	int cpu_stat;
	int memory_events;
	int memory_peak;
	uint32_t number;
	bool peak_resets;
	bool killed;
	/* Limits as they are set. */
	uint64_t memory_max;
	uint32_t cpu_millicores;
	uint32_t pids_max;
	/* memory.oom.group is 0. */
	bool oom_one;
	/* Counters when it was taken. */
	uint64_t cpu_us;
	uint64_t peak;
	uint64_t ooms;
	uint64_t oom_kills;
	uint64_t ooms_above;
	struct cgroup *next;
};

static int base = -1;
static uint32_t made;
static struct cgroup *spare;
static unsigned spares;
/* How often each cgroup from the base up has met its own limit, and all of them together, as far as it has been seen. */
static uint64_t ancestor_ooms[ANCESTORS_MAX];
static uint64_t ooms_above;

static bool write_file(int folder, const char *name, const char *text)
{
	int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t written = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return written >= 0;
}

/* Reads what a file holds now, as a string; answers its length, 0 where there is no file. */
static size_t read_text(int fd, char *text, size_t size)
{
	ssize_t length = fd < 0 ? -1 : pread(fd, text, size - 1, 0);
	if (length < 0)
		length = 0;
	text[length] = '\0';
	return (size_t)length;
}

/* The number behind a word at the beginning of a line; 0 where there is none. */
static uint64_t counter(int fd, const char *word)
{
	char text[1024];
	size_t size = strlen(word);
	const char *line = read_text(fd, text, sizeof text) > 0 ? text : NULL;
	while (line != NULL) {
		if (strncmp(line, word, size) == 0 && line[size] == ' ')
			return strtoull(line + size + 1, NULL, 10);
		line = strchr(line, '\n');
		if (line != NULL)
			line++;
	}
	return 0;
}

static uint64_t number_in(int fd)
{
	char text[32];
	return read_text(fd, text, sizeof text) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* Looks how often cgroups from the base up have met their own limits; the node's root has none. */
static void see_ooms_above(void)
{
	static const char file[] = "memory.events.local", up[] = { '.', '.', '/' };
	char path[ANCESTORS_MAX * sizeof up + sizeof file];
	char *end = path;
	for (int level = 0; level < ANCESTORS_MAX; level++) {
		memcpy(end, file, sizeof file);
		int fd = openat(base, path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		uint64_t ooms = counter(fd, "oom");
		close(fd);
		ooms_above += ooms - ancestor_ooms[level];
		ancestor_ooms[level] = ooms;
		memcpy(end, up, sizeof up);
		end += sizeof up;
	}
}

bool cgroups_open(const char *path)
{
	base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0)
		return false;
	if (faccessat(base, "cgroup.procs", F_OK, 0) != 0) {
		close(base);
		base = -1;
		errno = ENOTSUP;
		return false;
	}
	see_ooms_above();
	return true;
}

bool cgroups_used(void)
{
	return base >= 0;
}

static void destroy(struct cgroup *group)
{
	char name[16];
	snprintf(name, sizeof name, "%" PRIu32, group->number);
	/* One that still holds a process that hangs in the kernel stays; the agent's next start tries again. */
	unlinkat(base, name, AT_REMOVEDIR);
	close(group->folder);
	close(group->events);
	if (group->cpu_stat >= 0)
		close(group->cpu_stat);
	if (group->memory_events >= 0)
		close(group->memory_events);
	if (group->memory_peak >= 0)
		close(group->memory_peak);
	free(group);
}

static struct cgroup *make(void)
{
	struct cgroup *group = calloc(1, sizeof *group);
	if (group == NULL)
		return NULL;
	char name[16];
	group->number = made++;
	snprintf(name, sizeof name, "%" PRIu32, group->number);
	if (mkdirat(base, name, 0755) != 0) {
		free(group);
		return NULL;
	}
	group->folder = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	group->events = openat(group->folder, "cgroup.events", O_RDONLY | O_CLOEXEC);
	group->cpu_stat = openat(group->folder, "cpu.stat", O_RDONLY | O_CLOEXEC);
	group->memory_events = openat(group->folder, "memory.events.local", O_RDONLY | O_CLOEXEC);
	group->memory_peak = openat(group->folder, "memory.peak", O_RDWR | O_CLOEXEC);
	group->peak_resets = group->memory_peak >= 0;
	if (group->memory_peak < 0)
		group->memory_peak = openat(group->folder, "memory.peak", O_RDONLY | O_CLOEXEC);
	if (group->folder < 0 || group->events < 0) {
		int error = errno;
		destroy(group);
		errno = error;
		return NULL;
	}
	/* A function of which one process is missing is of no use as a rule, and its leader's end tells of it. */
	if (group->memory_events >= 0)
		write_file(group->folder, "memory.oom.group", "1");
	return group;
}

static bool write_cpu_max(const struct cgroup *group, uint32_t millicores)
{
	char text[64];
	/* A quota is at least 1 ms: a small one needs the longest period, 1 s. */
	uint32_t period = millicores < 10 ? 1000000 : 100000;
	uint64_t quota = (uint64_t)millicores * (period / 1000);
	if (millicores == 0)
		snprintf(text, sizeof text, "max");
	else
		snprintf(text, sizeof text, "%" PRIu64 " %" PRIu32, quota, period);
	return write_file(group->folder, "cpu.max", text);
}

static bool set_limits(struct cgroup *group, const struct start_request *limits)
{
	char text[64];
	if (limits->memory_max != group->memory_max) {
		bool limited = limits->memory_max != 0;
		snprintf(text, sizeof text, limited ? "%" PRIu64 : "max", limits->memory_max);
		if (!write_file(group->folder, "memory.max", text))
			return false;
		/* There is no such file where the kernel does not account swap. */
		write_file(group->folder, "memory.swap.max", limited ? "0" : "max");
		group->memory_max = limits->memory_max;
	}
	/* Whether it can be set is known before the start; see cgroup_limit_cpu. */
	if (limits->cpu_millicores != group->cpu_millicores && !write_cpu_max(group, limits->cpu_millicores))
		return false;
	group->cpu_millicores = limits->cpu_millicores;
	if (group->cpu_millicores != 0 && !write_cpu_max(group, 0))
		return false;
	bool oom_one = limits->flags & START_OOM_ONE;
	if (oom_one != group->oom_one && group->memory_events >= 0) {
		if (!write_file(group->folder, "memory.oom.group", oom_one ? "0" : "1"))
			return false;
		group->oom_one = oom_one;
	}
	if (limits->pids_max != group->pids_max) {
		snprintf(text, sizeof text, limits->pids_max != 0 ? "%" PRIu32 : "max", limits->pids_max);
		if (!write_file(group->folder, "pids.max", text))
			return false;
		group->pids_max = limits->pids_max;
	}
	return true;
}

struct cgroup *cgroup_take(const struct start_request *limits)
{
	struct cgroup *group = spare;
	if (group != NULL) {
		spare = group->next;
		spares--;
	} else {
		group = make();
		if (group == NULL)
			return NULL;
	}
	if (!set_limits(group, limits)) {
		int error = errno;
		destroy(group);
		errno = error;
		return NULL;
	}
	group->ooms_above = ooms_above;
	/* Before Linux 6.12 a peak cannot be reset. */
	group->peak_resets = group->peak_resets && write(group->memory_peak, "reset", 5) == 5;
	return group;
}

void cgroup_limit_cpu(const struct cgroup *group)
{
	if (group->cpu_millicores != 0)
		write_cpu_max(group, group->cpu_millicores);
}

int cgroup_folder(const struct cgroup *group)
{
	return group->folder;
}

bool cgroup_populated(const struct cgroup *group)
{
	return counter(group->events, "populated") != 0;
}

void cgroup_each(const struct cgroup *group, void (*visit)(pid_t pid))
{
	int fd = openat(group->folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *pids = fd < 0 ? NULL : fdopen(fd, "r");
	if (pids == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (int pid; fscanf(pids, "%d", &pid) == 1;)
		if (pid > 0)
			visit(pid);
	fclose(pids);
}

static void kill_process(pid_t pid)
{
	kill(pid, SIGKILL);
}

void cgroup_kill(struct cgroup *group)
{
	/* Dying takes time of the processor, too, and a small quota would have it take seconds. */
	if (!group->killed && group->cpu_millicores != 0)
		write_cpu_max(group, 0);
	group->killed = true;
	/* Before Linux 5.14 there is no such file; whoever waits for the cgroup to be empty asks again. */
	if (!write_file(group->folder, "cgroup.kill", "1"))
		cgroup_each(group, kill_process);
}

void cgroup_measure(struct cgroup *group, struct ended_event *event)
{
	uint64_t cpu_us = counter(group->cpu_stat, "usage_usec");
	event->cgroup_cpu_us = cpu_us - group->cpu_us;
	group->cpu_us = cpu_us;
	if (group->memory_events < 0)
		return;

	uint64_t peak = number_in(group->memory_peak);
	event->cgroup_memory_peak = group->peak_resets || peak > group->peak ? peak : 0;
	group->peak = peak;
	uint64_t ooms = counter(group->memory_events, "oom");
	uint64_t oom_kills = counter(group->memory_events, "oom_kill");
	/* Where the whole group dies of it, so does its leader: what else ended that was there first. */
	if (oom_kills > group->oom_kills && (event->signal == SIGKILL || group->oom_one)) {
		see_ooms_above();
		/* Since it was taken, not since the last look: that may have been for another one, killed at the same time. */
		bool above = ooms_above > group->ooms_above;
		event->oom = ooms > group->ooms ? OOM_OWN_LIMIT : above ? OOM_LIMIT_ABOVE : OOM_NODE;
		/* Where all of them are killed, the kernel counts the first one twice. */
		event->oom_kills = group->oom_one ? (uint32_t)(oom_kills - group->oom_kills) : 0;
	}
	group->ooms = ooms;
	group->oom_kills = oom_kills;
}

static bool reusable(const struct cgroup *group)
{
	/*
	 * Linux 6.14, and older ones it was ported back to, count the kills of a cgroup, and mistake a process that is born
	 * into one for an older one that forks, unless its parent's cgroup has been killed as often ("fix race between fork
	 * and cgroup.kill").
	 */
	if (group->killed || spares >= SPARE_MAX)
		return false;
	if (group->memory_events < 0)
		return true;
	int fd = openat(group->folder, "memory.current", O_RDONLY | O_CLOEXEC);
	uint64_t charged = number_in(fd);
	if (fd >= 0)
		close(fd);
	return charged <= CHARGE_MAX;
}

void cgroup_release(struct cgroup *group)
{
	if (!reusable(group)) {
		destroy(group);
		return;
	}
	group->next = spare;
	spare = group;
	spares++;
}

void cgroups_kill_all(void)
{
	if (base >= 0)
		write_file(base, "cgroup.kill", "1");
}

void cgroups_close(void)
{
	while (spare != NULL) {
		struct cgroup *group = spare;
		spare = group->next;
		destroy(group);
	}
	spares = 0;
}
