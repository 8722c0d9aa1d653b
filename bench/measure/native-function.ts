import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { Calls } from '../../harness/calls.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { FunctionConfig } from '../../src/generated/flux/FunctionConfig.js'
import { nativeProgram } from './native.js'

/** Without the dynamic linker, which would take longer than the program. */
const STATIC = { flags: ['-static'], packages: [] }

/** A function that is a program of ours. */
export interface NativeFunction {
  readonly name: string
  /** NAME of its source NAME.c. */
  readonly program: string
}

export const PRINTER: NativeFunction = { name: 'bench-printer', program: 'printer' }
export const SLEEPER: NativeFunction = { name: 'bench-sleeper', program: 'sleeper' }

/** Path of its program. */
export function programOf({ program }: NativeFunction): string {
  return nativeProgram(program, STATIC)
}

/** Deploys it, with whatever else the configuration says. */
export async function deployNative(
  calls: Calls,
  native: NativeFunction,
  config: Omit<FunctionConfig, 'name' | 'handler'> = {},
): Promise<void> {
  const { name } = native
  const contents = readFileSync(programOf(native))
  const archive = buildZip([{ name: 'main', contents, mode: PROGRAM }])
  const { success, message } = await calls.deploy(name, archive, { ...config, name, handler: 'main' })
  assert.equal(success, true, message)
}
