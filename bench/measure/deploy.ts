import type { FunctionConfig } from '../../src/generated/flux/FunctionConfig.js'
import type { Server } from './control.js'

/** Registers a function and deploys its code, in two calls, as the control plane does. Rejects where one is refused. */
export async function deployFunction(
  { calls }: Pick<Server, 'calls'>,
  config: FunctionConfig & { readonly name: string },
  archive: Buffer,
): Promise<void> {
  for (const ack of [await calls.register(config), await calls.deploy(config.name, archive)]) {
    if (!ack.success) throw new Error(`function ${config.name} is not deployed: ${ack.message}`)
  }
}
