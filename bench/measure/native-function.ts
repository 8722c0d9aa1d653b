import { readFileSync } from 'node:fs'
import type { Calls } from '../../harness/calls.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { FunctionConfig } from '../../src/generated/flux/FunctionConfig.js'
import { deployFunction } from './deploy.js'
import { nativeProgram } from './native.js'

/** Static: dynamic linking takes longer than the program. */
const STATIC = { flags: ['-static'], packages: [] }

/** A function in C of this repository. */
export interface NativeFunction {
  readonly name: string
  /** The NAME of its source, NAME.c. */
  readonly program: string
}

export const PRINTER: NativeFunction = { name: 'bench-printer', program: 'printer' }
export const SLEEPER: NativeFunction = { name: 'bench-sleeper', program: 'sleeper' }

/** Path of its program. */
export function programOf({ program }: NativeFunction): string {
  return nativeProgram(program, STATIC)
}

/** Deploys it, with further keys of its configuration. */
export async function deployNative(
  calls: Calls,
  native: NativeFunction,
  config: Omit<FunctionConfig, 'name' | 'handler'> = {},
): Promise<void> {
  const { name } = native
  const contents = readFileSync(programOf(native))
  const archive = buildZip([{ name: 'main', contents, mode: PROGRAM }])
  await deployFunction({ calls }, { ...config, name, handler: 'main' }, archive)
}
