/*
 * The protocol between the agent and its launchers. TypeScript gets these numbers, sizes and offsets from this file (see
 * scripts/launcher-protocol.mjs): there is no second copy to keep in step.
 *
 * A launcher has one connection at a time. The first is its standard input, for requests, and its standard output, for
 * events; the end of either is the end of both. Where the launcher was given a socket, it survives that: the next
 * connection comes over the socket, from the user that the launcher runs as. While it has a connection, it closes every
 * other at once.
 *
 * Both ways go frames: a header (struct frame) and a payload. All numbers are little-endian. When a frame breaks these
 * rules, the launcher says so on standard error, kills everything and exits with status 2.
 *
 * A frame's id names an execution. The sender of START chooses it; it must not be the id of an execution that is known.
 * An execution is known from START to ENDED or FAILED, exactly one of which comes; one with START_KEPT is known to FORGET.
 * A request for an execution that is not known is ignored: it may have ended while the request was on its way.
 *
 * Executions with START_KEPT outlive a connection. Their output is kept until CREDIT says that it is safe, and their end
 * until FORGET. An execution is attached to the connection that brought its START or ATTACH; of one that is not attached
 * nothing is sent. When a connection ends, the launcher serves the requests that have come whole, kills the executions
 * without START_KEPT, which are known no more, and goes on with the others.
 *
 * It exits with status 0, having killed everything, after LEAVE, or without a connection: once nothing is known any more,
 * or after SURVIVE_MS (see launcher.c). A launcher without a socket does so when its connection ends; as long as its
 * standard output is read, it tells what becomes of the executions.
 *
 * Requests
 *
 *     START      struct start_request, then
 *                struct rlimit_request [rlimits]
 *                u32 [groups]        supplementary groups
 *                strings, each ended by NUL: file, folder, argv…, environment…, with START_SANDBOX the function's name
 *                the note, which fills the rest of the payload: any bytes, for LISTED
 *                One that does not follow these rules is answered by FAILED, with STEP_REQUEST, and is not known.
 *     KILL       u32 cause, for LISTED, ENDED and FAILED unless there was a cause before. Kills the process group and the
 *                cgroup by SIGKILL; ENDED follows once they are dead. An execution that has not been started yet never
 *                will be: FAILED follows, with STEP_CANCELLED. Does nothing, and is no cause, once the leader has ended.
 *     CREDIT     u64 bytes of output that may be sent in addition to those allowed so far. With START_KEPT: the first so
 *                many bytes that are kept are safe, and no longer kept. All of them must have been sent by this connection.
 *     LIST       no payload. Answered by LISTED for each execution that is known, and LIST_END with the LIST's id.
 *     ATTACH     u64 offset, from which on its output is sent: not before the first byte that is kept, nor after the end
 *                of the output so far. The bytes before it are safe; CREDIT counts from it. As after START, STARTED comes
 *                first, once its program has been executed. Only for executions with START_KEPT that are not attached.
 *     FORGET     no payload. The end of an execution with START_KEPT is safe, and so is its output. Only once it has
 *                ended or failed, attached or not.
 *     LEAVE      no payload. Kills everything, which is told as usual to this connection, and exits with status 0.
 *     SANDBOXES  struct sandboxes_request, then strings, each ended by NUL: the program that makes a sandbox, the folder of
 *                the registry, the name and home of the user that functions take themselves for, the folder of their code,
 *                and the agent's state folder. Once, before the first START with START_SANDBOX.
 *
 * Events
 *
 *     READY      struct ready_event. The first event of each connection, once, with id 0.
 *     STARTED    struct started_event. The program has been executed. It may be held back for 1 ms, to be sent together
 *                with other events.
 *     OUTPUT     u64 offset, then bytes of stdout and stderr in the order written.
 *     ENDED      struct ended_event, then u32 [pids] of survivors. The leader is dead, and so is everything else but the
 *                survivors. No OUTPUT follows.
 *     FAILED     struct failed_event, then u32 [pids] of survivors. The program was not started, or was killed because
 *                its start was cancelled. No OUTPUT has been sent.
 *     LISTED     struct listed_event, then the note. Its id is the execution's.
 *     LIST_END   no payload
 *
 * While an execution runs, no more output is read from it than its credit allows, and with START_KEPT none while as much
 * is kept as the launcher keeps in all. Once it has ended, what is left in its pipe is sent whatever its credit.
 *
 * Frames, READY and LEAVE are the same in all versions from 3 on, so that any agent can end any launcher.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 4
/* What runs in a launcher of a version from this one on can be taken over: what that takes is the same since. */
#define PROTOCOL_ADOPTED_FROM 3
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
	FRAME_ATTACH = 5,
	FRAME_FORGET = 6,
	FRAME_LEAVE = 7,
	FRAME_SANDBOXES = 8,
	FRAME_READY = 16,
	FRAME_STARTED = 17,
	FRAME_OUTPUT = 18,
	FRAME_ENDED = 19,
	FRAME_FAILED = 20,
	FRAME_LISTED = 21,
	FRAME_LIST_END = 22,
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
	STEP_SANDBOX = 15, /* it cannot be made; why is on standard error */
	STEP_JOIN = 16,    /* it cannot be joined */
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
	START_KEPT = 32,        /* outlives its connection */
	START_SANDBOX = 64,     /* joins its function's sandbox, with START_AS_USER */
};

