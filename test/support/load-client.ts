import { spawnSync } from 'node:child_process'

/** Why tests that need the load client of the benches are skipped; undefined where it can be compiled. In CI it can. */
export const noLoadClient: string | undefined =
  process.env['CI'] || (process.platform === 'linux' && hasHeaders())
    ? undefined
    : 'a C compiler, libnghttp2-dev or libssl-dev is not installed'

function hasHeaders(): boolean {
  const include = ['nghttp2/nghttp2.h', 'openssl/ssl.h'].flatMap((header) => ['-include', header])
  const check = [...include, '-fsyntax-only', '-x', 'c', '/dev/null']
  return spawnSync(process.env['CC'] ?? 'cc', check).status === 0
}
