import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'

/**
 * A server of sessions: reads a certificate beside it, writes to TMPDIR and HOME, starts a tree of six processes, serves
 * a port of the loopback, and prints as long as it lives. It answers `who` with its version, `quit` by ending itself.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(const char *folder, const char *name, const char *text)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder ? folder : "", name);
	FILE *file = fopen(path, "w");
	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
		perror(path);
		exit(8);
	}
	printf("wrote %s\\n", path);
}

static void start_tree(void)
{
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			if (i == 0)
				setsid();
			fork();
			for (;;)
				pause();
		}
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	char certificate[64] = "";
	FILE *file = fopen("certs/ca.pem", "r");
	if (file == NULL || fgets(certificate, sizeof certificate, file) == NULL) {
		perror("certs/ca.pem");
		return 7;
	}
	printf("certificate %s", certificate);
	char name[128];
	snprintf(name, sizeof name, "profile-%s", getenv("FLUX_EXECUTION_ID"));
	put(getenv("TMPDIR"), name, "profile");
	put(getenv("HOME"), name, "state");
	start_tree();

	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 16))
		return 9;
	getsockname(listener, (struct sockaddr *)&address, &length);
	printf("listening %d\\n", ntohs(address.sin_port));
	for (int tick = 0;; tick++) {
		struct pollfd ready = { .fd = listener, .events = POLLIN };
		if (poll(&ready, 1, 100) == 0) {
			printf("tick %d\\n", tick);
			continue;
		}
		int caller = accept(listener, NULL, NULL);
		char question[16] = "";
		read(caller, question, sizeof question - 1);
		dprintf(caller, "%s", VERSION);
		close(caller);
		if (strncmp(question, "quit", 4) == 0)
			break;
	}
	puts("bye");
	return 0;
}
`

const compile = (args: readonly string[]) =>
  spawnSync('cc', ['-static', '-O1', '-Wno-unused-result', ...args], { encoding: 'utf8' })

/** Why tests that need a static program are skipped; undefined where one can be compiled. */
export function noStaticPrograms(): string | undefined {
  const probe = join(makeTempDir('flux-session-'), 'probe')
  writeFileSync(`${probe}.c`, 'int main(void) { return 0; }')
  return compile(['-o', probe, `${probe}.c`]).status === 0 ? undefined : 'there is no compiler of static programs'
}

/** The program, whose answers name this version. */
export function compileSession(version: string): Buffer {
  const dir = makeTempDir('flux-session-')
  const source = join(dir, 'session.c')
  writeFileSync(source, SOURCE)
  const { status, stderr } = compile([`-DVERSION="${version}"`, '-o', join(dir, 'session'), source])
  if (status !== 0) throw new Error(`the session does not compile: ${stderr}`)
  return readFileSync(join(dir, 'session'))
}
