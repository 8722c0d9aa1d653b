import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../../harness/agent.js'
import { onExit } from '../../../harness/on-exit.js'
import { installation } from '../../../src/installation.js'
import { sandboxesFrame } from './frames.js'
import type { Launcher } from './launcher-under-test.js'

/** By default, what a function may keep in /tmp and its like. */
export const TMP_BYTES = 4 * 2 ** 20
export const FIRST_UID = 2_050_000_000 + (process.pid % 10_000) * 100

/** The folders of an agent, with functions in them. */
export class Node {
  readonly state: string
  readonly apps: string
  readonly registry: string
  /** Where functions find their home; not below /tmp, of which each has its own. */
  readonly home = mkdtempSync('/home/flux-test-')
  private readonly uids = new Map<string, number>()

  constructor(readonly dir = makeTempDir('flux-sandboxes-')) {
    this.state = join(dir, 'state')
    this.apps = join(dir, 'apps')
    this.registry = join(dir, 'registry')
    for (const folder of [this.state, this.apps, this.registry]) mkdirSync(folder)
    chmodSync(dir, 0o755)
    onExit(() => rmSync(this.home, { recursive: true, force: true }))
  }

  uidOf(name: string): number {
    const known = this.uids.get(name)
    if (known !== undefined) return known
    return this.give(FIRST_UID + this.uids.size, name)
  }

  /** Removes a function, and gives its user to another one. */
  passOn(from: string, to: string): void {
    const uid = this.uidOf(from)
    this.uids.delete(from)
    rmSync(this.homeOf(from), { recursive: true })
    rmSync(join(this.apps, from), { recursive: true })
    this.give(uid, to)
  }

  /** A function of that user. */
  give(uid: number, name: string): number {
    this.uids.set(name, uid)
    const home = this.homeOf(name)
    mkdirSync(home, { recursive: true })
    chownSync(home, uid, uid)
    chmodSync(home, 0o700)
    mkdirSync(join(this.apps, name))
    return uid
  }

  private homeOf(name: string): string {
    return join(this.state, 'functions/homes', name)
  }

  tell(launcher: Launcher, tmpBytes = TMP_BYTES, diskBytes = 0, home = this.home): void {
    launcher.send(
      sandboxesFrame(tmpBytes, diskBytes, 0, [
        installation.sandbox,
        this.registry,
        'flux-runner',
        home,
        this.apps,
        this.state,
      ]),
    )
  }

  /** Starts a script as a function. */
  script(launcher: Launcher, name: string, lines: string) {
    const uid = this.uidOf(name)
    return launcher.script(lines, { user: { uid, gid: uid }, sandbox: name })
  }

  /** What it prints. */
  run(launcher: Launcher, name: string, lines: string): Promise<string> {
    return this.script(launcher, name, lines).result()
  }
}
