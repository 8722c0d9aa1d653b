/** What happens to an execution while every slot is taken: it is refused, or queued. */
export type ConcurrencyBehavior = 'exit' | 'wait'

/** A registered function, validated. In every number, 0 means no limit. */
export interface FunctionSettings {
  readonly name: string
  /** Path of the program inside the archive, relative, with `/`. */
  readonly handler: string
  readonly cpuMillicores: number
  readonly memoryMb: number
  readonly timeoutSeconds: number
  readonly env: Readonly<Record<string, string>>
  readonly maxConcurrency: number
  readonly maxConcurrencyBehavior: ConcurrencyBehavior
}
