import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { Random } from './random.js'

/** What an execution does. Each leaves a line in the journal when it starts and one when it is about to end. */
export interface Shape {
  readonly name: string
  readonly weight: number
  /** How it ends when nobody disturbs it. */
  readonly exitCode: number
  /** Whether it runs longer than anybody waits. */
  readonly long?: boolean
  /** What it prints after the line with the version. */
  readonly lines: (id: string) => string[]
  readonly script: string
}

const BIG_LINES = 50_000
const SLOW_LINES = 12

export const SHAPES: readonly Shape[] = [
  { name: 'short', weight: 30, exitCode: 0, lines: (id) => [`${id} short`], script: 'echo "$2 short"' },
  {
    name: 'big',
    weight: 6,
    exitCode: 0,
    lines: (id) => Array.from({ length: BIG_LINES }, (_, index) => `${id} ${index + 1}`),
    script: `seq -f "$2 %.0f" 1 ${BIG_LINES}`,
  },
  {
    name: 'slow',
    weight: 12,
    exitCode: 0,
    lines: (id) => Array.from({ length: SLOW_LINES }, (_, index) => `${id} ${index + 1}`),
    script: `for i in $(seq ${SLOW_LINES}); do echo "$2 $i"; sleep 0.15; done`,
  },
  {
    name: 'tree',
    weight: 8,
    exitCode: 0,
    lines: (id) => [`${id} tree`, `${id} leaves`],
    script:
      'echo "$2 tree"; sleep 300 & setsid sleep 300 & setsid sh -c "sleep 300 & sleep 300" & sleep 0.3; echo "$2 leaves"',
  },
  { name: 'failing', weight: 8, exitCode: 3, lines: (id) => [`${id} fails`], script: 'echo "$2 fails" >&2' },
  {
    name: 'stubborn',
    weight: 6,
    exitCode: 0,
    lines: (id) => [`${id} stays`, `${id} leaves`],
    script: 'trap "" TERM INT HUP; echo "$2 stays"; for i in 1 2 3 4 5; do sleep 0.3; done; echo "$2 leaves"',
  },
  {
    name: 'long',
    weight: 8,
    exitCode: 0,
    long: true,
    lines: (id) => [`${id} waits`, `${id} leaves`],
    script: 'echo "$2 waits"; sleep 120; echo "$2 leaves"',
  },
]

export const shapeNamed = (name: string) => SHAPES.find((shape) => shape.name === name) as Shape

/** Its arguments are the shape, the execution's id and the journal's folder. */
function script(version: string): string {
  const cases = SHAPES.map(({ name, script, exitCode }) => `${name}) ${script}; code=${exitCode} ;;`)
  return `#!/bin/sh
echo started >> "$3/$2.starts"
echo "version ${version}"
case $1 in
${cases.join('\n')}
esac
echo ended >> "$3/$2.ends"
exit $code
`
}

/** Code whose output names its version. The handler's name changes with it: one is nothing without the other. */
export function codeOf(version: string): { readonly archive: Buffer; readonly handler: string } {
  const handler = `bin/main-${version}.sh`
  return { archive: buildZip([{ name: handler, contents: script(version), mode: PROGRAM }]), handler }
}

/** The whole output of an execution that nothing has disturbed. */
export function wholeOutput(shape: Shape, id: string, version: string): string {
  return `version ${version}\n${shape.lines(id).join('\n')}\n`
}

/** A function and how many of it may run at once. */
export const FUNCTIONS = [
  { name: 'free', max_concurrency: 0, max_concurrency_behavior: 'exit' },
  { name: 'few', max_concurrency: 4, max_concurrency_behavior: 'exit' },
  { name: 'queued', max_concurrency: 3, max_concurrency_behavior: 'wait' },
] as const

export type FunctionName = (typeof FUNCTIONS)[number]['name']

export const anyFunction = (random: Random) => random.pick(FUNCTIONS).name
