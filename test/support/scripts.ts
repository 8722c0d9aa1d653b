import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { constants, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'
import type { Calls } from '../../harness/calls.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { FunctionConfig } from '../../src/generated/flux/FunctionConfig.js'

/** Deploys a shell script together with files that lie in its working directory. */
export async function deployWithFiles(
  calls: Calls,
  name: string,
  lines: string,
  files: Readonly<Record<string, Buffer>>,
  config: Omit<FunctionConfig, 'name' | 'handler'> = {},
): Promise<void> {
  const script = { name: 'main.sh', contents: `#!/bin/sh\n${lines}\n`, mode: PROGRAM }
  const data = Object.entries(files).map(([file, contents]) => ({ name: file, contents, stored: true }))
  const ack = await calls.deploy(name, buildZip([script, ...data]), { ...config, name, handler: 'main.sh' })
  assert.equal(ack.success, true, ack.message)
}

/** Shell: waits until the gate that is argument `number` opens, without a look at it again and again. */
export function awaitGate(number: number): string {
  return `read -r _ <"$${number}"`
}

/** Without a launcher executions share TMPDIR. */
const TOLD = '"$TMPDIR/told-$FLUX_EXECUTION_ID"'

/** Shell: tells another process of the same execution that it has come so far. */
export const TELL = `echo >>${TOLD}`

/** Shell: waits until `times` were told. */
export function awaitTold(times: number): string {
  return `until [ "$(cat ${TOLD} 2>/dev/null | wc -l)" -ge ${times} ]; do sleep 0.02; done`
}

/** More than ever wait at one gate; so little always fits into a pipe. */
const MOST_WAITING = 4_000

/** What functions can be made to wait for: a named pipe with a line for each of them, now and later. */
export class Gate {
  readonly path = join(makeTempDir('flux-gate-'), 'gate')

  constructor() {
    execFileSync('mkfifo', [this.path])
  }

  open(): void {
    // Stays open as long as this process: else its lines would go.
    writeSync(openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK), '\n'.repeat(MOST_WAITING))
  }
}
