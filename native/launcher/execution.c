#include "execution.h"

#include "cgroup.h"
#include "child.h"
#include "stream.h"
#include "tmpdir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct table ids;
static struct table pids;

struct execution *execution_new(uint64_t id, struct child *child)
{
	struct execution *execution = calloc(1, sizeof *execution);
	if (execution == NULL)
		return NULL;
	child->execution = execution;
	execution->child = child;
	execution->state = QUEUED;
	execution->output_allowed = child->request->credit;
	execution->pidfd = execution->output = -1;
	table_add(&ids, &execution->by_id, id);
	return execution;
}

struct execution *execution_find(uint64_t id)
{
	struct hash_node *node = table_find(&ids, id);
	return node == NULL ? NULL : container_of(node, struct execution, by_id);
}

struct execution *execution_of_leader(pid_t pid)
{
	struct hash_node *node = table_find(&pids, (uint64_t)pid);
	return node == NULL ? NULL : container_of(node, struct execution, by_pid);
}

size_t executions_count(void)
{
	return ids.count;
}

void execution_add_leader(struct execution *execution)
{
	table_add(&pids, &execution->by_pid, (uint64_t)execution->pid);
}

void execution_remove_leader(struct execution *execution)
{
	table_remove(&pids, &execution->by_pid);
}

static void (*each_visit)(struct execution *execution);

static void visit_node(struct hash_node *node)
{
	each_visit(container_of(node, struct execution, by_pid));
}

void executions_each(void (*visit)(struct execution *execution))
{
	each_visit = visit;
	table_each(&pids, visit_node);
}

void execution_close_child(struct execution *execution)
{
	if (execution->child->output >= 0)
		close(execution->child->output);
	free(execution->child);
	execution->child = NULL;
}

void execution_free(struct execution *execution)
{
	if (execution->output >= 0)
		close(execution->output);
	if (execution->cgroup != NULL)
		cgroup_release(execution->cgroup);
	if (execution->tmpdir != NULL)
		tmpdir_release(execution->tmpdir, execution->survives);
	if (execution->child != NULL)
		execution_close_child(execution);
	free(execution);
}

/* Sends an event, with the pids of survivors behind it. */
static void report(struct execution *execution, enum frame_type type, const void *event, size_t size,
		   const struct survivors *survivors)
{
	unsigned char payload[sizeof(struct ended_event) + sizeof survivors->pids];
	memcpy(payload, event, size);
	if (survivors != NULL) {
		size_t count = survivors->count < SURVIVORS_TOLD_MAX ? survivors->count : SURVIVORS_TOLD_MAX;
		memcpy(payload + size, survivors->pids, count * sizeof(uint32_t));
		size += count * sizeof(uint32_t);
	}
	event_put(type, execution_id(execution), payload, size);
	table_remove(&ids, &execution->by_id);
	execution->reported = true;
}

void execution_report_failed(struct execution *execution, const struct survivors *survivors)
{
	report(execution, FRAME_FAILED, &execution->failure, sizeof execution->failure, survivors);
}

void execution_report_ended(struct execution *execution, const struct survivors *survivors)
{
	report(execution, FRAME_ENDED, &execution->end, sizeof execution->end, survivors);
}

static struct listed_event *next_listed;

static void list(struct execution *execution)
{
	*next_listed++ =
		(struct listed_event){ execution_id(execution), execution->output_sent, (uint32_t)execution->pid, 0 };
}

void executions_list(uint64_t id)
{
	struct listed_event *listed = calloc(pids.count + 1, sizeof *listed);
	if (listed == NULL)
		return;
	next_listed = listed;
	executions_each(list);
	event_put(FRAME_LISTED, id, listed, pids.count * sizeof *listed);
	free(listed);
}
