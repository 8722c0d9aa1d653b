import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../../harness/agent.js'
import type { Finding } from '../../../src/cli/doctor/finding.js'
import { runCli } from '../../support/cli.js'

/** What doctor has found. */
export interface Examination {
  readonly code: number | null
  readonly findings: readonly Finding[]
  find(subject: string): Finding | undefined
}

/** What doctor says of a configuration that is right but for these keys. */
export async function examine(
  keys: Record<string, unknown> = {},
  dir = makeTempDir('flux-agent-doctor-'),
): Promise<Examination> {
  const config = {
    agent_id: 'a',
    host: '127.0.0.1',
    port: 0,
    redis_addr: 'embedded',
    run_as: 'self',
    state_dir: join(dir, 'state'),
    ...keys,
  }
  const file = join(dir, 'agent.yaml')
  writeFileSync(file, JSON.stringify(config))
  const { code, stdout } = await runCli(['doctor', '--json', '--config', file])
  const findings: Finding[] = JSON.parse(stdout.toString())
  return { code, findings, find: (subject) => findings.find((finding) => finding.subject === subject) }
}
