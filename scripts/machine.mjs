// Checks this machine for what the tests need.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { fail } from './run.mjs'

export const inCi = process.env.CI === 'true'
/** What the benches' load client is compiled with. */
export const LOAD_LIBRARIES = [
  { header: 'nghttp2/nghttp2.h', debianPackage: 'libnghttp2-dev' },
  { header: 'openssl/ssl.h', debianPackage: 'libssl-dev' },
]
const isRoot = process.getuid?.() === 0

/** Whether a tool is there; installs it as root on Debian. Fails in CI without it. */
export function has(wanted, debianPackage, isThere) {
  if (provide(wanted, debianPackage, isThere)) return true
  if (inCi) fail(`${wanted} is missing and could not be installed`)
  return false
}

/** As above, for tools that CI can do without. */
export function provide(wanted, debianPackage = wanted, isThere = isProgram) {
  return isThere(wanted) || (isRoot && isProgram('apt-get') && installByApt(debianPackage))
}

export function isProgram(name) {
  return spawnSync(name, ['--version']).error === undefined
}

export function isHeader(name) {
  const compiler = process.env.CC ?? 'cc'
  return spawnSync(compiler, ['-fsyntax-only', '-include', name, '-x', 'c', '/dev/null']).status === 0
}

export function hasLoadLibraries() {
  return LOAD_LIBRARIES.every(({ header, debianPackage }) => has(header, debianPackage, isHeader))
}

function installByApt(debianPackage) {
  console.log(`installing ${debianPackage}`)
  // The documented way to keep Debian's packages from starting their services.
  const policy = '/usr/sbin/policy-rc.d'
  const ours = !existsSync(policy)
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  const apt = (...args) =>
    spawnSync('apt-get', ['-qq', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0
  try {
    const install = () => apt('install', '-y', '--no-install-recommends', debianPackage)
    return install() || (apt('update') && install())
  } finally {
    if (ours) rmSync(policy)
  }
}
