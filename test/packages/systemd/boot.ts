import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { type Identity, makeCertificates } from '../../../harness/certificates.js'
import { VERSION } from '../../../src/version.js'
import { debOf, output } from '../debian/packages.js'

const ROOT = resolve(import.meta.dirname, '../../../..')
const CANNOT = 77

/** What the version of the package that is built is before, and is after, an upgrade to `newer.deb`. */
export interface Versions {
  readonly built: string
  readonly newer: string
}

/**
 * Runs scripts of `guest/` on a bare Debian, each after a boot of its own. They find the package, a newer one and the
 * certificates in the folder they share. Skips the test where this machine cannot boot one.
 */
export async function runInGuest(t: TestContext, release: string, ...scripts: string[]): Promise<void> {
  const shared = makeTempDir('flux-guest-')
  writePackages(shared)
  await writeCertificates(shared)
  const paths = scripts.map((script) => join(import.meta.dirname, 'guest', `${script}.js`))
  // The channel tells the guest when this process is gone.
  const guest = fork(join(ROOT, 'scripts/systemd-guest.mjs'), [release, shared, ...paths], { signal: t.signal })
  const [code] = await once(guest, 'exit')
  if (code === CANNOT) t.skip('this machine cannot boot a guest, see above')
  else assert.equal(code, 0, 'tests in the guest have failed, see above')
}

/** The one that is built, and the same again with a higher version. */
function writePackages(shared: string): void {
  const built = VERSION
  const versions: Versions = { built, newer: `${built}.1` }
  writeFileSync(join(shared, 'versions.json'), JSON.stringify(versions))
  const debianVersion = versions.built.replace('-', '~')
  copyFileSync(debOf('amd64'), join(shared, 'flux-agent.deb'))

  const tree = join(shared, 'newer')
  output('dpkg-deb', '-R', join(shared, 'flux-agent.deb'), tree)
  replace(join(tree, 'DEBIAN/control'), `Version: ${debianVersion}\n`, `Version: ${versions.newer}\n`)
  replace(join(tree, 'usr/lib/flux-agent/package.json'), `"version": "${built}"`, `"version": "${versions.newer}"`)
  output('dpkg-deb', '--root-owner-group', '-Znone', '-b', tree, join(shared, 'newer.deb'))
  rmSync(tree, { recursive: true })
}

async function writeCertificates(shared: string): Promise<void> {
  const { authority, agent, flux } = await makeCertificates()
  writeFileSync(join(shared, 'ca.pem'), authority.cert)
  const write = (name: string, identity: Identity) => {
    writeFileSync(join(shared, `${name}.pem`), identity.cert)
    writeFileSync(join(shared, `${name}-key.pem`), identity.key)
  }
  write('agent', agent)
  write('flux', flux)
  write('other', await authority.issue({ subject: 'CN=other' }))
}

function replace(file: string, text: string, by: string): void {
  const before = readFileSync(file, 'utf8')
  assert.ok(before.includes(text), `${file} has no ${text}`)
  writeFileSync(file, before.replace(text, by))
}
