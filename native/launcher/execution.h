/*
 * One execution, and where to find it: by its id while it is known, which is from START until its end has been reported,
 * and of one with START_KEPT until FORGET; by its leader's pid while it has one.
 *
 * Its life is in these files:
 *
 *     starting.h    START is queued; pipe, folder and cgroup are made; the child is cloned; the leader is watched
 *     output.h      what it writes, as far as its credit goes; kept.h: what of that is kept
 *     attachment.h  whether the connection is told of it
 *     report.h      what the connection is told
 *     ending.h      its leader has ended: the rest is killed; once all is dead, the execution is settled
 *     executions.h  what concerns all states: kill, timers, the end of a connection
 */
#ifndef EXECUTION_H
#define EXECUTION_H

#include "deadlines.h"
#include "kept.h"
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
	/* Nothing of it runs, and its end has been reported. What it held is given back in a moment. */
	ENDED,
	/* Nothing of it runs, and all that it held is given back. It is kept until FORGET. */
	SETTLED,
};

/* What is left of an execution: so many processes, and the pids of the first of them. */
struct survivors {
	uint32_t count;
	uint32_t pids[SURVIVORS_TOLD_MAX];
};

struct execution {
	struct hash_node by_id;
	struct hash_node by_pid;
	/* In the queue, among the dying, or among those that have ended. */
	struct list_node node;
	enum state state;
	/* Whether it can be found by its id. */
	bool known;
	/* Whether ENDED or FAILED has been reported: it may be sent, or kept. It may be so before an execution is settled. */
	bool over;
	/* Whether its events are sent: its START or ATTACH has come by the present connection. */
	bool attached;
	/* Whether output that is kept has to be sent before anything else of it can be. */
	bool behind;
	struct list_node behind_node;
	/* Of its START. */
	uint32_t flags;
	int64_t requested_us;
	/* Why it has been killed: of enum cause, or a cause of the agent's own. */
	uint32_t cause;
	struct deadline timeout;
	/* What to start; NULL once it runs. */
	struct child *child;
	/* Why its start has failed; step 0: it has not. The program of a cancelled start may run until it is killed. */
	struct failed_event failure;

	pid_t pid;
	/* -1 where only SIGCHLD reports the leader's end, or where that is known. */
	int pidfd;
	bool leader_watched;
	struct cgroup *cgroup;
	struct tmpdir *tmpdir;
	struct sandbox *sandbox;

	/* The end of its pipe that is read from; -1: none yet. */
	int output;
	bool output_polled;
	bool output_ended;
	/* Whether it is not read because too much is kept. */
	bool output_waits;
	struct list_node output_waits_node;
	/* Offsets: so far it has been read, sent, and may be read. What is not kept is sent as it is read. */
	uint64_t output_length;
	uint64_t output_sent;
	uint64_t output_allowed;
	/* With START_KEPT. */
	struct kept kept;

	struct ended_event end;
	uint64_t duration_us;
	struct survivors survivors;
	/* From here on: while it is dying. */
	bool leader_reaped;
	/* Without cgroups: whether the last look has found a live process of its own. */
	bool has_orphans;
	/* When it is settled even though something is still alive. */
	int64_t deadline_ms;
	/* Until when it waits for orphans without an owner; 0: not set yet. */
	int64_t unowned_deadline_ms;
	bool survives;

	uint32_t note_size;
	unsigned char note[];
};

/* A queued execution of that child, attached to the connection; NULL where there is no memory. */
struct execution *execution_new(uint64_t id, struct child *child);

/* NULL where none is known. */
struct execution *execution_find(uint64_t id);

/* NULL where there is none. */
struct execution *execution_of_leader(pid_t pid);

/* How many are not over. */
size_t executions_count(void);

/* Whether any is known, or not over. */
bool executions_any(void);

/* Has its leader in the table by pid, from its start until it is settled. */
void execution_add_leader(struct execution *execution);
void execution_remove_leader(struct execution *execution);

/* Calls `visit` for each that has a leader; `visit` must not add or remove one. */
void executions_each_leader(void (*visit)(struct execution *execution));

/* Calls `visit` for each that is known; `visit` may forget or settle that one, but must not add or forget another. */
void executions_each(void (*visit)(struct execution *execution));

static inline uint64_t execution_id(const struct execution *execution)
{
	return execution->by_id.key;
}

static inline bool execution_is_kept(const struct execution *execution)
{
	return execution->flags & START_KEPT;
}

/* Whether its program has been executed, and was not killed for a start that was cancelled. */
static inline bool execution_has_run(const struct execution *execution)
{
	return execution->state >= RUNNING && execution->failure.step == 0;
}

/* Notes that it is over, once: from now on nothing of it is awaited. */
void execution_note_over(struct execution *execution);

/* Closes and frees the child, where its start is done. */
void execution_close_child(struct execution *execution);

/* Whoever takes its sandbox next finds it clean, whatever of the execution is given back later. Once. */
void execution_leave_sandbox(struct execution *execution);

/* Gives back what it holds, once it is over and nothing of it runs. Frees it, unless it is known. */
void execution_settle(struct execution *execution);

/* Has it known no more. Frees it, where it is settled. Nothing of its output may be kept. */
void execution_forget(struct execution *execution);

#endif
