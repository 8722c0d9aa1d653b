#define _GNU_SOURCE
#include "sandboxes.h"

#include "checksum.h"
#include "list.h"
#include "protocol.h"
#include "request.h"
#include "sandbox_registry.h"
#include "sandbox_remains.h"
#include "sandbox_room.h"
#include "table.h"
#include "tmpdir.h"
#include "users_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * So many sandboxes are held for functions of which nothing runs, and more where there is memory for them: to make one anew
 * takes as long as a few starts, and each that is held takes the kernel some 40 KiB.
 */
#define IDLE_MIN 256
#define MEMORY_EACH (42u << 10)
#define SHARE_OF_MEMORY 200
/* With its file in the registry, and the folder of its executions. */
#define DESCRIPTORS_EACH (NAMESPACES_COUNT + 2)
#define PLAN_STRINGS 6

struct sandbox {
	struct hash_node by_uid;
	/* Among the idle or those that have been left, while nothing of its function runs. */
	struct list_node node;
	unsigned executions;
	/* Whether this launcher alone has it until it is tidied. */
	bool alone;
	/* Whether something has outlived its execution, and may still write. */
	bool haunted;
	/* Its file in the registry. */
	int file;
	/* Which sandbox it is, and its descriptors; 0: none. */
	uint64_t id;
	struct namespaces namespaces;
	/* The host's users that it has been given. */
	uint64_t users;
	struct tmpdirs *tmpdirs;
	/* The files in it when it was made. */
	uint64_t inodes;
};

/* What SANDBOXES has said, and a checksum of that. */
static char *text;
static struct sandbox_plan plan;
static const char *registry;
static uint64_t plan_id;
static struct table sandboxes;
static struct list idle;
/* Of which the last execution has ended. */
static struct list left;
static size_t idle_count;
static size_t idle_max;

/* ---- plan ---- */

static size_t by_memory(void)
{
	uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t count = bytes / SHARE_OF_MEMORY / MEMORY_EACH;
	return count < IDLE_MIN ? IDLE_MIN : count;
}

/* A quarter of them all; the rest are for what runs. */
static size_t by_descriptors(void)
{
	struct rlimit descriptors;
	if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0)
		return SIZE_MAX;
	return descriptors.rlim_cur / 4 / DESCRIPTORS_EACH;
}

bool sandboxes_configure(const unsigned char *payload, size_t length)
{
	struct sandboxes_request request;
	if (length <= sizeof request || text != NULL)
		return false;
	memcpy(&request, payload, sizeof request);
	size_t rest = length - sizeof request;
	text = malloc(rest);
	if (text == NULL)
		return false;
	memcpy(text, payload + sizeof request, rest);
	char *strings[PLAN_STRINGS];
	if (!find_strings(text, text + rest, strings, PLAN_STRINGS))
		return false;
	plan = (struct sandbox_plan){
		.program = strings[0],
		.user = strings[2],
		.home = strings[3],
		.apps = strings[4],
		.state = strings[5],
		.tmp_bytes = request.tmp_bytes,
		.disk_bytes = request.disk_bytes,
		.has_network = !(request.flags & SANDBOXES_NO_NETWORK),
	};
	registry = strings[1];
	plan_id = checksum(payload, length);
	users_open();
	idle_max = by_descriptors() < by_memory() ? by_descriptors() : by_memory();
	return true;
}

/* ---- the sandbox of a function ---- */

static uint64_t inode_of(const char *format, const char *folder, const char *function)
{
	char path[4096];
	struct stat found;
	snprintf(path, sizeof path, format, folder, function);
	return stat(path, &found) == 0 ? found.st_ino : 0;
}

/* Its code and home: a folder that is made anew is not seen in a sandbox that was made before. */
static uint64_t folders_id(const char *function)
{
	const uint64_t inodes[] = {
		inode_of("%s/%s", plan.apps, function),
		inode_of("%s/functions/homes/%s", plan.state, function),
	};
	return checksum_of(inodes, sizeof inodes / sizeof *inodes);
}

static void give_up(struct sandbox *sandbox)
{
	if (sandbox->tmpdirs != NULL)
		tmpdirs_leave_sandbox(sandbox->tmpdirs);
	sandbox->tmpdirs = NULL;
	if (sandbox->id != 0)
		namespaces_close(&sandbox->namespaces);
	sandbox->id = 0;
}

static void unregister(const struct sandbox *sandbox)
{
	registry_write(sandbox->file, &(struct registered){ 0 });
}

static void register_here(const struct sandbox *sandbox, uint64_t folders)
{
	const struct registered registered = {
		.id = sandbox->id,
		.plan = plan_id,
		.folders = folders,
		.users = sandbox->users,
		.inodes = sandbox->inodes,
		.pid = (uint32_t)getpid(),
		.namespaces = sandbox->namespaces,
	};
	registry_write(sandbox->file, &registered);
}

/* Takes over what another launcher holds, or makes it. False with errno. */
static bool acquire(struct sandbox *sandbox, const struct registered *found, uint32_t uid, const char *function,
		    uint64_t folders)
{
	give_up(sandbox);
	bool shared = found->id != 0 && found->plan == plan_id && found->folders == folders;
	bool taken_over = shared && registry_open_namespaces(found, &sandbox->namespaces);
	if (taken_over) {
		sandbox->users = found->users;
		sandbox->inodes = found->inodes;
	} else {
		sandbox->users = users_id();
		if (!sandbox_make(&plan, uid, function, &sandbox->namespaces))
			return false;
		sandbox->inodes = sandbox_inodes(&sandbox->namespaces);
	}
	sandbox->id = namespace_id(sandbox->namespaces.mount);
	sandbox->tmpdirs = tmpdirs_of_sandbox(sandbox->namespaces.executions, !taken_over, uid, uid);
	return true;
}

