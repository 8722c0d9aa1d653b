/**
 * Families of processes for a cancel to end. Each writes the pids of all its processes, then "ready", to its first
 * argument.
 */
export interface Shape {
  readonly name: string
  readonly script: string
  readonly processes: number
}

export const PLAIN: Shape = { name: 'plain', script: 'echo $$ ready > "$1"; exec sleep 1000', processes: 1 }

export const FLOOD: Shape = {
  name: 'floods output',
  script: 'echo $$ ready > "$1"; exec yes "one line of output, over and over"',
  processes: 1,
}

export const SHAPES: readonly Shape[] = [
  PLAIN,
  {
    name: 'grandchild holds the pipe',
    script: `sh -c 'sleep 1000 & echo $$ $! $PPID ready > "$1"; wait' sh "$1" & wait`,
    processes: 3,
  },
  {
    name: 'ignores TERM',
    script: 'trap "" TERM INT HUP QUIT; sleep 1000 & echo $$ $! ready > "$1"; while :; do wait; done',
    processes: 2,
  },
  {
    name: 'setsid escapee',
    script: `(setsid sh -c 'echo $$ $0 ready > "$1"; exec sleep 1000' $$ "$1" &); exec sleep 1000`,
    processes: 2,
  },
  FLOOD,
]

/** The name of the agent's function that runs one; names have no spaces. */
export function functionName({ name }: Shape): string {
  return `bench-${name.toLowerCase().replaceAll(' ', '-')}`
}
