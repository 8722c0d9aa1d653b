import { CommandFailure } from '../failure.js'
import type { CodeFile } from './archive.js'

const SHOWN = 5

const USUAL_NAMES = ['index', 'main', 'handler']

/**
 * The only top-level file that can be the program: executable, or named `index`, `main`, `handler` or like the
 * function. Throws CommandFailure where there is none or more than one.
 */
export function guessHandler(functionName: string, files: readonly CodeFile[]): string {
  const names = [...USUAL_NAMES, functionName]
  const candidates = files
    .filter(({ path }) => !path.includes('/'))
    .filter(({ path, executable }) => executable || names.includes(path) || names.includes(stem(path)))
    .map(({ path }) => path)
  const [handler] = candidates
  if (handler !== undefined && candidates.length === 1) return handler
  const found = candidates.length === 0 ? noneAtTop(files, names) : candidates.join(', ')
  throw new CommandFailure(`which file is to be run? Pass --handler FILE (candidates: ${found})`)
}

/** Archives of repositories contain everything in one folder. */
function noneAtTop(files: readonly CodeFile[], names: readonly string[]): string {
  const none = 'no file at the top is executable or named like one'
  const deeper = files
    .map(({ path, executable }) => ({ path, executable, name: path.slice(path.lastIndexOf('/') + 1) }))
    .filter(({ executable, name }) => executable || names.includes(stem(name)))
    .map(({ path }) => path)
  return deeper.length === 0 ? none : `${none}; further down: ${deeper.slice(0, SHOWN).join(', ')}`
}

function stem(path: string): string {
  return path.replace(/\.[^.]*$/, '')
}
