#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Two resource limits that every descendant inherits and that nobody but root can raise: one that has had no effect since
 * Linux 2.4, and that of realtime processes, in microseconds, so large that it is none (getrlimit(2)). One is the leader's
 * pid, the other what is missing to TAG_SUM. So they tell whose a process is that has left its group and lost its parent:
 * one that lowers either belongs to nobody, which saves it from nothing, and cannot claim another leader.
 */
#define TAG RLIMIT_LOCKS
#define COUNTER_TAG RLIMIT_RTTIME
#define TAG_SUM ((uint64_t)1 << 60)

static int null_device;
static atomic_bool has_clone3;
/* Not where the launcher's own limit is lower, and cannot be raised. */
static bool tag_sums;
static atomic_int latest;
/* Threads that have started children, but for the first one, which also inherits. */
static atomic_int starters[STARTING_THREADS_MAX];
static atomic_uint starters_count;

bool child_prepare(void)
{
	null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_device < 0)
		return false;
#if defined __x86_64__ || defined __aarch64__
	has_clone3 = syscall(SYS_clone3, NULL, 0) != 0 && errno == EINVAL;
#endif
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	setrlimit(COUNTER_TAG, &limit);
	tag_sums = getrlimit(COUNTER_TAG, &limit) == 0 && limit.rlim_max >= TAG_SUM;
	return true;
}

bool child_has_clone3(void)
{
	return has_clone3;
}

static bool join_cgroup(int folder)
{
	int fd = openat(folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool joined = write(fd, "0", 1) == 1;
	int error = errno;
	close(fd);
	errno = error;
	return joined;
}

static bool set_oom_score(int score)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%d", score);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool set = write(fd, text, (size_t)length) == length;
	int error = errno;
	close(fd);
	errno = error;
	return set;
}

static bool set_limit(int resource, uint64_t soft, uint64_t hard)
{
	struct rlimit own, limit;
	if (getrlimit(resource, &own) != 0)
		return false;
	limit.rlim_max = hard < own.rlim_max ? hard : own.rlim_max;
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	return setrlimit(resource, &limit) == 0;
}

static bool set_tag(uint64_t leader)
{
	return set_limit(TAG, leader, leader) &&
	       (!tag_sums || set_limit(COUNTER_TAG, TAG_SUM - leader, TAG_SUM - leader));
}

/* For the kernel this id means to keep the present one, which is root's. */
static bool is_id(uint32_t id)
{
	errno = EINVAL;
	return id != UINT32_MAX;
}

/* System calls, since the C library's functions would have all its threads change their user. */
static bool set_user(struct child *child)
{
	const struct start_request *request = child->request;
	child->step = STEP_GROUPS;
	if (syscall(SYS_setgroups, (size_t)request->groups, child->groups) != 0)
		return false;
	child->step = STEP_GID;
	if (!is_id(request->gid) || syscall(SYS_setresgid, request->gid, request->gid, request->gid) != 0)
		return false;
	child->step = STEP_UID;
	return is_id(request->uid) && syscall(SYS_setresuid, request->uid, request->uid, request->uid) == 0;
}

static bool prepare(struct child *child, bool born_in_cgroup)
{
	const struct start_request *request = child->request;
	child->step = STEP_SESSION;
	if (setsid() < 0)
		return false;
	child->step = STEP_CGROUP;
	if (child->cgroup >= 0 && !born_in_cgroup && !join_cgroup(child->cgroup))
		return false;
	child->step = STEP_PIPE;
	if (dup2(null_device, 0) < 0 || dup2(child->output, 1) < 0 || dup2(child->output, 2) < 0)
		return false;
	child->step = STEP_OOM_SCORE;
	if (request->flags & START_OOM_SCORE && !set_oom_score(request->oom_score_adj))
		return false;
	child->step = STEP_RLIMIT;
	for (uint32_t i = 0; i < request->rlimits; i++) {
		const uint64_t *limit = child->rlimits[i];
		if (limit[0] > INT_MAX) {
			errno = EINVAL;
			return false;
		}
		if (!set_limit((int)limit[0], limit[1], limit[2]))
			return false;
	}
	if (child->tagged && !set_tag((uint64_t)getpid()))
		return false;
	umask(request->umask);
	/*
	 * Keys of one execution are not another's (keyrings(7)). Before the change of the user, since every user but root may
	 * have 200. A filter of system calls may be in the way, as in containers.
	 */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (request->flags & START_AS_USER && !set_user(child))
		return false;
	child->step = STEP_NO_NEW_PRIVS;
	if (request->flags & START_NO_NEW_PRIVS && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return false;
	/* Should the launcher itself be killed; a change of the user would have undone it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Or has been, before this could tell. */
	if (getppid() != child->launcher)
		_exit(127);
	child->step = STEP_FOLDER;
	return chdir(child->folder) == 0;
}

/*
 * The child's part. It shares the launcher's memory until the exec, on the stack below the caller's frame, while the
 * launcher stands still.
 */
static _Noreturn __attribute__((noinline)) void become(struct child *child, bool born_in_cgroup)
{
	atomic_store(&child->pid, (int)getpid());
	atomic_store(&latest, (int)getpid());
	if (prepare(child, born_in_cgroup)) {
		child->step = STEP_EXEC;
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execve(child->file, child->argv, child->envp);
	}
	child->error = errno;
	_exit(127);
}

#if defined __x86_64__ || defined __aarch64__
/*
 * clone3(2), with the child on the same stack: the C library has no function for that. The call must not stand in a
 * function of its own, from which the child would return, over the frame that the launcher needs when it goes on.
 */
static __attribute__((noinline)) long clone_into(struct child *child, struct clone_args *args)
{
#ifdef __x86_64__
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_clone3), "D"(args), "S"(sizeof *args)
			 : "rcx", "r11", "memory");