/* Whether it is the one that is registered, and made of what is there now. */
static bool is_current(const struct sandbox *sandbox, const struct registered *found, uint64_t folders)
{
	return found->id != 0 && found->id == sandbox->id && found->plan == plan_id && found->folders == folders;
}

/* Takes a sandbox and registers it here. Nobody else makes one meanwhile. False with errno. */
static bool take_registered(struct sandbox *sandbox, const char *function, uint64_t folders)
{
	uint32_t uid = (uint32_t)sandbox->by_uid.key;
	struct registered found = registry_read(sandbox->file);
	if (!is_current(sandbox, &found, folders) && !acquire(sandbox, &found, uid, function, folders))
		return false;
	register_here(sandbox, folders);
	return true;
}

/* Before the first of its executions here. False with errno. */
static bool enter_use(struct sandbox *sandbox, const char *function)
{
	uint64_t folders = folders_id(function);
	if (!registry_use(sandbox->file))
		return false;
	struct registered found = registry_read(sandbox->file);
	/* Registered by another launcher, it would be looked for there: then this one registers it. */
	if (is_current(sandbox, &found, folders) && found.pid == (uint32_t)getpid())
		return true;
	registry_leave(sandbox->file);
	if (!registry_lock(sandbox->file))
		return false;
	bool taken = registry_use(sandbox->file) && take_registered(sandbox, function, folders);
	int error = errno;
	if (!taken)
		registry_leave(sandbox->file);
	registry_unlock(sandbox->file);
	errno = error;
	return taken;
}

/* The last that leaves is alone, also where several leave at once: each tries again once it has let the others be alone. */
static bool is_last(const struct sandbox *sandbox)
{
	if (registry_use_alone(sandbox->file))
		return true;
	registry_leave(sandbox->file);
	return registry_use_alone(sandbox->file);
}

/* After the last of them, while nobody else has it. */
static void clean(struct sandbox *sandbox)
{
	if (sandbox->haunted || sandbox_keeps_remains(&sandbox->namespaces, sandbox->inodes)) {
		unregister(sandbox);
		give_up(sandbox);
		sandbox->haunted = false;
	}
	registry_leave(sandbox->file);
}

static struct sandbox *find_or_add(uint32_t uid)
{
	struct hash_node *node = table_find(&sandboxes, uid);
	if (node != NULL)
		return container_of(node, struct sandbox, by_uid);
	struct sandbox *sandbox = calloc(1, sizeof *sandbox);
	if (sandbox == NULL)
		return NULL;
	sandbox->file = registry_open(registry, uid);
	if (sandbox->file < 0) {
		int error = errno;
		free(sandbox);
		errno = error;
		return NULL;
	}
	table_add(&sandboxes, &sandbox->by_uid, uid);
	list_append(&idle, &sandbox->node);
	idle_count++;
	return sandbox;
}

/* Nobody must find it where its descriptors have been: those of another function's are there soon. */
static void unregister_here(const struct sandbox *sandbox)
{
	struct registered found = registry_read(sandbox->file);
	if (found.pid == (uint32_t)getpid())
		unregister(sandbox);
}

static void remove_idle(struct sandbox *sandbox)
{
	list_remove(&idle, &sandbox->node);
	idle_count--;
	table_remove(&sandboxes, &sandbox->by_uid);
	if (registry_lock(sandbox->file)) {
		unregister_here(sandbox);
		give_up(sandbox);
		registry_unlock(sandbox->file);
	}
	close(sandbox->file);
	free(sandbox);
}

struct sandbox *sandbox_take(uint32_t uid, const char *function)
{
	sandboxes_tidy();
	errno = EINVAL;
	struct sandbox *sandbox = text == NULL ? NULL : find_or_add(uid);
	if (sandbox == NULL)
		return NULL;
	if (sandbox->executions == 0) {
		if (!enter_use(sandbox, function))
			return NULL;
		list_remove(&idle, &sandbox->node);
		idle_count--;
	}
	sandbox->executions++;
	uint64_t users = users_id();
	if (users != sandbox->users) {
		sandbox_restore_users(&plan, uid, function, sandbox->namespaces.mount);
		sandbox->users = users;
	}
	return sandbox;
}

const struct namespaces *sandbox_namespaces(const struct sandbox *sandbox)
{
	return &sandbox->namespaces;
}

struct tmpdirs *sandbox_tmpdirs(const struct sandbox *sandbox)
{
	return sandbox->tmpdirs;
}

uint16_t sandbox_used_up(const struct sandbox *sandbox)
{
	bool has_image = sandbox->tmpdirs != NULL;
	return sandbox_room_used_up(&sandbox->namespaces, (uint32_t)sandbox->by_uid.key, has_image);
}

void sandbox_leave(struct sandbox *sandbox, bool survives)
{
	sandbox->haunted |= survives;
	if (--sandbox->executions > 0)
		return;
	sandbox->alone = is_last(sandbox);
	list_append(&left, &sandbox->node);
}

static void tidy(struct sandbox *sandbox)
{
	if (sandbox->alone)
		clean(sandbox);
	list_append(&idle, &sandbox->node);
	if (++idle_count > idle_max)
		remove_idle(container_of(idle.first, struct sandbox, node));
}

void sandboxes_tidy(void)
{
	while (left.first != NULL) {
		struct sandbox *sandbox = container_of(left.first, struct sandbox, node);
		list_remove(&left, &sandbox->node);
		tidy(sandbox);
	}
}
