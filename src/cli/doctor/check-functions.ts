import { existsSync } from 'node:fs'
import type { AgentConfig } from '../../config/config.js'
import { storedProblem } from '../../main/functions/load-functions.js'
import { functionWarnings } from '../../main/functions/warnings.js'
import { openStore } from '../../store/open.js'
import { type Finding, ok, warn } from './finding.js'

/** Checks stored functions: which a start would not load, and likely mistakes. Call where the store answers. */
export async function checkFunctions({ store: location }: AgentConfig): Promise<Finding[]> {
  if (location.kind === 'embedded' && !existsSync(location.path)) return []
  const store = await openStore(location)
  try {
    const findings: Finding[] = []
    const functions = await store.functions((name, why) =>
      findings.push(warn('functions', `stored function ${name} is not readable: ${why}`, 'register it again')),
    )
    for (const settings of functions) {
      const problem = storedProblem(settings)
      if (problem) findings.push(warn('functions', problem))
      else {
        const { name } = settings
        const fix = 'correct its configuration and register it again'
        findings.push(...functionWarnings(settings).map((text) => warn('functions', `function ${name}: ${text}`, fix)))
      }
    }
    return findings.length > 0 ? findings : [ok('functions', `${functions.length} stored`)]
  } catch (error) {
    return [warn('functions', `not checked: ${(error as Error).message}`)]
  } finally {
    await store.close()
  }
}
