import type { FunctionSettings } from '../../store/function.js'
import type { CodeVersion } from '../../threads/messages.js'
import { functionWarnings } from './warnings.js'

/** A function as one execution sees it, for as long as it needs it. */
export interface FunctionLease {
  readonly settings: FunctionSettings
  readonly version: CodeVersion
  /** What is wrong with the two, though it can be run. */
  readonly warnings: readonly string[]
  /** Lets the version go; the second time and after, nothing happens. */
  release(): void
}

interface KnownFunction {
  settings?: FunctionSettings
  version?: CodeVersion
  warnings: readonly string[]
}

/** The functions of this agent: their settings, and the version of their code that serves. */
export class Functions {
  private readonly byName = new Map<string, KnownFunction>()
  /** Executions by the folder of the version they run. */
  private readonly users = new Map<string, number>()
  private readonly retired = new Set<string>()

  constructor(
    /** Hears the settings that count from now on. */
    private readonly registered: (settings: FunctionSettings) => void,
    /** Deletes a version that serves no longer, once its last execution has ended. */
    private readonly remove: (versionDir: string) => void,
  ) {}

  settings(name: string): FunctionSettings | undefined {
    return this.byName.get(name)?.settings
  }

  version(name: string): CodeVersion | undefined {
    return this.byName.get(name)?.version
  }

  /** What is wrong with a function, though it can be run. */
  warnings(name: string): readonly string[] {
    return this.byName.get(name)?.warnings ?? []
  }

  /** A function whose name is the same but for small and capital letters. */
  differingInCase(name: string): string | undefined {
    const folded = name.toLowerCase()
    return [...this.byName.keys()].find((other) => other !== name && other.toLowerCase() === folded)
  }

  /** New settings count for the executions that come. `handlerProblem`: why the code here has not their handler. */
  register(settings: FunctionSettings, handlerProblem?: string): void {
    const known = this.knownFunction(settings.name)
    known.settings = settings
    known.warnings = [...functionWarnings(settings), ...(handlerProblem === undefined ? [] : [handlerProblem])]
    this.registered(settings)
  }

  /** The version serves from now on; executions of the one before keep it until they end. */
  serve(name: string, version: CodeVersion): void {
    const known = this.knownFunction(name)
    const previous = known.version
    known.version = version
    if (!previous || previous.dir === version.dir) return
    this.retired.add(previous.dir)
    this.removeUnused(previous.dir)
  }

  /** Takes the function for one execution; undefined where it has no code here. */
  lease(name: string): FunctionLease | undefined {
    const { settings, version, warnings = [] } = this.byName.get(name) ?? {}
    if (!settings || !version) return undefined
    const { dir } = version
    this.users.set(dir, (this.users.get(dir) ?? 0) + 1)
    let held = true
    return {
      settings,
      version,
      warnings,
      release: () => {
        if (!held) return
        held = false
        const left = (this.users.get(dir) ?? 0) - 1
        if (left > 0) this.users.set(dir, left)
        else this.users.delete(dir)
        this.removeUnused(dir)
      },
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
