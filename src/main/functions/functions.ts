import type { FunctionSettings } from '../../store/function.js'
import type { CodeVersion } from '../../threads/messages.js'
import { functionWarnings } from './warnings.js'

/** A function as one execution uses it, until the release. */
export interface FunctionLease {
  readonly settings: FunctionSettings
  readonly version: CodeVersion
  /** Likely mistakes in settings and code. */
  readonly warnings: readonly string[]
  /** Frees the version. Idempotent. */
  release(): void
}

interface KnownFunction {
  settings?: FunctionSettings
  version?: CodeVersion
  warnings: readonly string[]
}

/** The functions of this agent: settings and current code version. Main thread only. */
export class Functions {
  private readonly byName = new Map<string, KnownFunction>()
  /** Number of executions by version folder. */
  private readonly users = new Map<string, number>()
  private readonly retired = new Set<string>()

  constructor(
    /** Called with a function's new settings. */
    private readonly registered: (settings: FunctionSettings) => void,
    /** Deletes a version that no longer serves, once no execution uses it. */
    private readonly remove: (versionDir: string) => void,
  ) {}

  /** How many there are, with or without code. */
  get count(): number {
    return this.byName.size
  }

  settings(name: string): FunctionSettings | undefined {
    return this.byName.get(name)?.settings
  }

  version(name: string): CodeVersion | undefined {
    return this.byName.get(name)?.version
  }

  /** Likely mistakes in a function's settings and code. */
  warnings(name: string): readonly string[] {
    return this.byName.get(name)?.warnings ?? []
  }

  /** A function whose name differs only in case. */
  differingInCase(name: string): string | undefined {
    const folded = name.toLowerCase()
    return [...this.byName.keys()].find((other) => other !== name && other.toLowerCase() === folded)
  }

  /** Sets the settings of the following executions. `handlerProblem`: why the code lacks their handler. */
  register(settings: FunctionSettings, handlerProblem?: string): void {
    const known = this.knownFunction(settings.name)
    known.settings = settings
    known.warnings = [...functionWarnings(settings), ...(handlerProblem === undefined ? [] : [handlerProblem])]
    this.registered(settings)
  }

  /** Makes a version current; running executions continue to use the one before. */
  serve(name: string, version: CodeVersion): void {
    const known = this.knownFunction(name)
    const previous = known.version
    known.version = version
    if (!previous || previous.dir === version.dir) return
    this.retired.add(previous.dir)
    this.removeUnused(previous.dir)
  }

  /** Reserves the function's version for one execution; undefined where it has no code here. */
  lease(name: string): FunctionLease | undefined {
    const { settings, version, warnings = [] } = this.byName.get(name) ?? {}
    if (!settings || !version) return undefined
    return { settings, version, warnings, release: this.hold(version.dir) }
  }

  /**
   * Keeps the code of an execution that an earlier agent has begun, until the answer is called. Call once the current
   * versions are known.
   */
  holdOf(name: string, versionDir: string): () => void {
    if (this.version(name)?.dir !== versionDir) this.retired.add(versionDir)
    return this.hold(versionDir)
  }

  private hold(dir: string): () => void {
    this.users.set(dir, (this.users.get(dir) ?? 0) + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      const left = (this.users.get(dir) ?? 0) - 1
      if (left > 0) this.users.set(dir, left)
      else this.users.delete(dir)
      this.removeUnused(dir)
    }
  }

  private knownFunction(name: string): KnownFunction {
    let known = this.byName.get(name)
    if (!known) {
      known = { warnings: [] }
      this.byName.set(name, known)
    }
    return known
  }

  private removeUnused(dir: string): void {
    if (this.users.has(dir) || !this.retired.delete(dir)) return
    this.remove(dir)
  }
}
