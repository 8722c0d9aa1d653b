#define _GNU_SOURCE
#include "execution.h"

#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "request.h"
#include "starts.h"
#include "stream.h"
#include "table.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_MAX 65536
/* The most a pipe can hold, so the most that is read from one whose writer could not be killed (pipe(7)). */
#define PIPE_MAX (1u << 20)
#define OUTPUTS_AT_ONCE 64
/* How long a killed process usually takes to die, at most. */
#define DYING_CHECK_MS 2
/*
 * Without cgroups: how long an end waits for processes that belong to nobody, since it may be this execution that has
 * disowned them. One that hangs in the kernel must not hold up all others for longer.
 */
#define STRANGERS_MS 200
/* Zombies that nobody waits for are looked for this often: the kernel goes through all children each time. */
#define REAP_MS 50

enum state {
	QUEUED,
	STARTING,
	RUNNING,
	/* The leader is dead, the others have been killed. */
	DYING,
};

/* As FAILED has it. */
struct failure {
	uint32_t step;
	uint32_t error;
};

struct execution {
	struct link by_id;
	struct link by_pid;
	enum state state;
	/* What to start, until that is done. */
	struct child *launch;
	pid_t pid;
	int pidfd;
	/* The end that is read from. */
	int output;
	bool output_polled;
	bool output_ended;
	uint64_t sent;
	uint64_t allowed;
	struct cgroup *cgroup;
	struct tmpdir *tmpdir;
	struct ended_event end;
	/* Where it has not been started as far as anybody is told. */
	struct failure failure;
	/* Its end has been told of. */
	bool told;
	/* While it is dying. */
	bool leader_reaped;
	bool seen_alive;
	bool survives;
	int64_t deadline;
	int64_t strangers_deadline;
	struct execution *next;
	struct execution *previous;
};

struct list {
	struct execution *first;
	struct execution *last;
};

static int control;
static int outputs;
static struct table ids;
static struct table pids;
static struct list queue;
static struct list dying;
/* Running ones that only SIGCHLD tells about. */
static unsigned without_pidfd;
static int64_t next_check = INT64_MAX;
static int64_t next_reap = INT64_MAX;
static bool strangers;
/* The next start has to wait until one of those that are held up is done, or for another while. */
static bool crowded;
static int64_t next_starts_check = INT64_MAX;

static void kill_everything_of(struct execution *execution);
static void reap(void);

static void append(struct list *list, struct execution *execution)
{
	execution->next = NULL;
	execution->previous = list->last;
	*(list->last != NULL ? &list->last->next : &list->first) = execution;
	list->last = execution;
}

static void prepend(struct list *list, struct execution *execution)
{
	execution->previous = NULL;
	execution->next = list->first;
	*(list->first != NULL ? &list->first->previous : &list->last) = execution;
	list->first = execution;
}

static void take_out(struct list *list, struct execution *execution)
{
	*(execution->previous != NULL ? &execution->previous->next : &list->first) = execution->next;
	*(execution->next != NULL ? &execution->next->previous : &list->last) = execution->previous;
}

static struct execution *of_id(struct link *link)
{
	return link == NULL ? NULL : (struct execution *)((char *)link - offsetof(struct execution, by_id));
}

static struct execution *of_pid(struct link *link)
{
	return link == NULL ? NULL : (struct execution *)((char *)link - offsetof(struct execution, by_pid));
}

bool executions_open(int control_epoll)
{
	control = control_epoll;
	outputs = epoll_create1(EPOLL_CLOEXEC);
	return outputs >= 0;
}

int executions_outputs(void)
{
	return outputs;
}

size_t executions_count(void)
{
	return ids.count;
}

struct execution *execution_find(uint64_t id)
{
	return of_id(table_find(&ids, id));
}

/* ---- start ---- */

/* An event of so many bytes, and the pids behind it. */
static void tell_end(enum frame_type type, uint64_t id, const void *event, size_t size, const uint32_t *pids,
		     size_t count)
{
	unsigned char payload[sizeof(struct ended_event) + SURVIVORS_TOLD_MAX * sizeof *pids];
	memcpy(payload, event, size);
	if (count > SURVIVORS_TOLD_MAX)
		count = SURVIVORS_TOLD_MAX;
	if (count > 0)
		memcpy(payload + size, pids, count * sizeof *pids);
	event_put(type, id, payload, size + count * sizeof *pids);
}

