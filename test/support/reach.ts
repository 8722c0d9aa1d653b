import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { makeTempDir } from '../../harness/agent.js'
import { onExit } from '../../harness/on-exit.js'
import type { UidRange } from '../../src/os/platform.js'

const SOURCE = fileURLToPath(new URL('../../../test/support/reach.c', import.meta.url))
const run = promisify(execFile)

/** Why tests of the firewall are skipped; undefined where this process may change it. In CI they are never skipped. */
export const noFirewall: string | undefined =
  process.env['CI'] || (process.getuid?.() === 0 && spawnSync('nft', ['list', 'tables']).status === 0)
    ? undefined
    : 'only root can change the firewall, by nft'

/** User ids that nobody has, nor a test that was killed and has left its rules. */
export function someUids(): UidRange {
  const first = 2_130_000_000 + (process.pid % 1_000_000) * 10
  return { first, last: first + 9 }
}

/** The output of nft, which has to succeed. */
export function nft(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('nft', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`nft ${args.join(' ')}: ${stderr}`)
  return stdout
}

export function hasTable(name: string): boolean {
  return nft('list', 'tables').includes(`table inet ${name}\n`)
}

export type Kind = 'tcp' | 'mptcp' | 'udp' | 'userns'

/** A program that tries the network as other users; see reach.c. */
export class Reach {
  private readonly program = join(makeTempDir('flux-reach-'), 'reach')

  constructor() {
    const { status, stderr } = spawnSync('cc', ['-O1', '-Wall', '-o', this.program, SOURCE], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }

  /** `ok`, or the name of the error. */
  async try(uid: number, kind: Kind, address: string, port: number): Promise<string> {
    const { stdout } = await run(this.program, [String(uid), kind, address, String(port)], { timeout: 10_000 })
    return stdout.trim()
  }

  /** The port of a server of that user, which ends with this process. */
  async server(uid: number): Promise<number> {
    const child: ChildProcess = spawn(this.program, [String(uid), 'serve'], { stdio: ['pipe', 'pipe', 'inherit'] })
    onExit(() => child.kill('SIGKILL'))
    const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data')
    child.unref()
    for (const pipe of [child.stdin, child.stdout]) (pipe as Socket).unref()
    return Number(line)
  }
}
