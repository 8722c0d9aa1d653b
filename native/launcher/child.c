#define _GNU_SOURCE
#include "child.h"

#include "landlock.h"
#include "sandbox_room.h"
#include "tag.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The headers of older systems lack it. */
#define UNSHARE_FILES 2u
/* Exit code of a child whose program was not executed. Nobody sees it: the launcher reports step and error instead. */
#define NOT_EXECUTED 127

static int null_device;
static int proc_folder;
/*
 * A child is cloned with the launcher's table of descriptors, of which there may be thousands, and copies only those below
 * `low_end` for itself: the copy of all of them would be made, and closed by the exec, at each start. So the end of its pipe
 * has to be one of the low ones, `output_slot`, which one start at a time has until it has made the copy. It is not closed
 * before the next start: a pipe whose last writer has gone would wake the launcher just before the end of the leader does.
 */
static int output_slot;
static unsigned low_end;
static atomic_flag slot_taken = ATOMIC_FLAG_INIT;
static bool has_unshare;
static atomic_bool has_clone3;
static atomic_int latest;
/* Threads that have started children, but for the first one. A child is listed in /proc under its thread. */
static atomic_int threads[STARTING_THREADS_MAX];
static atomic_uint threads_count;

/* Whether close_range(2) can give a child a table of its own: Linux 5.9. This range is none, so that this one is kept. */
static bool can_unshare(void)
{
	return syscall(SYS_close_range, 1u, 0u, UNSHARE_FILES) != 0 && errno == EINVAL;
}

bool child_open(void)
{
	null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
	proc_folder = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	output_slot = null_device < 0 ? -1 : fcntl(null_device, F_DUPFD_CLOEXEC, 0);
	if (output_slot < 0)
		return false;
	low_end = (unsigned)output_slot + 1;
	has_unshare = can_unshare();
#if defined __x86_64__ || defined __aarch64__
	has_clone3 = syscall(SYS_clone3, NULL, 0) != 0 && errno == EINVAL;
#endif
	tags_open();
	landlock_open();
	return true;
}

bool child_has_clone3(void)
{
	return has_clone3;
}

/* ---- in the child ---- */

/* Writes a text to a file; false with errno. */
static bool write_file(int folder, const char *path, const char *text, size_t length)
{
	int fd = openat(folder, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool written = write(fd, text, length) == (ssize_t)length;
	int error = errno;
	close(fd);
	errno = error;
	return written;
}

static bool join_cgroup(int folder)
{
	return write_file(folder, "cgroup.procs", "0", 1);
}

/* The launcher's /proc, since the sandbox has another one. */
static bool set_oom_score(int score)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%d", score);
	return write_file(proc_folder, "self/oom_score_adj", text, (size_t)length);
}

static void leave_slot(struct child *child)
{
	child->has_slot = false;
	atomic_flag_clear(&slot_taken);
}

/* The descriptor of its pipe in a table of its own; -1 with errno. */
static int unshare_files(struct child *child)
{
	if (!child->has_slot)
		return child->output;
	if (syscall(SYS_close_range, low_end, ~0u, UNSHARE_FILES) != 0)
		return -1;
	leave_slot(child);
	return output_slot;
}

static bool redirect_streams(struct child *child)
{
	int output = unshare_files(child);
	return output >= 0 && dup2(null_device, 0) >= 0 && dup2(output, 1) >= 0 && dup2(output, 2) >= 0;
}

static bool set_limits(const struct child *child)
{
	for (uint32_t i = 0; i < child->request->rlimits; i++) {
		const struct rlimit_request *limit = &child->rlimits[i];
		if (limit->resource > INT_MAX) {
			errno = EINVAL;
			return false;
		}
		if (!limit_self((int)limit->resource, limit->soft, limit->hard))
			return false;
	}
	return !child->tagged || tag_self(getpid());
}

/* To the kernel this id means "keep the present one", which is root's. */
static bool is_id(uint32_t id)
{
	errno = EINVAL;
	return id != UINT32_MAX;
}

/* By system calls: the C library's functions would change the user of all the launcher's threads. */
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

/* Shut off from other functions. From here on paths are the sandbox's. */
static bool join_sandbox(const struct namespaces *namespaces)
{
	return setns(namespaces->mount, CLONE_NEWNS) == 0 && setns(namespaces->ipc, CLONE_NEWIPC) == 0 &&
	       (namespaces->network < 0 || setns(namespaces->network, CLONE_NEWNET) == 0) && landlock_shut_off();
}

