/** Families of processes that a cancel has to end. Each prints the pids of all its processes, and then "ready". */
export interface Shape {
  readonly name: string
  readonly script: string
  readonly processes: number
  /** Prints on after that, without end. */
  readonly endless?: true
}

export const PLAIN: Shape = { name: 'plain', script: 'echo $$ ready; exec sleep 1000', processes: 1 }

export const SHAPES: readonly Shape[] = [
  PLAIN,
  {
    name: 'grandchild holds the pipe',
    script: "sh -c 'sleep 1000 & echo $$ $! $PPID ready; wait' & wait",
    processes: 3,
  },
  {
    name: 'ignores TERM',
    script: 'trap "" TERM INT HUP QUIT; sleep 1000 & echo $$ $! ready; while :; do wait; done',
    processes: 2,
  },
  {
    name: 'setsid escapee',
    script: "(setsid sh -c 'echo $$ $0 ready; exec sleep 1000' $$ &); exec sleep 1000",
    processes: 2,
  },
  {
    name: 'floods output',
    script: 'echo $$ ready; exec yes "one line of output, over and over"',
    processes: 1,
    endless: true,
  },
]

/** What an agent's function is called that runs one of them; a name has no spaces. */
export function functionName({ name }: Shape): string {
  return name.toLowerCase().replaceAll(' ', '-')
}
