/*
 * attack WHAT …: what one function may try against another, where no shell can. Exits with 0 where it has succeeded;
 * otherwise it says the error. `hold` is the other function: it holds what others try to reach, until it is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define EVERYBODY 0666
#define SEGMENT_BYTES 4096

/* ---- names that both sides know ---- */

static key_t number_of(const char *name)
{
	return (key_t)strtoul(name, NULL, 16);
}

static const char *slashed(const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof path, "/%s", name);
	return path;
}

static int socket_of(const char *name, int (*use)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return use(fd, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}

static int open_port(int port)
{
	const int on = 1;
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 8) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		return -1;
	return ntohs(address.sin_port);
}

/* ---- the attacked ---- */

static void need(const char *what, long result)
{
	if (result >= 0)
		return;
	perror(what);
	exit(2);
}

static int hold_socket(int fd, const struct sockaddr *address, socklen_t length)
{
	return bind(fd, address, length) == 0 ? listen(fd, 8) : -1;
}

static _Noreturn void hold(const char *name)
{
	umask(0);
	key_t key = number_of(name);
	need("shmget", shmget(key, SEGMENT_BYTES, IPC_CREAT | EVERYBODY));
	need("semget", semget(key, 1, IPC_CREAT | EVERYBODY));
	need("msgget", msgget(key, IPC_CREAT | EVERYBODY));
	need("mq_open", mq_open(slashed(name), O_RDWR | O_CREAT, EVERYBODY, NULL));
	need("socket", socket_of(name, hold_socket));
	long secret = syscall(SYS_add_key, "user", name, "secret", (size_t)6, KEY_SPEC_USER_KEYRING);
	need("add_key", secret);
	int port = open_port(0);
	need("listen", port);
	printf("PORT=%d\nheld %ld\n", port, secret);
	fflush(stdout);
	for (;;)
		pause();
}

/* Ends what outlives the process that made it. */
static int forget(const char *name)
{
	key_t key = number_of(name);
	shmctl(shmget(key, 0, 0), IPC_RMID, NULL);
	semctl(semget(key, 0, 0), 0, IPC_RMID);
	msgctl(msgget(key, 0), IPC_RMID, NULL);
	mq_unlink(slashed(name));
	return 0;
}

/* ---- attacks on a process ---- */

static long by_pidfd(const char *pid, const char *signal)
{
	long fd = syscall(SYS_pidfd_open, atoi(pid), 0);
	return fd < 0 ? fd : syscall(SYS_pidfd_send_signal, (int)fd, atoi(signal), NULL, 0);
}

/* Has the kernel send a signal to the owner of a descriptor (F_SETOWN of fcntl(2)). */
static long by_owner(const char *pid, const char *signal)
{
	int ends[2];
	if (pipe(ends) != 0 || fcntl(ends[0], F_SETOWN, atoi(pid)) != 0 ||
	    fcntl(ends[0], F_SETSIG, atoi(signal)) != 0 || fcntl(ends[0], F_SETFL, O_ASYNC) != 0)
		return -1;
	return write(ends[1], "", 1);
}

static long take_descriptor(const char *pid, const char *fd)
{
	long process = syscall(SYS_pidfd_open, atoi(pid), 0);
	return process < 0 ? process : syscall(SYS_pidfd_getfd, (int)process, atoi(fd), 0);
}

static long attach(const char *pid, const char *unused)
{
	(void)unused;
	return ptrace(PTRACE_ATTACH, atoi(pid), NULL, NULL);
}

static long seize(const char *pid, const char *unused)
{
	(void)unused;
	return ptrace(PTRACE_SEIZE, atoi(pid), NULL, NULL);
}

static long compare(const char *pid, const char *unused)
{
	(void)unused;
	return syscall(SYS_kcmp, getpid(), atoi(pid), KCMP_VM, 0, 0);
}

static long move_byte(const char *pid, const char *address, bool writes)
{
	char byte = 0;
	struct iovec own = { &byte, 1 };
	struct iovec other = { (void *)(uintptr_t)strtoull(address, NULL, 16), 1 };
	return writes ? process_vm_writev(atoi(pid), &own, 1, &other, 1, 0)
		      : process_vm_readv(atoi(pid), &own, 1, &other, 1, 0);
}

static long read_memory(const char *pid, const char *address)
{
	return move_byte(pid, address, false);
}

static long write_memory(const char *pid, const char *address)
{
	return move_byte(pid, address, true);
}

static long read_memory_file(const char *pid, const char *address)
{
	char path[64];
	char byte;
	snprintf(path, sizeof path, "/proc/%s/mem", pid);
	int fd = open(path, O_RDWR);
	return fd < 0 ? fd : pread(fd, &byte, 1, (off_t)strtoull(address, NULL, 16));
}

/* ---- attacks on what a process holds ---- */

static long read_segment(const char *name, const char *unused)
{
	(void)unused;
	int id = shmget(number_of(name), 0, 0);
	return id < 0 || shmat(id, NULL, 0) == (void *)-1 ? -1 : 0;
}

