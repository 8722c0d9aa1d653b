import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LaunchSpecs } from '../../../src/main/executions/launch-specs.js'
import type { FunctionLease } from '../../../src/main/functions/functions.js'
import type { CodeVersion, FunctionUsers } from '../../../src/threads/messages.js'

const runAs = { name: 'flux-runner', uid: 998, gid: 997, home: '/home/flux-runner', groups: [44] }
const variables = { FLUX_NODE_PRIVATE_IP: '10.0.0.1', FLUX_NODE_PUBLIC_IP: '' }

function specOf(users: FunctionUsers, more: Partial<CodeVersion> = {}, env: Record<string, string> = {}) {
  const lease: FunctionLease = {
    settings: {
      name: 'hello',
      handler: 'run.sh',
      cpuMillicores: 0,
      memoryMb: 0,
      timeoutSeconds: 0,
      env,
      maxConcurrency: 0,
      maxConcurrencyBehavior: 'exit',
    },
    version: { dir: '/apps/hello/versions/1', digest: '', ...more },
    warnings: [],
    release: () => {},
  }
  return new LaunchSpecs({ variables }, users).of(lease)
}

test('a separate function runs as its own user, in a sandbox, and takes itself for the runner', () => {
  const range = { first: 2_100_000_000, last: 2_100_065_535 }
  const users: FunctionUsers = { kind: 'separate', runAs, folder: '/state/functions', uids: range }
  const spec = specOf(users, { uid: 2_100_000_007 })
  assert.deepEqual(spec.runAs, { ...runAs, uid: 2_100_000_007, gid: 2_100_000_007 })
  assert.equal(spec.sandboxed, true)
})

test('functions that share a user have no sandbox, nor have those of the agent', () => {
  const shared = specOf({ kind: 'shared', runAs })
  assert.deepEqual([shared.runAs, shared.sandboxed], [runAs, false])
  const own = specOf({ kind: 'agent' })
  assert.deepEqual([own.runAs, own.sandboxed], [undefined, false])
})

test("a version's cache is where interpreters look, unless the function names another place", () => {
  const { env } = specOf({ kind: 'agent' }, { cacheDir: '/caches/1' }, { XDG_CACHE_HOME: '/mine' })
  assert.deepEqual(env, {
    PYTHONPYCACHEPREFIX: '/caches/1/python',
    NODE_COMPILE_CACHE: '/caches/1/node',
    XDG_CACHE_HOME: '/mine',
    ...variables,
  })
  assert.deepEqual(specOf({ kind: 'agent' }).env, variables)
})
