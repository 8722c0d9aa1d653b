import { readFileSync } from 'node:fs'
import { installation } from './installation.js'

const manifest: unknown = JSON.parse(readFileSync(installation.manifest, 'utf8'))

/** The agent's version, from package.json. */
export const VERSION = String((manifest as { version: unknown }).version)