static long use_semaphore(const char *name, const char *unused)
{
	(void)unused;
	int id = semget(number_of(name), 0, 0);
	return id < 0 ? id : semctl(id, 0, SETVAL, 1);
}

static long take_message(const char *name, const char *unused)
{
	(void)unused;
	const struct {
		long type;
		char text[4];
	} message = { 1, "evil" };
	int id = msgget(number_of(name), 0);
	return id < 0 ? id : msgsnd(id, &message, sizeof message.text, IPC_NOWAIT);
}

static long open_queue(const char *name, const char *unused)
{
	(void)unused;
	return mq_open(slashed(name), O_RDWR);
}

static long connect_to(const char *name, const char *unused)
{
	(void)unused;
	return socket_of(name, connect);
}

static long take_name(const char *name, const char *unused)
{
	(void)unused;
	return socket_of(name, hold_socket);
}

/* A server may let others of its user listen at its port, too (SO_REUSEPORT of socket(7)). */
static long share_port(const char *port, const char *unused)
{
	(void)unused;
	return open_port(atoi(port));
}

static long find_key(const char *name, const char *unused)
{
	(void)unused;
	return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", name, 0);
}

static long read_key(const char *number, const char *unused)
{
	(void)unused;
	char secret[16];
	/* It must be in a keyring of this process's to be read. */
	syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING);
	return syscall(SYS_keyctl, KEYCTL_READ, atol(number), secret, sizeof secret);
}

/* Keys of a user stay when its last process has ended. */
static long clear_keys(const char *keyring, const char *unused)
{
	(void)keyring, (void)unused;
	return syscall(SYS_keyctl, KEYCTL_CLEAR, KEY_SPEC_USER_KEYRING);
}

static long take_lease(const char *path, const char *unused)
{
	(void)unused;
	int fd = open(path, O_RDONLY);
	return fd < 0 ? fd : fcntl(fd, F_SETLEASE, F_WRLCK);
}

/* ---- using things up: as many as it is told, of which it holds those that there are where there are less ---- */

static long inotify(void)
{
	return inotify_init();
}

static long process(void)
{
	pid_t pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static long key(void)
{
	static int number;
	char name[32];
	snprintf(name, sizeof name, "key %d.%d", getpid(), number++);
	return syscall(SYS_add_key, "user", name, "1", (size_t)1, KEY_SPEC_USER_KEYRING);
}

static long signal_in_queue(void)
{
	return sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 });
}

/* Of which a user may have some megabytes together. */
static long pipe_buffer(void)
{
	int ends[2];
	return pipe(ends) != 0 ? -1 : fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
}

static long message_queue(void)
{
	static int number;
	char name[64];
	snprintf(name, sizeof name, "/%d.%d", getpid(), number++);
	mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	int error = errno;
	mq_unlink(name);
	errno = error;
	return queue;
}

struct use {
	const char *what;
	long (*make)(void);
};

static const struct use uses[] = {
	{ "inotify", inotify },        { "process", process },  { "key", key },
	{ "signal", signal_in_queue }, { "pipe", pipe_buffer }, { "queue", message_queue },
};

static int use_up(const char *what, long most)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
		if (strcmp(uses[i].what, what) != 0)
			continue;
		long made = 0;
		while (made < most && uses[i].make() >= 0)
			made++;
		printf("made %ld: %s\n", made, made < most ? strerror(errno) : "all");
		fflush(stdout);
		if (made == most)
			return 0;
		if (most == 1)
			return 1;
		for (;;)
			pause();
	}
	return 2;
}

struct attack {
	const char *name;
	long (*run)(const char *, const char *);
};

static const struct attack attacks[] = {
	{ "pidfd-signal", by_pidfd },
	{ "owner-signal", by_owner },
	{ "take-descriptor", take_descriptor },
	{ "attach", attach },
	{ "seize", seize },
	{ "compare", compare },
	{ "read-memory", read_memory },
	{ "write-memory", write_memory },
	{ "memory-file", read_memory_file },
	{ "segment", read_segment },
	{ "semaphore", use_semaphore },
	{ "message", take_message },
	{ "queue", open_queue },
	{ "connect", connect_to },
	{ "share-port", share_port },
	{ "find-key", find_key },
	{ "read-key", read_key },
	{ "clear-keys", clear_keys },
	{ "lease", take_lease },
	{ "take-name", take_name },
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "hold") == 0)
		hold(argv[2]);
	if (strcmp(argv[1], "forget") == 0)
		return forget(argv[2]);
	if (strcmp(argv[1], "use-up") == 0)
		return use_up(argv[2], argc > 3 ? atol(argv[3]) : 1);
	for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
		if (strcmp(attacks[i].name, argv[1]) != 0)
			continue;
		if (attacks[i].run(argv[2], argc > 3 ? argv[3] : NULL) >= 0)
			return 0;
		perror(argv[1]);
		return 1;
	}
	fprintf(stderr, "%s is no attack\n", argv[1]);
	return 2;
}
