import { createRequire } from 'node:module'
import type { PackageDefinition } from '@grpc/proto-loader'
import { installation } from './installation.js'

/** In the protos' folder. */
export const OWN_PROTOS: string[] = ['flux.proto', 'operations.proto']

/** The options of `npm run generate`, so that messages have the shape of the generated types. */
export const MESSAGE_SHAPE = { longs: Number, enums: String, defaults: true, oneofs: true }

/** Reads protos that are needed as such. Blocks for some 50 ms, of which most is to load the reader. */
export function loadProtos(files: string[]): PackageDefinition {
  const { loadSync } = createRequire(import.meta.url)('@grpc/proto-loader') as typeof import('@grpc/proto-loader')
  return loadSync(files, { includeDirs: [installation.protoFolder], keepCase: true, ...MESSAGE_SHAPE })
}
