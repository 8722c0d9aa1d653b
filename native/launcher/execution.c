#include "execution.h"

#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "sandboxes.h"
#include "tmpdir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct table ids;
static struct table pids;
static size_t not_over;

struct execution *execution_new(uint64_t id, struct child *child)
{
	const struct start_request *request = child->request;
	struct execution *execution = calloc(1, sizeof *execution + request->note);
	if (execution == NULL)
		return NULL;
	child->execution = execution;
	execution->child = child;
	execution->state = QUEUED;
	execution->known = execution->attached = true;
	execution->flags = request->flags;
	execution->requested_us = now_us();
	execution->output_allowed = request->credit;
	execution->pidfd = execution->output = -1;
	execution->note_size = request->note;
	if (request->note > 0)
		memcpy(execution->note, child->note, request->note);
	table_add(&ids, &execution->by_id, id);
	not_over++;
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
	return not_over;
}

bool executions_any(void)
{
	return not_over > 0 || ids.count > 0;
}

void execution_note_over(struct execution *execution)
{
	execution->over = true;
	not_over--;
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

static void visit_leader(struct hash_node *node)
{
	each_visit(container_of(node, struct execution, by_pid));
}

void executions_each_leader(void (*visit)(struct execution *execution))
{
	each_visit = visit;
	table_each(&pids, visit_leader);
}

static void visit_known(struct hash_node *node)
{
	each_visit(container_of(node, struct execution, by_id));
}

void executions_each(void (*visit)(struct execution *execution))
{
	each_visit = visit;
	table_each(&ids, visit_known);
}

void execution_close_child(struct execution *execution)
{
	if (execution->child->output >= 0)
		close(execution->child->output);
	free(execution->child);
	execution->child = NULL;
}

static void free_if_done(struct execution *execution)
{
	if (!execution->known && execution->state == SETTLED)
		free(execution);
}

void execution_leave_sandbox(struct execution *execution)
{
	if (execution->sandbox != NULL)
		sandbox_leave(execution->sandbox, execution->survives);
	execution->sandbox = NULL;
}

void execution_settle(struct execution *execution)
{
	execution_leave_sandbox(execution);
	execution->state = SETTLED;
	if (execution->output >= 0)
		close(execution->output);
	if (execution->cgroup != NULL)
		cgroup_release(execution->cgroup);
	if (execution->tmpdir != NULL)
		tmpdir_release(execution->tmpdir, execution->survives);
	if (execution->child != NULL)
		execution_close_child(execution);
	free_if_done(execution);
}

void execution_forget(struct execution *execution)
{
	table_remove(&ids, &execution->by_id);
	execution->known = false;
	free_if_done(execution);
}
