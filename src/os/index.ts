import { linux } from './linux/platform.js'
import type { Platform } from './platform.js'
import { windows } from './windows/platform.js'

/** The platform this process runs on. macOS and the BSDs take the Linux one: what it needs is POSIX. */
export const platform: Platform = process.platform === 'win32' ? windows : linux
