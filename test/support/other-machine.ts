import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { onExit } from '../../harness/on-exit.js'

const isApart = process.getuid?.() === 0 && spawnSync('unshare', ['--net', 'nft', 'list', 'tables']).status === 0

/** Why there can be no other machine here; undefined where there can. In CI those tests are never skipped. */
export const noOtherMachine: string | undefined =
  process.env['CI'] || isApart ? undefined : 'only root can make a network namespace, with ip and nft'

/** What looks to the network like another machine: a network namespace, with one cable to this one. */
export class OtherMachine {
  private readonly name = `flux-${process.pid}`
  private readonly near = `fl${process.pid}`
  private readonly far = `fr${process.pid}`

  /** The address of this machine, as seen from the other one. */
  readonly here: string

  constructor() {
    // Of the addresses that RFC 2544 keeps for tests of networks.
    const net = `198.18.${process.pid % 256}`
    this.here = `${net}.1`
    const { near, far } = this
    onExit(() => this.remove())
    ip('netns', 'add', this.name)
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', this.name)
    ip('address', 'add', `${this.here}/24`, 'dev', near)
    ip('link', 'set', near, 'up')
    ip('-netns', this.name, 'address', 'add', `${net}.2/24`, 'dev', far)
    ip('-netns', this.name, 'link', 'set', far, 'up')
  }

  /** Starts a program there. It is killed with this process. */
  start(program: string, ...args: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name, program, ...args], { stdio: 'ignore' })
    onExit(() => child.kill('SIGKILL'))
    return child
  }

  /** From now on no packet comes to it or leaves it. Nobody is told. */
  vanish(): void {
    for (const hook of ['input', 'output']) {
      const rules = `table inet gone { chain ${hook} { type filter hook ${hook} priority 0; policy drop; }; }`
      run('ip', ['netns', 'exec', this.name, 'nft', rules])
    }
  }

  /** Takes it away, once nothing runs there. */
  remove(): void {
    // The kernel keeps a namespace, with its end of the cable, as long as connections wait for answers there.
    spawnSync('ip', ['link', 'delete', this.near])
    spawnSync('ip', ['netns', 'delete', this.name])
  }
}

function ip(...args: readonly string[]): void {
  run('ip', args)
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
}
