import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'
import { openListener } from '../../src/host/listener.js'
import { type Page, ROOT } from './markdown.js'

/** Of an agent whose configuration names none. */
const USUAL_PORT = 50_052

/** A fresh clone of this tree, as far as git would have it, in the home of a new user. */
export interface Clone {
  readonly dir: string
  readonly env: NodeJS.ProcessEnv
}

/**
 * In CI with nothing else in it. Elsewhere the packages are there and what was compiled: to install and compile all of it
 * once more takes longer than all that is then done with it.
 */
export function makeClone(): Clone {
  const home = makeTempDir('flux-agent-clone-')
  const dir = join(home, 'flux-agent')
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  for (const file of listed.toString().split('\0')) {
    // One may be deleted and not committed yet.
    if (file === '' || !existsSync(join(ROOT, file))) continue
    mkdirSync(dirname(join(dir, file)), { recursive: true })
    copyFileSync(join(ROOT, file), join(dir, file))
  }
  if (!process.env['CI']) {
    // Where they cannot be linked, the build installs them.
    spawnSync('cp', ['-al', join(ROOT, 'node_modules'), dir])
    for (const made of ['dist', 'src/generated']) execFileSync('cp', ['-a', join(ROOT, made), join(dir, dirname(made))])
  }
  const cache = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim()
  const { PATH, TMPDIR } = process.env
  const npm = { npm_config_cache: cache, npm_config_prefer_offline: 'true', npm_config_update_notifier: 'false' }
  return { dir, env: { PATH, HOME: home, LANG: 'C.UTF-8', TERM: 'dumb', ...(TMPDIR && { TMPDIR }), ...npm } }
}

/** Whether a command can have a network of its own, so that whatever else uses the agent's usual port is not in its way. */
const canBeApart =
  process.getuid?.() === 0 && spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up']).status === 0

/** Why an agent cannot listen on its usual port; false where it can. */
export async function portTaken(): Promise<string | false> {
  if (canBeApart) return false
  const taken = await openListener({ host: '127.0.0.1', port: USUAL_PORT }).then(
    (listener) => void listener.close(),
    (error: NodeJS.ErrnoException) => error,
  )
  return taken ? `port ${USUAL_PORT} is taken (${taken.code})` : false
}

function apart(command: readonly [string, ...string[]]): [string, ...string[]] {
  return canBeApart
    ? ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...command]
    : [...command]
}

/** Starts a command in the clone, in a process group of its own. */
export function startIn({ dir, env }: Clone, ...command: readonly [string, ...string[]]) {
  const [program, ...args] = apart(command)
  const child = spawn(program, args, { cwd: dir, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
  }
  return {
    printed: () => printed,
    /** Its exit code, once it has ended and what it printed is read. */
    ended: once(child, 'close').then(([code]) => code as number | null),
    signal(signal: NodeJS.Signals): void {
      try {
        process.kill(-(child.pid ?? 0), signal)
      } catch {
        // None of them is left.
      }
    },
  }
}

export interface ShellRun {
  readonly code: number | null
  readonly printed: string
}

/**
 * Runs all blocks of a page that are marked `sh` and nothing else in one shell, as a person would who types them one after
 * the other. Where a line fails the shell ends, and what it prints names the line by its number in the page.
 */
export async function runBlocks(clone: Clone, page: Page, seconds: number): Promise<ShellRun> {
  const lines: string[] = Array(page.lineCount).fill('')
  for (const { line, lines: code } of runnable(page)) lines.splice(line - 1, code.length, ...code)
  const trap = `trap 'echo "${page.path}:$LINENO failed"' ERR; `
  lines[0] = trap + lines[0]
  const shell = ['bash', '-O', 'expand_aliases', '-e', '-o', 'pipefail', '-c', lines.join('\n')] as const
  const run = startIn(clone, ...shell)
  const limit = setTimeout(() => run.signal('SIGKILL'), seconds * 1000)
  const code = await run.ended
  clearTimeout(limit)
  // What it has left in the background.
  run.signal('SIGKILL')
  return { code, printed: run.printed() }
}

export function runnable({ blocks }: Page) {
  return blocks.filter(({ language, mark }) => language === 'sh' && mark === '')
}