static void tell_failure(uint64_t id, enum step step, int error)
{
	const struct failure failure = { step, (uint32_t)error };
	event_put(FRAME_FAILED, id, &failure, sizeof failure);
}

bool execution_request(uint64_t id, const unsigned char *payload, size_t length)
{
	struct child *launch = request_parse(payload, length);
	if (launch == NULL) {
		tell_failure(id, STEP_REQUEST, errno);
		return true;
	}
	struct execution *execution = calloc(1, sizeof *execution);
	if (execution == NULL)
		return false;
	launch->tagged = !cgroups_used();
	launch->execution = execution;
	execution->launch = launch;
	execution->allowed = launch->request->credit;
	execution->pidfd = execution->output = -1;
	table_add(&ids, &execution->by_id, id);
	append(&queue, execution);
	return true;
}

bool executions_queued(void)
{
	return queue.first != NULL && !crowded;
}

static void close_launch(struct execution *execution)
{
	if (execution->launch->output >= 0)
		close(execution->launch->output);
	free(execution->launch);
	execution->launch = NULL;
}

static void forget(struct execution *execution)
{
	if (!execution->told)
		table_remove(&ids, &execution->by_id);
	if (execution->output >= 0)
		close(execution->output);
	if (execution->cgroup != NULL)
		cgroup_release(execution->cgroup);
	if (execution->tmpdir != NULL)
		tmpdir_release(execution->tmpdir, execution->survives);
	if (execution->launch != NULL)
		close_launch(execution);
	free(execution);
}

static void fail(struct execution *execution, enum step step, int error)
{
	take_out(&queue, execution);
	tell_failure(execution->by_id.key, step, error);
	forget(execution);
}

