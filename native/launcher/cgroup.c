#define _GNU_SOURCE
#include "cgroup.h"

#include "cgroup_file.h"
#include "ooms_above.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* This many empty cgroups are kept for later executions: to make a new one costs a third of a start. */
#define SPARE_MAX 256
/*
 * A cgroup is reused only where no more than this is still charged to it, bytes: files in a tmpfs stay charged after
 * their writer has ended, and would count against the next execution.
 */
#define CHARGE_MAX (1u << 20)

struct cgroup {
	int folder;
	int events;
	int cpu_stat;
	int memory_events;
	int memory_peak;
	uint32_t number;
	bool peak_resets;
	bool killed;
	/* The limits that are set. */
	uint64_t memory_max;
	uint32_t cpu_millicores;
	uint32_t pids_max;
	/* Whether memory.oom.group is 0. */
	bool oom_one;
	/* The counters when it was taken. */
	uint64_t cpu_us;
	uint64_t peak;
	/* No more than this is charged to it, as far as known. */
	uint64_t charge_max;
	uint64_t ooms;
	uint64_t oom_kills;
	uint64_t ooms_above;
	struct cgroup *next;
};

static int base = -1;
static const char *base_path;
static uint32_t made;
static struct cgroup *spare;
static unsigned spares;

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
	base_path = path;
	ooms_above_read(base);
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
	/* Fails where a process in it hangs in the kernel: the agent removes it at its next start. */
	unlinkat(base, name, AT_REMOVEDIR);
	const int fds[] = { group->folder, group->events, group->cpu_stat, group->memory_events, group->memory_peak };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(group);
}

static void open_files(struct cgroup *group)
{
	int folder = group->folder;
	group->events = openat(folder, "cgroup.events", O_RDONLY | O_CLOEXEC);
	group->cpu_stat = openat(folder, "cpu.stat", O_RDONLY | O_CLOEXEC);
	group->memory_events = openat(folder, "memory.events.local", O_RDONLY | O_CLOEXEC);
	/* Before Linux 6.12 a peak cannot be reset, and its file is not writable. */
	group->memory_peak = openat(folder, "memory.peak", O_RDWR | O_CLOEXEC);
	group->peak_resets = group->memory_peak >= 0;
	if (group->memory_peak < 0)
		group->memory_peak = openat(folder, "memory.peak", O_RDONLY | O_CLOEXEC);
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
	open_files(group);
	if (group->folder < 0 || group->events < 0) {
		int error = errno;
		destroy(group);
		errno = error;
		return NULL;
	}
	/* By default all of it is killed: a function that lacks one process is rarely of use, and its end says why. */
	if (group->memory_events >= 0)
		cgroup_file_write(group->folder, "memory.oom.group", "1");
	return group;
}

/* Sets the quota of the processor; 0: no limit. */
static bool write_cpu_max(const struct cgroup *group, uint32_t millicores)
{
	char text[64];
	/* The kernel takes no quota below 1 ms: a small share needs the longest period, 1 s. */
	uint32_t period_us = millicores < 10 ? 1000000 : 100000;
	uint64_t quota_us = (uint64_t)millicores * (period_us / 1000);
	snprintf(text, sizeof text, millicores != 0 ? "%" PRIu64 " %" PRIu32 : "max", quota_us, period_us);
	return cgroup_file_write(group->folder, "cpu.max", text);
}

static bool set_memory(struct cgroup *group, uint64_t max)
{
	if (max == group->memory_max)
		return true;
	char text[64];
	snprintf(text, sizeof text, max != 0 ? "%" PRIu64 : "max", max);
	if (!cgroup_file_write(group->folder, "memory.max", text))
		return false;
	/* Fails where the kernel does not account swap: there is no such file. */
	cgroup_file_write(group->folder, "memory.swap.max", max != 0 ? "0" : "max");
	group->memory_max = max;
	return true;
}

/* Tries whether the limit can be set, and lifts it again until cgroup_limit_cpu: a start that cannot have it fails. */
static bool set_cpu(struct cgroup *group, uint32_t millicores)
{
	if (millicores != group->cpu_millicores && !write_cpu_max(group, millicores))
		return false;
	group->cpu_millicores = millicores;
	return millicores == 0 || write_cpu_max(group, 0);
}

static bool set_oom_one(struct cgroup *group, bool oom_one)
{
	if (oom_one == group->oom_one || group->memory_events < 0)
		return true;
	if (!cgroup_file_write(group->folder, "memory.oom.group", oom_one ? "0" : "1"))
		return false;
	group->oom_one = oom_one;
	return true;
}

static bool set_pids(struct cgroup *group, uint32_t max)
{
	if (max == group->pids_max)
		return true;
	char text[64];
	snprintf(text, sizeof text, max != 0 ? "%" PRIu32 : "max", max);
	if (!cgroup_file_write(group->folder, "pids.max", text))
		return false;
	group->pids_max = max;
	return true;
}

