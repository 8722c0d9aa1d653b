#include "starting.h"

#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "ending.h"
#include "leader.h"
#include "output.h"
#include "report.h"
#include "request.h"
#include "sandboxes.h"
#include "starts.h"
#include "stream.h"
#include "tmpdir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct list queue;
/* Whether the first of the queue waits until a start that is held up has ended, or for the next timer. */
static bool postponed;
static int64_t next_check_ms = NEVER_MS;

/* ---- queue ---- */

bool starting_request(uint64_t id, const unsigned char *payload, size_t length)
{
	struct child *child = request_parse(payload, length);
	if (child == NULL) {
		const struct failed_event failure = { STEP_REQUEST, (uint32_t)errno, CAUSE_NONE, 0 };
		event_put(FRAME_FAILED, id, &failure, sizeof failure);
		return true;
	}
	struct execution *execution = execution_new(id, child);
	if (execution == NULL) {
		free(child);
		return false;
	}
	child->tagged = !cgroups_used();
	list_append(&queue, &execution->node);
	return true;
}

bool starting_is_due(void)
{
	return queue.first != NULL && !postponed;
}

static void fail_queued(struct execution *execution, enum step step, int error)
{
	list_remove(&queue, &execution->node);
	execution->failure = (struct failed_event){ .step = step, .error = (uint32_t)error };
	report_over(execution);
	execution_settle(execution);
}

/* ---- pipe, folder, cgroup ---- */

/* Where no folder can be made, TMPDIR stays as it is in the environment. */
static void take_tmpdir(struct execution *execution)
{
	const struct start_request *request = execution->child->request;
	if (!(request->flags & START_TMPDIR))
		return;
	bool as_user = request->flags & START_AS_USER;
	struct tmpdirs *of = execution->sandbox == NULL ? NULL : sandbox_tmpdirs(execution->sandbox);
	execution->child->disk = tmpdirs_disk(of);
	execution->tmpdir = tmpdir_take(of, as_user ? request->uid : geteuid(), as_user ? request->gid : getegid());
	if (execution->tmpdir == NULL)
		return;
	for (char **entry = execution->child->envp; *entry != NULL; entry++)
		if (strncmp(*entry, "TMPDIR=", 7) == 0)
			*entry = tmpdir_variable(execution->tmpdir);
}

/* False with errno. */
static bool take_cgroup(struct execution *execution)
{
	const struct start_request *request = execution->child->request;
	if (!cgroups_used()) {
		errno = ENOTSUP;
		return request->memory_max == 0 && request->cpu_millicores == 0 && request->pids_max == 0;
	}
	execution->cgroup = cgroup_take(request);
	if (execution->cgroup == NULL)
		return false;
	execution->child->cgroup = cgroup_folder(execution->cgroup);
	return true;
}

/* False with errno. */
static bool take_sandbox(struct execution *execution)
{
	struct child *child = execution->child;
	if (child->function == NULL)
		return true;
	execution->sandbox = sandbox_take(child->request->uid, child->function);
	if (execution->sandbox == NULL)
		return false;
	child->namespaces = sandbox_namespaces(execution->sandbox);
	return true;
}

/* What it needs before it is cloned. False with errno, and the step that has failed. */
static bool equip(struct execution *execution, enum step *step)
{
	*step = STEP_PIPE;
	if (!output_open(execution))
		return false;
	*step = STEP_SANDBOX;
	if (!take_sandbox(execution))
		return false;
	take_tmpdir(execution);
	*step = STEP_CGROUP;
	return take_cgroup(execution);
}

/* ---- clone ---- */

/* Its program does not run, or ran for a moment and was killed. */
static void settle_not_started(struct execution *execution)
{
	const struct child *child = execution->child;
	if (child->process >= 0)
		waitpid(child->process, NULL, 0);
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (execution->failure.step == 0)
		execution->failure = (struct failed_event){ .step = child->step, .error = (uint32_t)child->error };
	if (!execution->over)
		report_over(execution);
	execution_settle(execution);
}

/* Before the child is freed: the timeout is its START's. */
static void set_timeout(struct execution *execution)
{
	uint64_t timeout_ms = execution->child->request->timeout_ms;
	int64_t now = now_ms();
	if (timeout_ms != 0 && timeout_ms <= (uint64_t)(INT64_MAX - now))
		deadline_set(&execution->timeout, now + (int64_t)timeout_ms);
}

/* Its program runs: watches the leader and the output. */
static void run(struct execution *execution)
{
	if (execution->failure.step == 0)
		set_timeout(execution);
	execution->state = RUNNING;
	execution->pid = execution->child->process;
	execution->pidfd = execution->child->pidfd;
	execution_close_child(execution);
	if (execution->cgroup != NULL)
		cgroup_limit_cpu(execution->cgroup);
	execution_add_leader(execution);
	leader_watch(execution);
	if (execution->failure.step != 0) {
		execution_kill_processes(execution);
		return;
	}
	output_begin(execution);
	report_started(execution);
}

static struct failed_event cancel_failure(const struct child *child)
{
	enum step step = child->cancelled == ECANCELED ? STEP_CANCELLED : STEP_EXEC;
	return (struct failed_event){ .step = step, .error = (uint32_t)child->cancelled };
}

/* Its start is done, and has succeeded or failed. */
static void finish_start(struct execution *execution)
{
	const struct child *child = execution->child;
	if (child->cancelled != 0)
		execution->failure = cancel_failure(child);
	if (child->process < 0 || child->error != 0)
		settle_not_started(execution);
	else
		run(execution);
}

bool starting_next(void)
{
	struct execution *execution = container_of(queue.first, struct execution, node);
	enum step step;
	/* One that was postponed has its pipe and its cgroup. */
	if (execution->output < 0 && !equip(execution, &step)) {
		fail_queued(execution, step, errno);
		return true;
	}
	list_remove(&queue, &execution->node);
	execution->state = STARTING;
	/* Before the start, since another thread may serve meanwhile, and has to look after it. */
	next_check_ms = now_ms();
	switch (starts_begin(execution->child)) {
	case START_DONE: finish_start(execution); return true;
	case START_HANDED_OVER: return true;
	case START_SERVER_REPLACED: return false;
	case START_POSTPONED:
		execution->state = QUEUED;
		list_prepend(&queue, &execution->node);
		postponed = true;
	}
	return true;
}

void starting_collect(void)
{
	postponed = false;
	for (struct child *child; (child = starts_next_done()) != NULL;)
		finish_start(child->execution);
	if (leaders_need_sigchld())
		ending_reap();
}

/* ---- cancel ---- */

void starting_cancel(struct execution *execution)
{
	if (execution->state == QUEUED) {
		fail_queued(execution, STEP_CANCELLED, ECANCELED);
		return;
	}
	starts_cancel(execution->child, ECANCELED);
	next_check_ms = 0;
}

void starting_cancel_all(void)
{
	while (queue.first != NULL)
		fail_queued(container_of(queue.first, struct execution, node), STEP_CANCELLED, ECANCELED);
	starts_cancel_all(ECANCELED);
	next_check_ms = 0;
}

/* A child that cannot be killed: its end is reported now, and it is settled if its start ever ends. */
static void abandon(struct child *child)
{
	struct execution *execution = child->execution;
	execution->survivors = (struct survivors){ 1, { (uint32_t)atomic_load(&child->pid) } };
	execution->failure = cancel_failure(child);
	report_over(execution);
}

int64_t starting_run_timers(int64_t now)
{
	if (now >= next_check_ms) {
		next_check_ms = starts_run_timers(now, abandon);
		postponed = false;
	}
	return next_check_ms;
}
