import type { Calls } from '../../../../harness/calls.js'

const NAME = 'count'

/** Deploys a function that prints numbers from 0, one a second, and leaves a grandchild in a session of its own. */
export async function deployCount(calls: Calls): Promise<void> {
  const lines = ['setsid sleep 600 &', 'i=0', 'while [ $i -lt "$1" ]; do echo $i; i=$((i + 1)); sleep 1; done']
  await calls.script(NAME, lines.join('\n'), { timeout_seconds: 900, max_concurrency: 1000 })
}

/** Starts one that prints this many; answers its id once it prints. */
export async function startCount(calls: Calls, many: number): Promise<string> {
  const id = await calls.start(NAME, [String(many)])
  await calls.printed(id, '0\n')
  return id
}

/** What it has printed in the end. */
export function numbers(many: number): string {
  return Array.from({ length: many }, (_, number) => `${number}\n`).join('')
}
