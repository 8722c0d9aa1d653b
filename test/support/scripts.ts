import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
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

/** Shell: waits until the gate that is argument `number` opens. */
export function awaitGate(number: number): string {
  return `until [ -e "$${number}" ]; do sleep 0.02; done`
}

/** What a function can be made to wait for: a file that the test makes. */
export class Gate {
  readonly path = join(makeTempDir('flux-gate-'), 'open')

  open(): void {
    writeFileSync(this.path, '')
  }
}
