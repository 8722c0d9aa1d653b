import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../harness/agent.js'
import { isRunning } from '../../harness/processes.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { FunctionsSuite } from './describe-functions.js'

const SOURCE = fileURLToPath(new URL('../../../test/support/attack.c', import.meta.url))
const ATTACKER = 'attacker'
const VICTIM = 'victim'

/** Folders that everybody may write to. */
export const OPEN_FOLDERS = ['/tmp', '/var/tmp', '/run/lock', '/dev/shm']
/** In the victim's environment, home, code and temporary files. */
export const SECRET = 'what nobody else may know'

/** An execution of the victim, which holds what others may try to reach. */
export interface Victim {
  readonly id: string
  readonly pid: number
}

export interface Said {
  /** Whether it exited with 0. */
  readonly succeeded: boolean
  readonly text: string
}

/**
 * Two functions, of which one attacks the other. Both run shell lines, in which `attack` is the program of attack.c. Those
 * of the attacker have what it needs to know of the victim as variables: PID, CODE, ITS_HOME, ITS_TMPDIR, KEY and so on.
 */
export class Opponents {
  /** Of all that has a name on the whole machine. */
  readonly name = randomBytes(4).toString('hex')
  private readonly attack = compile()
  private facts: Record<string, string> = {}
  private victim: Victim | undefined

  constructor(private readonly suite: Pick<FunctionsSuite, 'calls' | 'homeOf' | 'state'>) {}

  async deploy(name?: string): Promise<void> {
    const lines = '#!/bin/sh\nPATH=$PWD:$PATH\neval "$1"\n'
    const archive = buildZip([
      { name: 'main.sh', contents: lines, mode: PROGRAM },
      { name: 'attack', contents: readFileSync(this.attack), mode: PROGRAM },
      { name: 'secret', contents: `${SECRET}\n` },
    ])
    for (const one of name === undefined ? [ATTACKER, VICTIM] : [name]) {
      const env: Record<string, string> = one === VICTIM ? { SECRET } : {}
      const { success, message } = await this.suite.calls.deploy(one, archive, { name: one, handler: 'main.sh', env })
      assert.ok(success, message)
    }
    // Those of an earlier user with the same number are still there.
    if (name === undefined) await this.attacks('attack clear-keys @u')
  }

  /** The execution of the victim, which begins where none does. */
  async itsExecution(): Promise<Victim> {
    if (this.victim) return this.victim
    const lines = `
      echo "PID=$$"; echo "ITS_UID=$(id -u)"; echo "CODE=$PWD"; echo "ITS_TMPDIR=$TMPDIR"; echo "GROUP=$(sed -n s/^0:://p /proc/self/cgroup)"
      for folder in ${OPEN_FOLDERS.join(' ')} ~ "$TMPDIR"; do
        echo "$SECRET" > $folder/secret.${this.name}; chmod 666 $folder/secret.${this.name}
      done
      exec attack hold ${this.name}`
    const id = await this.suite.calls.start(VICTIM, [lines])
    const { output = '' } = await this.suite.calls.printed(id, 'held')
    const facts = output
      .trim()
      .split('\n')
      .map((line) => line.split(/[= ]/) as [string, string])
    const { held = '', ...rest } = Object.fromEntries(facts)
    const pid = Number(rest['PID'])
    this.facts = {
      ...rest,
      KEY: held,
      ITS_HOME: this.suite.homeOf(VICTIM),
      STATE: this.suite.state(),
      NAME: this.name,
      ADDRESS: stackOf(pid),
    }
    this.victim = { id, pid }
    return this.victim
  }

  /** What the attacker's lines say. The victim must have been started. */
  attacks(lines: string): Promise<Said> {
    return this.run(ATTACKER, this.known(lines))
  }

  /** An async execution of the attacker, which has printed a line; its id. */
  async keepsAttacking(lines: string): Promise<string> {
    const id = await this.suite.calls.start(ATTACKER, [this.known(lines)])
    await this.suite.calls.printed(id, '\n')
    return id
  }

  /** What lines of the victim's say, in another execution of it. */
  victimRuns(lines: string): Promise<Said> {
    return this.run(VICTIM, lines)
  }

  /** Ends its execution, and what outlives that where functions are not kept apart. */
  async endIt(): Promise<void> {
    if (this.victim) await this.suite.calls.cancel(this.victim.id)
    this.victim = undefined
    spawnSync(this.attack, ['forget', this.name])
    for (const folder of OPEN_FOLDERS) rmSync(join(folder, `secret.${this.name}`), { force: true })
  }

  private known(lines: string): string {
    if (!this.victim) return lines
    const facts = Object.entries(this.facts).map(([name, value]) => `${name}='${value}'`)
    return `export ${facts.join(' ')}\n${lines}`
  }

  private async run(name: string, lines: string): Promise<Said> {
    const { output, error } = await this.suite.calls.execute({ function_name: name, args: [lines] })
    return { succeeded: error === '', text: `${output}${error}` }
  }
}

/** Whether a process runs and is neither stopped nor traced. */
export function isAtWork(pid: number): boolean {
  return isRunning(pid) && !/^State:\s+[Tt]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
}

/** The address of something that the process may read and write. */
function stackOf(pid: number): string {
  const [, start = ''] = /^([0-9a-f]+)-.*\[stack\]$/m.exec(readFileSync(`/proc/${pid}/maps`, 'utf8')) ?? []
  return start
}

function compile(): string {
  const program = join(makeTempDir('flux-attack-'), 'attack')
  const { status, stderr } = spawnSync('cc', ['-o', program, SOURCE], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`attack.c does not compile: ${stderr}`)
  chmodSync(program, 0o755)
  return program
}