/* What only the launcher's user may do, or what must not be charged to the new one. */
static bool set_up_as_launcher(struct child *child, bool born_in_cgroup)
{
	const struct start_request *request = child->request;
	child->step = STEP_SESSION;
	if (setsid() < 0)
		return false;
	child->step = STEP_CGROUP;
	if (child->cgroup >= 0 && !born_in_cgroup && !join_cgroup(child->cgroup))
		return false;
	child->step = STEP_JOIN;
	if (child->namespaces != NULL && !join_sandbox(child->namespaces))
		return false;
	/* After what takes descriptors of the launcher's, and before what opens some. */
	child->step = STEP_PIPE;
	if (!redirect_streams(child))
		return false;
	/* Now that others can be started meanwhile. */
	if (child->disk != NULL)
		sandbox_room_wait(child->disk);
	child->step = STEP_OOM_SCORE;
	if (request->flags & START_OOM_SCORE && !set_oom_score(request->oom_score_adj))
		return false;
	child->step = STEP_RLIMIT;
	if (!set_limits(child))
		return false;
	umask(request->umask);
	/*
	 * Its own session keyring, so that executions do not share keys (keyrings(7)). Keyrings of any user but root count
	 * against a quota of 200. The call may fail: containers often forbid it.
	 */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	return true;
}

/* Becomes the user, and what has to come after that. */
static bool set_up_as_user(struct child *child)
{
	const struct start_request *request = child->request;
	if (request->flags & START_AS_USER && !set_user(child))
		return false;
	child->step = STEP_NO_NEW_PRIVS;
	if (request->flags & START_NO_NEW_PRIVS && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return false;
	/* The child dies with the launcher. A change of the user resets this, so it comes after that. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The launcher may have died before that. */
	if (getppid() != child->launcher)
		_exit(NOT_EXECUTED);
	child->step = STEP_FOLDER;
	return chdir(child->folder) == 0;
}

/*
 * All that the child does. Until the exec it shares the launcher's memory, on the stack below the caller's frame, while
 * the thread that started it waits.
 */
static _Noreturn __attribute__((noinline)) void run_child(struct child *child, bool born_in_cgroup)
{
	pid_t own = getpid();
	atomic_store(&child->pid, (int)own);
	atomic_store(&latest, (int)own);
	if (set_up_as_launcher(child, born_in_cgroup) && set_up_as_user(child)) {
		child->step = STEP_EXEC;
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execve(child->file, child->argv, child->envp);
	}
	child->error = errno;
	_exit(NOT_EXECUTED);
}

/* ---- in the launcher ---- */

#if defined __x86_64__ || defined __aarch64__
/*
 * clone3(2) with the child on the same stack, for which the C library has no function. The system call must stand in the
 * function that calls run_child: from a function of its own the child would return, and overwrite the frame that the
 * launcher still needs.
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
		run_child(child, true);
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
	if (child->has_slot)
		args.flags |= CLONE_FILES;
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
	/* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork, bugprone-unsafe-functions): the same as clone3 above. */
	pid_t pid = vfork();
	if (pid == 0)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Vfork): it writes only to its own frames and to `child`. */
		run_child(child, false);
	*pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	return pid;
}

static void take_slot(struct child *child)
{
	child->has_slot = has_unshare && !atomic_flag_test_and_set(&slot_taken);
	if (child->has_slot && dup3(child->output, output_slot, O_CLOEXEC) < 0)
		leave_slot(child);
}

static pid_t start_with_slot(struct child *child)
{
	take_slot(child);
	pid_t pid = start_by_clone3(child, &child->pidfd);
	/* It has failed before it had a table of its own. */
	if (child->has_slot)
		leave_slot(child);
	return pid;
}

/* Whether an older kernel does not know clone3(2) or its flags, or a filter of system calls forbids it. */
static bool is_clone3_refused(int error)
{
	return error == ENOSYS || error == EINVAL || error == E2BIG || error == EPERM;
}

/* Whether a child was killed by the kernel before it ran: see is_reusable() in cgroup.c. Reaps it. */
static bool was_stillborn(const struct child *child, pid_t pid)
{
	if (pid < 0 || atomic_load(&child->pid) != 0)
		return false;
	close(child->pidfd);
	waitpid(pid, NULL, 0);
	return true;
}

static void note_thread(void)
{
	static _Thread_local bool noted;
	if (!noted && gettid() != getpid())
		atomic_store(&threads[atomic_fetch_add(&threads_count, 1)], gettid());
	noted = true;
}

void child_start(struct child *child)
{
	note_thread();
	atomic_store(&latest, 0);
	child->error = 0;
	child->step = STEP_CLONE;
	child->launcher = getpid();
	child->pidfd = -1;
	pid_t pid = -1;
	errno = ENOSYS;
	if (has_clone3)
		pid = start_with_slot(child);
	if (pid < 0 ? is_clone3_refused(errno) : was_stillborn(child, pid)) {
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
	if (children == NULL)
		return;
	for (int pid; fscanf(children, "%d", &pid) == 1;)
		visit(pid);
	fclose(children);
}

void child_each(void (*visit)(pid_t pid))
{
	/* What is inherited becomes the first thread's. */
	each_child_of(getpid(), visit);
	for (unsigned i = atomic_load(&threads_count); i > 0; i--)
		each_child_of(atomic_load(&threads[i - 1]), visit);
}
