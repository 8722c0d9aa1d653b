import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'

const SOURCE = `
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const char *what, long result)
{
	printf("%s: %s\\n", what, result < 0 ? strerror(errno) : "done");
}

static void trace(pid_t pid)
{
	char byte;
	struct iovec own = { &byte, 1 }, other = { &byte, 1 };
	tell("attach", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	tell("seize", ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	tell("read", process_vm_readv(pid, &own, 1, &other, 1, 0));
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "fds") == 0)
		for (int fd = 0; fd < 65536; fd++)
			if (fcntl(fd, F_GETFD) >= 0)
				printf("%d\\n", fd);
	if (argc > 1 && strcmp(argv[1], "trace") == 0)
		for (int i = 2; i < argc; i++)
			trace(atoi(argv[i]));
	/* Whoever may trace its own child has a kernel that lets programs trace others at all. */
	if (argc > 1 && strcmp(argv[1], "trace-child") == 0) {
		pid_t pid = fork();
		if (pid == 0)
			pause();
		tell("attach", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
		kill(pid, SIGKILL);
	}
}
`

/** Why tests that need the probe are skipped; undefined where it can be compiled. */
export const noProbe: string | undefined =
  spawnSync('cc', ['--version']).status === 0 ? undefined : 'there is no C compiler'

/** A program that does what no shell can: `fds` prints its open descriptors, `trace PID…` tries to trace processes. */
export function compileProbe(): Buffer {
  const dir = makeTempDir('flux-probe-')
  const source = join(dir, 'probe.c')
  writeFileSync(source, SOURCE)
  const { status, stderr } = spawnSync('cc', ['-o', join(dir, 'probe'), source], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the probe does not compile: ${stderr}`)
  return readFileSync(join(dir, 'probe'))
}
