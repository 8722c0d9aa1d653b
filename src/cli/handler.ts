import type { CodeFile } from './archive.js'
import { CommandFailure } from './failure.js'

const USUAL_NAMES = ['index', 'main', 'handler']

/**
 * The one file at the top of a function's code that can be meant to be run: it is executable, or named `index`,
 * `main`, `handler` or like the function. Fails where there is none or more than one.
 */
export function guessHandler(functionName: string, files: readonly CodeFile[]): string {
  const names = [...USUAL_NAMES, functionName]
  const candidates = files
    .filter(({ path }) => !path.includes('/'))
    .filter(({ path, executable }) => executable || names.includes(path) || names.includes(stem(path)))
    .map(({ path }) => path)
  const [handler] = candidates
  if (handler !== undefined && candidates.length === 1) return handler
  const found = candidates.length === 0 ? 'no file at the top is executable or named like one' : candidates.join(', ')
  throw new CommandFailure(`which file is to be run? Pass --handler FILE (candidates: ${found})`)
}

function stem(path: string): string {
  return path.replace(/\.[^.]*$/, '')
}
