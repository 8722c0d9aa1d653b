import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { onExit } from '../../harness/on-exit.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const CLIENTS = join(ROOT, 'test/support/standard_clients.py')

/** Why tests with Python's gRPC are skipped; undefined in CI, which installs it. */
export const noPython: string | undefined = process.env['CI'] ? undefined : 'installs packages of Python; runs in CI'

let folder: string | undefined

/** Where its packages are, which are installed first. */
function packages(): string {
  if (folder !== undefined) return folder
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts/python-grpc.mjs')], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`gRPC of Python cannot be installed: ${stderr}`)
  folder = stdout.trim()
  return folder
}

/** A command of standard_clients.py, from its first line of output to its end. */
export interface PythonClient {
  /** Its lines so far. */
  readonly lines: readonly string[]
  /** All that it has printed, once it has ended well. */
  readonly printed: Promise<string>
}

export function startPython(...args: readonly string[]): PythonClient {
  const client = spawn('python3', [CLIENTS, ...args], {
    env: { ...process.env, PYTHONPATH: packages(), PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onExit(() => client.kill('SIGKILL'))
  const lines: string[] = []
  createInterface(client.stdout).on('line', (line) => lines.push(line))
  const printed = Promise.all([once(client, 'close'), text(client.stderr)]).then(([[code], errors]) => {
    if (code !== 0) throw new Error(`standard_clients.py ended with ${code}: ${errors}`)
    return lines.join('\n')
  })
  return { lines, printed }
}
