import { type ExecFileException, execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Firewall, FirewallError, type FirewallRules } from '../../platform.js'
import { launchersIn } from '../launcher/kept-launchers.js'
import { HOOK, replacing, ruleSet } from './rule-set.js'

/** Where Debian has nft, and few users in their PATH. */
const SYSTEM_PATH = '/usr/sbin:/sbin'
const LIMIT_MS = 10_000
/** In the state folder: whether there may be a table. Without it nft is not run, which would load a module of the kernel. */
const MARK = 'firewall'

/** A table of nftables, named by the state folder. Those of other programs and agents stay as they are. */
export class Nftables implements Firewall {
  private readonly table: string
  private readonly mark: string
  /** What nft listed after the last installation. */
  private installed: string | undefined

  constructor(
    stateDir: string,
    private readonly scratchDir: string,
  ) {
    this.table = tableOf(stateDir)
    this.mark = join(stateDir, MARK)
  }

  async install(rules: FirewallRules): Promise<void> {
    this.note()
    await nft(['-f', '-'], ruleSet(this.table, rules))
    this.installed = await this.list()
  }

  async isInstalled(): Promise<boolean> {
    return this.installed !== undefined && (await this.list().catch(() => undefined)) === this.installed
  }

  problem(rules: FirewallRules): Promise<FirewallError | undefined> {
    return nft(['--check', '-f', '-'], ruleSet(this.table, rules)).then(
      () => undefined,
      (error: FirewallError) => error,
    )
  }

  async release(): Promise<void> {
    if (!existsSync(this.mark) || launchersIn(this.scratchDir).length > 0) return
    this.installed = undefined
    await nft(['-f', '-'], replacing(this.table))
    rmSync(this.mark, { force: true })
  }

  private note(): void {
    try {
      writeFileSync(this.mark, `${this.table}\n`, { mode: 0o600 })
    } catch (error) {
      throw new FirewallError((error as Error).message, 'let the agent write its state folder')
    }
  }

  private list(): Promise<string> {
    return nft(['--numeric', 'list', 'chain', 'inet', this.table, HOOK])
  }
}

/** The name of the table of the agent with this state folder. */
export function tableOf(stateDir: string): string {
  const folder = existsSync(stateDir) ? realpathSync(stateDir) : stateDir
  return `flux-agent-${createHash('sha256').update(folder).digest('hex').slice(0, 8)}`
}

/** What nft(8) prints. Rejects with FirewallError. */
function nft(args: readonly string[], input = ''): Promise<string> {
  const env = { PATH: `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`, LC_ALL: 'C' }
  return new Promise((resolve, reject) => {
    const child = execFile('nft', args, { env, timeout: LIMIT_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (error) reject(failure(error, stderr))
      else resolve(stdout)
    })
    // It may end before it has read everything; its exit code tells.
    child.stdin?.on('error', () => {}).end(input)
  })
}

function failure(error: ExecFileException, stderr: string): FirewallError {
  if (error.code === 'ENOENT') return new FirewallError('there is no nft on this node', 'apt install nftables')
  const [, said = stderr.trim().split('\n')[0] || error.message] = /Error: (.*)/.exec(stderr) ?? []
  return new FirewallError(
    `nft: ${said}`,
    /not permitted/i.test(said)
      ? 'let the agent have CAP_NET_ADMIN'
      : 'a kernel with nf_tables, and its fib and reject, is needed',
  )
}
