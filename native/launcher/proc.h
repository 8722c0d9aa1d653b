/* Files of a process in /proc. */
#ifndef PROC_H
#define PROC_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/types.h>

/* Opens /proc/PID/PATH; -1 with errno. */
static inline int proc_open(pid_t pid, const char *path, int flags)
{
	char full[64];
	snprintf(full, sizeof full, "/proc/%d/%s", (int)pid, path);
	return open(full, flags | O_CLOEXEC);
}

#endif
