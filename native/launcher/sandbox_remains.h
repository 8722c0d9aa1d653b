/* What executions leave in a sandbox. */
#ifndef SANDBOX_REMAINS_H
#define SANDBOX_REMAINS_H

#include "sandbox_maker.h"

#include <stdbool.h>
#include <stdint.h>

/* A folder in which the POSIX message queues of an IPC namespace are; -1: the kernel has none. */
int sandbox_open_queues(int ipc);

/* How many files and folders there are among its temporary files. */
uint64_t sandbox_inodes(const struct namespaces *namespaces);

/*
 * Removes those beyond so many where they are few, and answers whether any are left, or message queues, shared memory or
 * semaphores (sysvipc(7), mq_overview(7)).
 */
bool sandbox_keeps_remains(const struct namespaces *namespaces, uint64_t inodes);

#endif
