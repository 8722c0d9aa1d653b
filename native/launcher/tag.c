#define _GNU_SOURCE
#include "tag.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>

#define LEADER RLIMIT_LOCKS
#define COUNTERPART RLIMIT_RTTIME
#define SUM ((uint64_t)1 << 60)

/* False where the launcher's own hard limit is lower, and cannot be raised: then tags are the leader alone. */
static bool has_counterpart;

void tags_open(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	setrlimit(COUNTERPART, &limit);
	has_counterpart = getrlimit(COUNTERPART, &limit) == 0 && limit.rlim_max >= SUM;
}

bool limit_self(int resource, uint64_t soft, uint64_t hard)
{
	struct rlimit own;
	struct rlimit limit;
	if (getrlimit(resource, &own) != 0)
		return false;
	limit.rlim_max = hard < own.rlim_max ? hard : own.rlim_max;
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	return setrlimit(resource, &limit) == 0;
}

bool tag_self(pid_t leader)
{
	uint64_t tag = (uint64_t)leader;
	return limit_self(LEADER, tag, tag) && (!has_counterpart || limit_self(COUNTERPART, SUM - tag, SUM - tag));
}

static pid_t leader_of(uint64_t leader, uint64_t counterpart)
{
	return leader <= INT_MAX && (!has_counterpart || leader + counterpart == SUM) ? (pid_t)leader : 0;
}

/* Hard limits, since a process may raise its soft ones again. */
pid_t tag_leader_of(pid_t pid)
{
	struct rlimit leader;
	struct rlimit counterpart;
	if (prlimit(pid, LEADER, NULL, &leader) == 0 && prlimit(pid, COUNTERPART, NULL, &counterpart) == 0)
		return leader_of(leader.rlim_max, counterpart.rlim_max);
	/* Another user's, where root has no CAP_SYS_RESOURCE, as in most containers. */
	char line[128];
	snprintf(line, sizeof line, "/proc/%d/limits", pid);
	FILE *limits = fopen(line, "re");
	if (limits == NULL)
		return 0;
	uint64_t values[2] = { 0, 0 };
	while (fgets(line, sizeof line, limits) != NULL) {
		sscanf(line, "Max file locks %*s %" SCNu64, &values[0]);
		sscanf(line, "Max realtime timeout %*s %" SCNu64, &values[1]);
	}
	fclose(limits);
	return leader_of(values[0], values[1]);
}
