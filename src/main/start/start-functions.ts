import { join } from 'node:path'
import { CACHES_DIR, FUNCTIONS_DIR } from '../../os/platform.js'
import { AdmissionControl } from '../executions/admission.js'
import { Deployer } from '../functions/deployer.js'
import { Functions } from '../functions/functions.js'
import { loadFunctions } from '../functions/load-functions.js'
import { Registrations } from '../functions/registrations.js'
import type { StartContext } from './context.js'
import type { Host } from './prepare-host.js'
import type { RecoveredStore } from './recover-store.js'

export interface FunctionServices {
  readonly admission: AdmissionControl
  readonly functions: Functions
  readonly deployer: Deployer
  readonly registrations: Registrations
}

/** Loads the stored functions, with the code that is on this machine. */
export async function startFunctions(
  { config, log, closers }: StartContext,
  { users, appsDir, limits, kept }: Host,
  { store, withdrawals, functions: stored }: RecoveredStore,
): Promise<FunctionServices> {
  const cachesDir = join(config.stateDir, FUNCTIONS_DIR, CACHES_DIR)
  const deployer = new Deployer({ appsDir, users, cachesDir, codeCache: config.functions.codeCache }, config.archive)
  closers.add(() => deployer.destroy())
  const admission = new AdmissionControl(config.maxTasks, config.maxQueued)
  const functions = new Functions(
    ({ name, maxConcurrency }) => admission.limit(name, maxConcurrency),
    (dir) => {
      deployer.removeVersion(dir, ({ message }) => log.warn({ dir, cause: message }, 'old version not deleted yet'))
    },
  )
  const inUse = new Set(kept.flatMap(({ executions }) => executions.map(({ note }) => note.versionDir)))
  await loadFunctions(stored, inUse, { functions, limits, deployer, log })
  const registrations = new Registrations({ store, functions, limits, deployer, withdrawals, log })
  return { admission, functions, deployer, registrations }
}
