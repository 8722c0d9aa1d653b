/*
 * One execution, and where to find it: by its id from START until its end is reported, by its leader's pid while it has
 * one.
 *
 * Its life is in these files:
 *
 *     starting.h    START is queued; pipe, folder and cgroup are made; the child is cloned; the leader is watched
 *     output.h      what it writes, as far as its credit goes
 *     ending.h      its leader has ended: the rest is killed; once all is dead, the execution is settled
 *     executions.h  what concerns all states: kill, timers, leaving
 */
#ifndef EXECUTION_H
#define EXECUTION_H

#include "list.h"
#include "protocol.h"
#include "table.h"

#include <stdbool.h>
#include <sys/types.h>

enum state {
	QUEUED,
	STARTING,
	RUNNING,
	/* The leader has ended, and the others have been killed. */
	DYING,
};

struct execution {
	struct hash_node by_id;
	struct hash_node by_pid;
	/* In the queue, or among the dying. */
	struct list_node node;
	enum state state;
	/* Whether ENDED or FAILED has been sent. It may be sent before an execution is settled. */
	bool reported;
	/* What to start; NULL once it runs. */
	struct child *child;
	/* Why its start has failed; step 0: it has not. The program of a cancelled start may run until it is killed. */
	struct failed_event failure;

	pid_t pid;
	/* -1 where only SIGCHLD reports the leader's end, or where that is known. */
	int pidfd;
	struct cgroup *cgroup;
	struct tmpdir *tmpdir;

	/* The end of its pipe that is read from; -1: none yet. */
	int output;
	bool output_polled;
	bool output_ended;
	uint64_t output_sent;
	uint64_t output_allowed;

	struct ended_event end;
	/* From here on: while it is dying. */
	bool leader_reaped;
	/* Without cgroups: whether the last look has found a live process of its own. */
	bool has_orphans;
	/* When it is settled even though something is still alive. */
	int64_t deadline_ms;
	/* Until when it waits for orphans without an owner; 0: not set yet. */
	int64_t unowned_deadline_ms;
	bool survives;
};

/* What is left of an execution: so many processes, and the pids of the first of them. */
struct survivors {
	uint32_t count;
	uint32_t pids[SURVIVORS_TOLD_MAX];
};

/* A queued execution of that child; NULL where there is no memory. */
struct execution *execution_new(uint64_t id, struct child *child);

/* NULL where there is none, or its end has been reported. */
struct execution *execution_find(uint64_t id);

/* NULL where there is none. */
struct execution *execution_of_leader(pid_t pid);

/* How many have not been reported. */
size_t executions_count(void);

/* Has its leader in the table by pid, from its start until it is settled. */
void execution_add_leader(struct execution *execution);
void execution_remove_leader(struct execution *execution);

/* Calls `visit` for each that has a leader; `visit` must not add or remove one. */
void executions_each(void (*visit)(struct execution *execution));

static inline uint64_t execution_id(const struct execution *execution)
{
	return execution->by_id.key;
}

/* Closes and frees the child, where its start is done. */
void execution_close_child(struct execution *execution);

/* Frees it, and gives back what it holds. Its end must have been reported. */
void execution_free(struct execution *execution);

/* Send FAILED or ENDED, once; it cannot be found by its id from then on. `survivors` may be NULL. */
void execution_report_failed(struct execution *execution, const struct survivors *survivors);
void execution_report_ended(struct execution *execution, const struct survivors *survivors);

/* Sends LISTED. */
void executions_list(uint64_t id);

#endif