#else
	register long number __asm__("x8") = SYS_clone3;
	register long result __asm__("x0") = (long)args;
	register long size __asm__("x1") = sizeof *args;
	__asm__ volatile("svc #0" : "+r"(result) : "r"(number), "r"(size) : "memory");
#endif
	if (result == 0)
		become(child, true);
	return result;
}

static pid_t start_by_clone3(struct child *child, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	if (child->cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)child->cgroup;
	}
	long pid = clone_into(child, &args);
	if (pid >= 0)
		return (pid_t)pid;
	errno = (int)-pid;
	return -1;
}
#else
static pid_t start_by_clone3(struct child *child, int *pidfd)
{
	(void)child, (void)pidfd;
	errno = ENOSYS;
	return -1;
}
#endif

static pid_t start_by_vfork(struct child *child, int *pidfd)
{
	/* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork, bugprone-unsafe-functions): as clone3(2) would do it. */
	pid_t pid = vfork();
	if (pid == 0)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Vfork): what it calls writes to nothing but the child's own frames. */
		become(child, false);
	*pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	return pid;
}

static void know_thread(void)
{
	static _Thread_local bool known;
	if (!known && gettid() != getpid())
		atomic_store(&starters[atomic_fetch_add(&starters_count, 1)], gettid());
	known = true;
}

void child_start(struct child *child)
{
	know_thread();
	atomic_store(&latest, 0);
	child->error = 0;
	child->step = STEP_CLONE;
	child->launcher = getpid();
	child->pidfd = -1;
	pid_t pid = has_clone3 ? start_by_clone3(child, &child->pidfd) : -1;
	/* Killed at birth: see reusable() in cgroup.c. */
	bool stillborn = pid > 0 && atomic_load(&child->pid) == 0;
	if (stillborn) {
		close(child->pidfd);
		waitpid(pid, NULL, 0);
	}
	/* An older kernel, which does not know all of these flags, or a filter that lets nobody use them. */
	bool refused =
		pid < 0 && (!has_clone3 || errno == ENOSYS || errno == EINVAL || errno == E2BIG || errno == EPERM);
	if (refused || stillborn) {
		has_clone3 = false;
		pid = start_by_vfork(child, &child->pidfd);
	}
	child->process = pid;
	if (pid < 0)
		child->error = errno;
}

pid_t child_latest(void)
{
	return atomic_load(&latest);
}

static void each_child_of(pid_t thread, void (*visit)(pid_t pid))
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)thread);
	FILE *children = fopen(path, "re");
	for (int pid; children != NULL && fscanf(children, "%d", &pid) == 1;)
		visit(pid);
	if (children != NULL)
		fclose(children);
}

void child_each(void (*visit)(pid_t pid))
{
	each_child_of(getpid(), visit);
	for (unsigned i = atomic_load(&starters_count); i > 0; i--)
		each_child_of(atomic_load(&starters[i - 1]), visit);
}

/* The hard limits, which are what a tag cannot be made of again once they are lower. */
static pid_t leader_of_tag(uint64_t tag, uint64_t counter)
{
	return tag <= INT_MAX && (!tag_sums || tag + counter == TAG_SUM) ? (pid_t)tag : 0;
}

pid_t child_leader_of(pid_t pid)
{
	struct rlimit tag, counter;
	if (prlimit(pid, TAG, NULL, &tag) == 0 && prlimit(pid, COUNTER_TAG, NULL, &counter) == 0)
		return leader_of_tag(tag.rlim_max, counter.rlim_max);
	/* Of another user, where this one's root has no CAP_SYS_RESOURCE, as in most containers. */
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
	return leader_of_tag(values[0], values[1]);
}
