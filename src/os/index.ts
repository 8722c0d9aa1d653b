import { linux } from './linux/platform.js'
import type { Platform } from './platform.js'
import { windows } from './windows/platform.js'

/** The platform of this process. macOS and the BSDs use the Linux one, which needs only POSIX. */
export const platform: Platform = process.platform === 'win32' ? windows : linux
