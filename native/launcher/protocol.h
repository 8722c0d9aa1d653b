/*
 * The protocol between the agent and its launcher. TypeScript gets these numbers, sizes and offsets from this file (see
 * scripts/launcher-protocol.mjs): there is no second copy to keep in step.
 *
 * Requests arrive on the launcher's standard input, events leave on its standard output. Both are frames: a header
 * (struct frame) and a payload. All numbers are little-endian. When standard input closes, the launcher kills everything
 * it has started and exits with status 0. When a frame breaks these rules, it says so on standard error, kills everything
 * and exits with status 2.
 *
 * A frame's id names an execution. The sender of START chooses it; it must not be the id of an execution that is alive.
 * An execution is alive from START to ENDED or FAILED, exactly one of which comes. A request for an execution that is not
 * alive is ignored: the execution may have ended while the request was on its way.
 *
 * Requests
 *
 *     START      struct start_request, then
 *                struct rlimit_request [rlimits]
 *                u32 [groups]        supplementary groups
 *                strings, each ended by NUL, that fill the rest of the payload: file, folder, argv…, environment…
 *     KILL       no payload. Kills the process group and the cgroup by SIGKILL; ENDED follows once they are dead. An
 *                execution that has not been started yet never will be: FAILED follows, with STEP_CANCELLED.
 *     CREDIT     u64 bytes of output that may be sent in addition to those allowed so far.
 *     LIST       no payload. Answered by LISTED with the same id.
 *
 * Events
 *
 *     READY      struct ready_event. The first event, once, with id 0.
 *     STARTED    struct started_event. The program has been executed. It may be held back for 1 ms, to be sent together
 *                with other events.
 *     OUTPUT     u64 offset, then bytes of stdout and stderr in the order written.
 *     ENDED      struct ended_event, then u32 [pids] of survivors. The leader is dead, and so is everything else but the
 *                survivors. No OUTPUT follows.
 *     FAILED     struct failed_event, then u32 [pids] of survivors. The program was not started, or was killed because
 *                its start was cancelled. No OUTPUT has been sent.
 *     LISTED     struct listed_event [executions that run]
 *
 * While an execution runs, no more output is read from it than its credit allows. Once it has ended, what is left in its
 * pipe is sent whatever its credit.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 2
/* ENDED and FAILED name no more survivors than this. */
#define SURVIVORS_TOLD_MAX 16
/* 8 MiB: more than the kernel takes as arguments and environment of one program (execve(2)). */
#define PAYLOAD_MAX 8388608
/* A killed process that is not dead after this time hangs in the kernel. */
#define KILL_LIMIT_MS 4000

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

/* Where a start failed. */
enum step {
	STEP_REQUEST = 1,   /* the payload of START is malformed */
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
	FEATURE_CGROUP = 2, /* every execution has its own cgroup */
};

enum start_flag {
	START_AS_USER = 1,      /* take on uid, gid and groups */
	START_NO_NEW_PRIVS = 2, /* set no_new_privs (prctl(2)) */
	START_OOM_SCORE = 4,    /* set oom_score_adj */
	START_OOM_ONE = 8,      /* out of memory kills one process, not all of the execution */
	START_TMPDIR = 16,      /* make a folder for temporary files, and replace TMPDIR in the environment by it */
};

/* Who ran out of memory when the kernel killed for it. */
enum oom {
	OOM_NONE = 0,
	OOM_OWN_LIMIT = 1,   /* the execution's memory_max */
	OOM_LIMIT_ABOVE = 2, /* the limit of a cgroup above */
	OOM_NODE = 3,        /* the machine */
};

struct frame {
	uint32_t length; /* of the payload, bytes */
	uint32_t type;   /* enum frame_type */
	uint64_t id;
};

struct start_request {
	uint64_t credit;         /* bytes of output that may be sent before the first CREDIT */
	uint64_t memory_max;     /* bytes; 0: no limit */
	uint32_t cpu_millicores; /* 1000: one core; 0: no limit */
	uint32_t pids_max;       /* processes and threads; 0: no limit */
	uint32_t flags;          /* of enum start_flag */
	uint32_t uid;
	uint32_t gid;
	uint32_t umask;
	int32_t oom_score_adj; /* -1000 to 1000 */
	uint32_t rlimits;      /* how many follow */
	uint32_t groups;       /* how many follow */
	uint32_t argc;         /* at least 1 */
	uint32_t envc;
	uint32_t zero;
};

/* UINT64_MAX: no limit. Limits above the launcher's own are lowered to those. */
struct rlimit_request {
	uint64_t resource; /* getrlimit(2) */
	uint64_t soft;
	uint64_t hard;
};

struct ready_event {
	uint32_t version;  /* PROTOCOL_VERSION */
	uint32_t features; /* of enum feature */
};

struct started_event {
	uint32_t pid;
	uint32_t zero;
};

struct output_event {
	uint64_t offset; /* bytes of output sent before */
};

struct ended_event {
	uint32_t exit_code;
	uint32_t signal;             /* that ended the leader; 0: it exited */
	uint64_t user_us;            /* of the leader and the children it waited for (getrusage(2)) */
	uint64_t system_us;          /* the same */
	uint64_t max_rss_kb;         /* of the largest of them */
	uint64_t cgroup_cpu_us;      /* of all processes; 0: no cgroup */
	uint64_t cgroup_memory_peak; /* bytes, of all processes together; 0: unknown */
	uint32_t oom;                /* enum oom */
	uint32_t survivors;          /* processes still alive KILL_LIMIT_MS after they were killed */
	uint32_t oom_kills;          /* processes killed for memory, with START_OOM_ONE */
	uint32_t zero;
};

struct failed_event {
	uint32_t step;  /* enum step */
	uint32_t error; /* errno */
};

struct listed_event {
	uint64_t id;
	uint64_t offset; /* of its next OUTPUT */
	uint32_t pid;
	uint32_t zero;
};

/* Each is as large as its fields together, so it has no padding, and its fields' sizes alone give their offsets. */
_Static_assert(sizeof(struct frame) == 16, "struct frame");
_Static_assert(sizeof(struct start_request) == 64, "struct start_request");
_Static_assert(sizeof(struct rlimit_request) == 24, "struct rlimit_request");
_Static_assert(sizeof(struct ready_event) == 8, "struct ready_event");
_Static_assert(sizeof(struct started_event) == 8, "struct started_event");
_Static_assert(sizeof(struct output_event) == 8, "struct output_event");
_Static_assert(sizeof(struct ended_event) == 64, "struct ended_event");
_Static_assert(sizeof(struct failed_event) == 8, "struct failed_event");
_Static_assert(sizeof(struct listed_event) == 24, "struct listed_event");
/* The lists behind a struct are read where they stand in the payload. */
_Static_assert(sizeof(struct start_request) % _Alignof(struct rlimit_request) == 0, "rlimits are aligned");
_Static_assert(sizeof(struct rlimit_request) % _Alignof(uint32_t) == 0, "groups are aligned");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are copied as they are");
_Static_assert(PAYLOAD_MAX + sizeof(struct frame) <= UINT32_MAX, "a frame's length fits into its header");

#endif