/* Why an execution was killed. The agent has causes of its own, from CAUSE_OWN on. */
enum cause {
	CAUSE_NONE = 0,
	CAUSE_TIMEOUT = 1, /* it ran for timeout_ms */
	CAUSE_OWN = 2,
};

enum sandboxes_flag {
	SANDBOXES_NO_NETWORK = 1, /* functions have no network but a loopback of their own */
};

enum listed_state {
	LISTED_STARTING = 1,
	LISTED_RUNNING = 2,
	LISTED_ENDED = 3, /* kept until FORGET */
};

/* Who ran out of memory when the kernel killed for it. */
enum oom {
	OOM_NONE = 0,
	OOM_OWN_LIMIT = 1,   /* the execution's memory_max */
	OOM_LIMIT_ABOVE = 2, /* the limit of a cgroup above */
	OOM_NODE = 3,        /* the machine */
};

/* What a function has used up of its room when the leader of an execution with START_SANDBOX fails. */
enum used_up {
	USED_UP_TMP = 1,  /* the tmp_bytes of SANDBOXES */
	USED_UP_DISK = 2, /* its disk_bytes */
};

struct frame {
	uint32_t length; /* of the payload, bytes */
	uint32_t type;   /* enum frame_type */
	uint64_t id;
};

struct start_request {
	uint64_t credit;         /* bytes of output that may be sent before the first CREDIT */
	uint64_t memory_max;     /* bytes; 0: no limit */
	uint64_t timeout_ms;     /* from STARTED, after which it is killed; 0: never */
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
	uint32_t note; /* its bytes */
};

/* UINT64_MAX: no limit. Limits above the launcher's own are lowered to those. */
struct rlimit_request {
	uint64_t resource; /* getrlimit(2) */
	uint64_t soft;
	uint64_t hard;
};

struct sandboxes_request {
	uint64_t tmp_bytes;  /* what a function may keep in /tmp and its like */
	uint64_t disk_bytes; /* what it may keep on disk; 0: no limit */
	uint32_t flags;      /* of enum sandboxes_flag */
	uint32_t zero;
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
	uint64_t duration_us;        /* from START until all of it was dead, or given up */
	uint16_t oom;                /* enum oom */
	uint16_t used_up;            /* of enum used_up, where it was killed for no cause; 0 in version 3 */
	uint32_t survivors;          /* processes still alive KILL_LIMIT_MS after they were killed */
	uint32_t oom_kills;          /* processes killed for memory, with START_OOM_ONE */
	uint32_t cause;              /* of enum cause */
};

struct failed_event {
	uint32_t step;  /* enum step */
	uint32_t error; /* errno */
	uint32_t cause; /* of enum cause */
	uint32_t zero;
};

struct listed_event {
	uint64_t kept;   /* offset of the first byte that is kept; the same as the next where nothing is */
	uint64_t offset; /* of the end of its output so far */
	uint64_t age_ms; /* since START; of an ended one, until its end */
	uint32_t pid;    /* of the leader; 0: its program has not been executed */
	uint32_t state;  /* enum listed_state */
	uint32_t cause;  /* of enum cause */
	uint32_t flags;  /* of enum start_flag */
};

/* Each is as large as its fields together, so it has no padding, and its fields' sizes alone give their offsets. */
_Static_assert(sizeof(struct frame) == 16, "struct frame");
_Static_assert(sizeof(struct start_request) == 72, "struct start_request");
_Static_assert(sizeof(struct rlimit_request) == 24, "struct rlimit_request");
_Static_assert(sizeof(struct sandboxes_request) == 24, "struct sandboxes_request");
_Static_assert(sizeof(struct ready_event) == 8, "struct ready_event");
_Static_assert(sizeof(struct started_event) == 8, "struct started_event");
_Static_assert(sizeof(struct output_event) == 8, "struct output_event");
_Static_assert(sizeof(struct ended_event) == 72, "struct ended_event");
_Static_assert(sizeof(struct failed_event) == 16, "struct failed_event");
_Static_assert(sizeof(struct listed_event) == 40, "struct listed_event");
/* The lists behind a struct are read where they stand in the payload. */
_Static_assert(sizeof(struct start_request) % _Alignof(struct rlimit_request) == 0, "rlimits are aligned");
_Static_assert(sizeof(struct rlimit_request) % _Alignof(uint32_t) == 0, "groups are aligned");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are copied as they are");
_Static_assert(PAYLOAD_MAX + sizeof(struct frame) <= UINT32_MAX, "a frame's length fits into its header");

#endif
