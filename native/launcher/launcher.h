/*
 * The launcher: a small process that starts, contains and kills others for one worker thread of the agent. It is a
 * program of its own because a start costs the page tables of whoever forks, and those of the agent are large; because
 * what the agent starts must not outlive it, even by SIGKILL; and because only this part needs root.
 *
 *     launcher [CGROUP [FOLDER]]
 *
 * CGROUP is an empty folder of a cgroup2 file system, below which every execution gets a cgroup of its own. Without it,
 * or with "-" in its place, what has left an execution's process group is found as a descendant that the launcher, a
 * subreaper, has inherited. Below FOLDER executions get folders for temporary files of their own: see tmpdir.h.
 *
 * Requests come on standard input, events go to standard output, both as frames: a header of 16 bytes, then a payload.
 * All numbers are little-endian. When standard input closes, everything that was started is killed and the launcher
 * leaves with status 0; a frame that breaks these rules is named on standard error, everything is killed, and the
 * status is 2.
 *
 *     header    u32 length of the payload · u32 type · u64 id
 *
 * The id names an execution. Whoever sends START chooses it, and it must not be that of an execution that still lives.
 * An execution lives from START to ENDED or FAILED, whichever comes, and exactly one of them does. A request for one
 * that does not live is ignored: it may have ended while the request was on its way.
 *
 * Requests
 *
 *     START 1    struct start_request, then
 *                u64 [rlimits][3]   resource, soft, hard; -1 is no limit, and what is above the launcher's own is cut
 *                u32 [groups]       supplementary groups
 *                strings, each ended by NUL, up to the last byte of the payload: file, folder, argv…, environment…
 *     KILL 2     no payload. Ends the group and the cgroup by SIGKILL; ENDED follows once they are gone. One that has
 *                not been started yet will not be: FAILED follows, with STEP_CANCELLED.
 *     CREDIT 3   u64 bytes of output that may be sent beyond those allowed so far.
 *     LIST 4     no payload. Answered by LISTED with the same id.
 *
 * Events
 *
 *     READY 16   u32 version of this protocol · u32 features (enum feature). Once, first, with id 0.
 *     STARTED 17 u32 pid · u32 0. The program has been executed. May come 1 ms late, for company.
 *     OUTPUT 18  u64 offset · bytes of stdout and stderr in the order written.
 *     ENDED 19   struct ended_event, then u32 [pids] of survivors. The leader has ended, the others are dead but for these, no
 *                OUTPUT will follow.
 *     FAILED 20  u32 step (enum step) · u32 errno · u32 [pids] of survivors. It was not started.
 *     LISTED 21  for each that runs: u64 id · u64 offset of its next OUTPUT · u32 pid · u32 0
 *
 * An execution that has used up its credit is not read from, until it has ended: what its pipe holds then is sent all
 * the same.
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROTOCOL_VERSION 2
/* Of processes that do not die so many are told of. */
#define SURVIVORS_TOLD_MAX 16
/* More than the kernel takes as arguments and environment of one program (execve(2)). */
#define PAYLOAD_MAX (8u << 20)

enum frame_type {
	FRAME_START = 1,
	FRAME_KILL = 2,
	FRAME_CREDIT = 3,
	FRAME_LIST = 4,
	FRAME_READY = 16,
	FRAME_STARTED = 17,
	FRAME_OUTPUT = 18,
	FRAME_ENDED = 19,
	FRAME_FAILED = 20,
	FRAME_LISTED = 21,
};

struct frame {
	uint32_t length;
	uint32_t type;
	uint64_t id;
};

/* Where a start failed. */
enum step {
	STEP_REQUEST = 1,   /* the payload of START is not one */
	STEP_CANCELLED = 2, /* killed before it was started */
	STEP_PIPE = 3,
	STEP_CGROUP = 4,
	STEP_CLONE = 5,
	STEP_SESSION = 6,
	STEP_OOM_SCORE = 7,
	STEP_RLIMIT = 8,
	STEP_GROUPS = 9,
	STEP_GID = 10,
	STEP_UID = 11,
	STEP_NO_NEW_PRIVS = 12,
	STEP_FOLDER = 13,
	STEP_EXEC = 14,
};

/* What the kernel lets the launcher do. */
enum feature {
	FEATURE_CLONE3 = 1, /* processes are born in their cgroup, with a pidfd */
	FEATURE_CGROUP = 2, /* every execution has a cgroup of its own */
};

enum start_flag {
	START_AS_USER = 1, /* uid, gid and groups are to be taken on */
	START_NO_NEW_PRIVS = 2,
	START_OOM_SCORE = 4, /* oom_score_adj is to be set */
	START_OOM_ONE = 8,   /* where memory runs out, one process is killed, not all of them */
	START_TMPDIR = 16,   /* where there is one for it, it stands in place of TMPDIR in the environment */
};

struct start_request {
	uint64_t credit;         /* bytes of output that may be sent before a CREDIT */
	uint64_t memory_max;     /* bytes; 0: no limit */
	uint32_t cpu_millicores; /* 1000: one core; 0: no limit */
	uint32_t pids_max;       /* processes and threads; 0: no limit */
	uint32_t flags;          /* of enum start_flag */
	uint32_t uid;
	uint32_t gid;
	uint32_t umask;
	int32_t oom_score_adj; /* -1000 to 1000 */
	uint32_t rlimits;      /* how many of each follow the struct */
	uint32_t groups;
	uint32_t argc; /* at least 1 */
	uint32_t envc;
	uint32_t zero;
};

/* Who ran out of memory where the kernel killed for it. */
enum oom {
	OOM_NONE = 0,
	OOM_OWN_LIMIT = 1,   /* the execution's memory_max */
	OOM_LIMIT_ABOVE = 2, /* a limit on a cgroup above */
	OOM_NODE = 3,        /* the machine */
};

struct ended_event {
	uint32_t exit_code;
	uint32_t signal;  /* that ended the leader; 0: it exited */
	uint64_t user_us; /* of the leader and what it waited for (getrusage(2)) */
	uint64_t system_us;
	uint64_t max_rss_kb;         /* of the largest of them */
	uint64_t cgroup_cpu_us;      /* of all processes; 0: no cgroup */
	uint64_t cgroup_memory_peak; /* bytes, of all processes together; 0: not known */
	uint32_t oom;                /* enum oom */
	uint32_t survivors;          /* what could not be killed within KILL_LIMIT_MS: so many processes */
	uint32_t oom_kills;          /* processes killed for memory with START_OOM_ONE */
	uint32_t zero;
};

/* How long a killed process may take to die: longer, and it hangs in the kernel. */
#define KILL_LIMIT_MS 4000

#endif