/* A pipe for stdout and stderr. The runner must be able to open it by its name, /dev/stdout. */
static bool open_output(struct execution *execution)
{
	const struct start_request *request = execution->launch->request;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	execution->output = ends[0];
	execution->launch->output = ends[1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 &&
	       (!(request->flags & START_AS_USER) || fchown(ends[1], request->uid, request->gid) == 0);
}

static void poll_output(struct execution *execution, bool wanted)
{
	if (execution->output_polled == wanted)
		return;
	struct epoll_event event = { EPOLLIN, { .ptr = execution } };
	epoll_ctl(outputs, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, execution->output, &event);
	execution->output_polled = wanted;
}

/* Where there can be none, what the environment says stays. */
static void give_tmpdir(struct execution *execution)
{
	const struct start_request *request = execution->launch->request;
	bool as_user = request->flags & START_AS_USER;
	execution->tmpdir = tmpdir_take(as_user ? request->uid : geteuid(), as_user ? request->gid : getegid());
	if (execution->tmpdir == NULL)
		return;
	for (char **entry = execution->launch->envp; *entry != NULL; entry++)
		if (strncmp(*entry, "TMPDIR=", 7) == 0)
			*entry = tmpdir_variable(execution->tmpdir);
}

/* What it needs beforehand, its pipe and its cgroup; false with the step where it fails, and errno. */
static bool equip(struct execution *execution, enum step *step)
{
	struct child *launch = execution->launch;
	const struct start_request *request = launch->request;
	*step = STEP_PIPE;
	if (!open_output(execution))
		return false;
	if (request->flags & START_TMPDIR)
		give_tmpdir(execution);
	*step = STEP_CGROUP;
	errno = ENOTSUP;
	if (!cgroups_used())
		return request->memory_max == 0 && request->cpu_millicores == 0 && request->pids_max == 0;
	execution->cgroup = cgroup_take(request);
	if (execution->cgroup == NULL)
		return false;
	launch->cgroup = cgroup_folder(execution->cgroup);
	return true;
}

/* Its program does not run, or did for a moment at most. */
static void fail_started(struct execution *execution)
{
	const struct child *launch = execution->launch;
	if (launch->process >= 0)
		waitpid(launch->process, NULL, 0);
	if (launch->pidfd >= 0)
		close(launch->pidfd);
	if (execution->failure.step == 0)
		execution->failure = (struct failure){ launch->step, (uint32_t)launch->error };
	if (!execution->told)
		tell_failure(execution->by_id.key, execution->failure.step, (int)execution->failure.error);
	forget(execution);
}

/* Its start is done, whatever it has come to. */
static void go_on(struct execution *execution)
{
	struct child *launch = execution->launch;
	if (launch->unwanted != 0) {
		enum step step = launch->unwanted == ECANCELED ? STEP_CANCELLED : STEP_EXEC;
		execution->failure = (struct failure){ step, (uint32_t)launch->unwanted };
	}
	if (launch->process < 0 || launch->error != 0) {
		fail_started(execution);
		return;
	}
	execution->state = RUNNING;
	execution->pid = launch->process;
	execution->pidfd = launch->pidfd;
	close_launch(execution);
	if (execution->cgroup != NULL)
		cgroup_limit_cpu(execution->cgroup);
	table_add(&pids, &execution->by_pid, (uint64_t)execution->pid);
	struct epoll_event event = { EPOLLIN, { .ptr = execution } };
	if (execution->pidfd >= 0 && epoll_ctl(control, EPOLL_CTL_ADD, execution->pidfd, &event) != 0) {
		close(execution->pidfd);
		execution->pidfd = -1;
	}
	if (execution->pidfd < 0)
		without_pidfd++;
	if (execution->failure.step != 0) {
		kill_everything_of(execution);
		return;
	}
	poll_output(execution, execution->allowed > 0);
	const uint32_t started[2] = { (uint32_t)execution->pid, 0 };
	event_put(FRAME_STARTED, execution->by_id.key, started, sizeof started);
}

bool executions_start_next(void)
{
	struct execution *execution = queue.first;
	enum step step;
	/* It may be the second time for one that was crowded out. */
	if (execution->output < 0 && !equip(execution, &step)) {
		fail(execution, step, errno);
		return true;
	}
	take_out(&queue, execution);
	execution->state = STARTING;
	/* Set before, since another thread may serve meanwhile. */
	next_starts_check = now_ms();
	switch (starts_begin(execution->launch)) {
	case START_DONE:
		next_starts_check = INT64_MAX;
		go_on(execution);
		return true;
	case START_ELSEWHERE: return true;
	case START_SERVED_ELSEWHERE: return false;
	case START_CROWDED:
		execution->state = QUEUED;
		prepend(&queue, execution);
		crowded = true;
	}
	return true;
}

void executions_started(void)
{
	crowded = false;
	for (struct child *child; (child = starts_next_done()) != NULL;)
		go_on(child->execution);
	if (without_pidfd > 0)
		reap();
}

/* It cannot be killed: whoever waits for it is told, and the rest follows when it is done. */
static void lose(struct child *child)
{
	struct execution *execution = child->execution;
	const struct failure failure = {
		child->unwanted == ECANCELED ? STEP_CANCELLED : STEP_EXEC,
		(uint32_t)child->unwanted,
	};
	const uint32_t pid = (uint32_t)atomic_load(&child->pid);
	tell_end(FRAME_FAILED, execution->by_id.key, &failure, sizeof failure, &pid, 1);
	table_remove(&ids, &execution->by_id);
	execution->told = true;
}

/* ---- output ---- */

static bool read_output(struct execution *execution, uint64_t max)
{
	size_t size = max < READ_MAX ? (size_t)max : READ_MAX;
	ssize_t length = output_put(execution->by_id.key, execution->output, execution->sent, size);
	if (length > 0)
		execution->sent += (uint64_t)length;
	else if (length == 0 || (errno != EAGAIN && errno != EINTR))
		execution->output_ended = true;
	return length > 0;
}

void executions_read(void)
{
	struct epoll_event events[OUTPUTS_AT_ONCE];
	int count = epoll_wait(outputs, events, OUTPUTS_AT_ONCE, 0);
	for (int i = 0; i < count; i++) {
		struct execution *execution = events[i].data.ptr;
		read_output(execution, execution->allowed - execution->sent);
		if (execution->output_ended || execution->sent >= execution->allowed)
			poll_output(execution, false);
	}
}

void execution_credit(struct execution *execution, uint64_t bytes)
{
	uint64_t allowed = execution->allowed + bytes;
	execution->allowed = allowed < bytes ? UINT64_MAX : allowed;
	if (execution->state == RUNNING && !execution->output_ended)
		poll_output(execution, execution->allowed > execution->sent);
}

/* ---- end ---- */

static void kill_everything_of(struct execution *execution)
{
	/* The leader is not reaped yet, so that its number is nobody else's. */
	kill(-execution->pid, SIGKILL);
	if (execution->cgroup != NULL)
		cgroup_kill(execution->cgroup);
}

void execution_kill(struct execution *execution)
{
	if (execution->state == QUEUED) {
		fail(execution, STEP_CANCELLED, ECANCELED);
	} else if (execution->state == STARTING) {
		starts_cancel(execution->launch, ECANCELED);
		next_starts_check = 0;
	} else if (execution->state == RUNNING)
		kill_everything_of(execution);
}

/* What is left of the one that has these, as far as it is looked for. */
static const struct execution *survived;
static uint32_t survivors[SURVIVORS_TOLD_MAX];
static uint32_t survivors_count;

static void note_survivor(pid_t pid)
{
	if (survivors_count < SURVIVORS_TOLD_MAX)
		survivors[survivors_count] = (uint32_t)pid;
	survivors_count++;
}

static void note_if_survivor(pid_t pid)
{
	if (pid == survived->pid || child_leader_of(pid) == survived->pid)
		note_survivor(pid);
}

static void find_survivors(const struct execution *execution)
{
	survived = execution;
	survivors_count = 0;
	if (execution->cgroup != NULL)
		cgroup_each(execution->cgroup, note_survivor);
	else
		child_each(note_if_survivor);
	/* A leader that is dead, but waits for whoever traces it. */
	if (survivors_count == 0)
		note_survivor(execution->pid);
}

static void finish(struct execution *execution)
{
	uint64_t limit = execution->sent + PIPE_MAX;
	bool runs = execution->failure.step == 0;
	while (runs && !execution->output_ended && execution->sent < limit &&
	       read_output(execution, limit - execution->sent))
		continue;
	poll_output(execution, false);
	if (execution->cgroup != NULL)
		cgroup_measure(execution->cgroup, &execution->end);
	survivors_count = 0;
	if (execution->survives)
		find_survivors(execution);
	execution->end.survivors = survivors_count;
	uint64_t id = execution->by_id.key;
	if (runs)
		tell_end(FRAME_ENDED, id, &execution->end, sizeof execution->end, survivors, survivors_count);
	else if (!execution->told)
		tell_end(FRAME_FAILED, id, &execution->failure, sizeof execution->failure, survivors, survivors_count);
	table_remove(&pids, &execution->by_pid);
	forget(execution);
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static void unwatch_leader(struct execution *execution)
{
	if (execution->pidfd < 0) {
		without_pidfd--;
		return;
	}
	/* Before the close: a child that is just being started may hold the descriptor, and its registration, open. */
	epoll_ctl(control, EPOLL_CTL_DEL, execution->pidfd, NULL);
	close(execution->pidfd);
	execution->pidfd = -1;
}

/* One that is traced cannot be reaped before its tracer has let it go, which may be never (ptrace(2)). */
static void reap_leader(struct execution *execution)
{
	int status = 0;
	struct rusage usage;
	memset(&usage, 0, sizeof usage);
	if (wait4(execution->pid, &status, WNOHANG, &usage) != execution->pid)
		return;
	execution->leader_reaped = true;
	execution->end = (struct ended_event){
		.exit_code = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
		.signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0,
		.user_us = microseconds(usage.ru_utime),
		.system_us = microseconds(usage.ru_stime),
		.max_rss_kb = (uint64_t)usage.ru_maxrss,
	};
}

void execution_leader_ended(struct execution *execution)
{
	bool alone = execution->cgroup != NULL && !cgroup_populated(execution->cgroup);
	if (!alone)
		kill_everything_of(execution);
	unwatch_leader(execution);
	/* As long as nothing else is known of it. */
	execution->end = (struct ended_event){ .signal = SIGKILL };
	reap_leader(execution);
	if (alone && execution->leader_reaped) {
		finish(execution);
		return;
	}
	execution->state = DYING;
	execution->deadline = now_ms() + KILL_LIMIT_MS;
	append(&dying, execution);
	next_check = 0;
}

static void reap(void)
{
	next_reap = INT64_MAX;
	for (;;) {
		siginfo_t ended = { .si_pid = 0 };
		if (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0)
			return;
		struct execution *execution = of_pid(table_find(&pids, (uint64_t)ended.si_pid));
		if (execution == NULL && (starts_include(ended.si_pid) || starts_include_unknown())) {
			/* The thread that started it tells in a moment. */
			next_reap = now_ms() + REAP_MS;
			return;
		}
		if (execution != NULL && execution->state == RUNNING)
			execution_leader_ended(execution);
		else if (execution != NULL && !execution->leader_reaped)
			reap_leader(execution);
		else
			waitpid(ended.si_pid, NULL, WNOHANG);
	}
}

void executions_child_ended(void)
{
	if (dying.first != NULL)
		next_check = 0;
	if (without_pidfd > 0)
		reap();
	else if (next_reap == INT64_MAX)
		next_reap = now_ms() + REAP_MS;
}

/* Kills an inherited process unless it belongs to a running execution. */
static void judge_child(pid_t pid)
{
	struct execution *owner = of_pid(table_find(&pids, (uint64_t)pid));
	if (owner == NULL)
		owner = of_pid(table_find(&pids, (uint64_t)child_leader_of(pid)));
	if (owner == NULL && starts_include(pid))
		return;
	/* It may be one that is just being started: at the next look it has told so. */
	if (owner == NULL && starts_include_unknown()) {
		strangers = true;
		return;
	}
	if (owner != NULL && owner->state == RUNNING)
		return;
	kill(pid, SIGKILL);
	if (owner != NULL)
		owner->seen_alive = true;
	else
		strangers = true;
}

/*
 * Without cgroups: what has lost its parent is the launcher's child, as PR_SET_CHILD_SUBREAPER has it, so that in the end
 * everything an execution leaves behind comes by here.
 */
static void judge_children(void)
{
	reap();
	for (struct execution *execution = dying.first; execution != NULL; execution = execution->next)
		execution->seen_alive = false;
	strangers = false;
	child_each(judge_child);
}

/* Whether a dying execution has a process that lives; what has been forked since the last kill is killed again. */
static bool lives_on(struct execution *execution, int64_t now)
{
	if (!execution->leader_reaped)
		reap_leader(execution);
	if (execution->cgroup == NULL) {
		if (execution->strangers_deadline == 0)
			execution->strangers_deadline = now + STRANGERS_MS;
		bool waits = strangers && now < execution->strangers_deadline;
		return waits || execution->seen_alive || !execution->leader_reaped;
	}
	if (!cgroup_populated(execution->cgroup))
		return !execution->leader_reaped;
	cgroup_kill(execution->cgroup);
	return true;
}

static void check_dying(int64_t now)
{
	if (!cgroups_used())
		judge_children();
	for (struct execution *execution = dying.first, *next; execution != NULL; execution = next) {
		next = execution->next;
		bool lives = lives_on(execution, now);
		if (lives && now < execution->deadline)
			continue;
		execution->survives = lives;
		take_out(&dying, execution);
		finish(execution);
	}
	next_check = dying.first == NULL ? INT64_MAX : now + DYING_CHECK_MS;
}

int executions_tend(void)
{
	bool idle = dying.first == NULL && next_reap == INT64_MAX && next_starts_check == INT64_MAX;
	int64_t now = idle ? 0 : now_ms();
	if (dying.first != NULL && now >= next_check)
		check_dying(now);
	if (now >= next_reap)
		reap();
	if (now >= next_starts_check) {
		next_starts_check = starts_tend(now, lose);
		crowded = false;
	}
	if (executions_queued())
		return 0;
	int64_t due = next_check < next_reap ? next_check : next_reap;
	if (next_starts_check < due)
		due = next_starts_check;
	if (due == INT64_MAX)
		return -1;
	return due <= now ? 0 : (int)(due - now);
}

static void kill_link(struct link *link)
{
	struct execution *execution = of_pid(link);
	if (execution->state == RUNNING)
		kill_everything_of(execution);
}

void executions_kill_all(void)
{
	while (queue.first != NULL)
		fail(queue.first, STEP_CANCELLED, ECANCELED);
	starts_cancel_all(ECANCELED);
	next_starts_check = 0;
	cgroups_kill_all();
	table_each(&pids, kill_link);
}

/* ---- list ---- */

struct listed {
	uint64_t id;
	uint64_t offset;
	uint32_t pid;
	uint32_t zero;
};

static struct listed *list_at;

static void list_link(struct link *link)
{
	const struct execution *execution = of_pid(link);
	*list_at++ = (struct listed){ execution->by_id.key, execution->sent, (uint32_t)execution->pid, 0 };
}

void executions_list(uint64_t id)
{
	struct listed *list = calloc(pids.count + 1, sizeof *list);
	if (list == NULL)
		return;
	list_at = list;
	table_each(&pids, list_link);
	event_put(FRAME_LISTED, id, list, pids.count * sizeof *list);
	free(list);
}
