/** What happens to an execution that finds every slot taken. */
export type ConcurrencyBehavior = 'exit' | 'wait'

/** A registered function, validated. 0 means "no limit" in every number. */
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
