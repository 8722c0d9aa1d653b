import { fileURLToPath } from 'node:url'

// Compiled, this file is dist/src/installation.js; in the bundle, dist/agent/installation.js, with the other entries
// beside it as they are here.

/** The program's parts on disk that are not imported. */
export const installation = {
  manifest: path('../../package.json'),
  protoFolder: path('../../proto/'),
  /** What a browser is sent. */
  pageFolder: path('../../page/'),
  launcher: path('../native/launcher'),
  sandbox: path('../native/sandbox'),
  notifier: path('../native/notifier'),
  /** Entries of threads, as URLs. */
  worker: url('./workers/index.js').href,
  deployThread: url('./workers/deploy/deploy.js').href,
} as const

function path(relative: string): string {
  return fileURLToPath(url(relative))
}

function url(relative: string): URL {
  return new URL(relative, import.meta.url)
}
