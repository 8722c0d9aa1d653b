import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestAgent } from '../../harness/agent.js'
import { buildZip, PROGRAM, type ZipEntry } from '../../harness/zip.js'

/** The apps folder of a test agent whose functions run as its own user. */
export function appsOf(agent: Pick<TestAgent, 'dir'>): string {
  return join(agent.dir, 'state', 'apps')
}

/** Folders of a function's versions, and whatever else lies beside them but the name of the one that serves. */
export function versionsOf(agent: Pick<TestAgent, 'dir'>, name: string): string[] {
  const dir = join(appsOf(agent), name, 'versions')
  if (!existsSync(dir)) return []
  return readdirSync(dir).filter((entry) => entry !== 'current')
}

/** An archive whose `main.sh` is a shell script, with whatever else is given. */
export function scriptZip(lines: string, files: readonly ZipEntry[] = []): Buffer {
  return buildZip([{ name: 'main.sh', contents: `#!/bin/sh\n${lines}\n`, mode: PROGRAM }, ...files])
}