static bool set_limits(struct cgroup *group, const struct start_request *limits)
{
	return set_memory(group, limits->memory_max) && set_cpu(group, limits->cpu_millicores) &&
	       set_oom_one(group, limits->flags & START_OOM_ONE) && set_pids(group, limits->pids_max);
}

struct cgroup *cgroup_take(const struct start_request *limits)
{
	struct cgroup *group = spare;
	if (group != NULL) {
		spare = group->next;
		spares--;
	} else {
		group = make();
	}
	if (group == NULL)
		return NULL;
	if (!set_limits(group, limits)) {
		int error = errno;
		destroy(group);
		errno = error;
		return NULL;
	}
	group->ooms_above = ooms_above_last();
	group->charge_max = UINT64_MAX;
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
	return cgroup_file_counter(group->events, "populated") != 0;
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
	/* Without the limit: dying takes processor time, and with a small quota it would take seconds. */
	if (!group->killed && group->cpu_millicores != 0)
		write_cpu_max(group, 0);
	group->killed = true;
	/* Before Linux 5.14 there is no such file. What is forked meanwhile escapes; callers repeat this until it is empty. */
	if (!cgroup_file_write(group->folder, "cgroup.kill", "1"))
		cgroup_each(group, kill_process);
}

static void measure_cpu(struct cgroup *group, struct ended_event *event)
{
	uint64_t cpu_us = cgroup_file_counter(group->cpu_stat, "usage_usec");
	event->cgroup_cpu_us = cpu_us - group->cpu_us;
	group->cpu_us = cpu_us;
}

static void measure_peak(struct cgroup *group, struct ended_event *event)
{
	uint64_t peak = cgroup_file_number(group->memory_peak);
	/* A peak that cannot be reset, and has not grown, may be an earlier execution's. */
	event->cgroup_memory_peak = group->peak_resets || peak > group->peak ? peak : 0;
	group->peak = peak;
	if (peak > 0)
		group->charge_max = peak;
}

/* Who ran out of memory, where the kernel has killed for it. */
static enum oom who_ran_out(const struct cgroup *group, uint64_t ooms)
{
	/* Compared with when it was taken, not with the last read: that may have been for another one, killed just before. */
	bool above = ooms_above_read(base) > group->ooms_above;
	if (ooms > group->ooms)
		return OOM_OWN_LIMIT;
	return above ? OOM_LIMIT_ABOVE : OOM_NODE;
}

static void measure_oom(struct cgroup *group, struct ended_event *event)
{
	static const char *const words[] = { "oom", "oom_kill" };
	uint64_t counters[2];
	cgroup_file_counters(group->memory_events, words, counters, 2);
	uint64_t ooms = counters[0];
	uint64_t oom_kills = counters[1];
	/* Where the whole group is killed, so is its leader. If the leader ended otherwise, it had ended before. */
	if (oom_kills > group->oom_kills && (event->signal == SIGKILL || group->oom_one)) {
		event->oom = (uint16_t)who_ran_out(group, ooms);
		/* Where all processes are killed, the kernel counts the first one twice. */
		event->oom_kills = group->oom_one ? (uint32_t)(oom_kills - group->oom_kills) : 0;
	}
	group->ooms = ooms;
	group->oom_kills = oom_kills;
}

void cgroup_measure(struct cgroup *group, struct ended_event *event)
{
	measure_cpu(group, event);
	if (group->memory_events < 0)
		return;
	measure_peak(group, event);
	measure_oom(group, event);
}

static bool is_reusable(const struct cgroup *group)
{
	/*
	 * A cgroup that has been killed would kill what is born into it. Linux 6.14, and older versions with the same change
	 * ("fix race between fork and cgroup.kill"), count the kills of each cgroup; where the parent's cgroup was killed
	 * less often than the child's, they take the child for one that was being forked during the last kill.
	 */
	if (group->killed || spares >= SPARE_MAX)
		return false;
	if (group->memory_events < 0 || group->charge_max <= CHARGE_MAX)
		return true;
	int fd = openat(group->folder, "memory.current", O_RDONLY | O_CLOEXEC);
	uint64_t charged = cgroup_file_number(fd);
	if (fd >= 0)
		close(fd);
	return charged <= CHARGE_MAX;
}

void cgroup_release(struct cgroup *group)
{
	if (!is_reusable(group)) {
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
		cgroup_file_write(base, "cgroup.kill", "1");
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

void cgroups_remove(void)
{
	char *path = base < 0 ? NULL : strdup(base_path);
	for (int level = 0; path != NULL && level < 3 && rmdir(path) == 0; level++) {
		char *end = strrchr(path, '/');
		if (end == NULL || end == path)
			break;
		*end = '\0';
	}
	free(path);
}
