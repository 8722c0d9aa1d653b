import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'
import { childrenOf } from '../../../harness/proc.js'
import { notRoot, output, without } from './packages.js'

const BASE = 'localhost/bare-debian'
const IMAGE = 'localhost/flux-agent'
/** All that the agent is told. */
const VARIABLES = {
  FLUX_AGENT_AGENT_ID: 'in-a-container',
  FLUX_AGENT_HOST: '127.0.0.1',
  FLUX_AGENT_REDIS_ADDR: 'embedded',
  FLUX_AGENT_NETWORK_NODE_PUBLIC_IP: '192.0.2.1',
}

describe('a container of packaging/Containerfile', {
  skip: notRoot || without('buildah', 'debootstrap', 'ip', 'nsenter'),
}, () => {
  const dir = makeTempDir('flux-container-')
  // Nothing of the machine's own images, and no file system that this machine may not have.
  const storage = ['--storage-driver', 'vfs', '--root', join(dir, 'images'), '--runroot', join(dir, 'run')]
  const buildah = (...args: string[]) => output('buildah', ...storage, ...args).trim()
  let root: string
  let container: ChildProcess
  let log = ''

  before(async () => {
    const bare = buildah('from', 'scratch')
    output(process.execPath, 'scripts/debian-tree.mjs', 'bookworm', buildah('mount', bare))
    buildah('commit', '--quiet', bare, BASE)
    const file = ['--file', 'packaging/Containerfile', '--tag', IMAGE]
    const args = ['--build-arg', `BASE=${BASE}`, '--build-arg', 'TARGETARCH=amd64']
    buildah('build', '--quiet', '--isolation', 'chroot', ...args, ...file, '.')
    root = buildah('mount', buildah('from', IMAGE))
    cpSync('examples/hello', join(root, 'root/hello'), { recursive: true })
    container = startContainer()
    await eventually('it serves', () => inside('flux-agent status').status === 0, 30)
  })
  after(() => {
    container?.kill('SIGKILL')
    // What is mounted cannot be removed with the folder.
    if (root) spawnSync('buildah', [...storage, 'umount', '--all'])
  })

  /** As an engine runs it: with namespaces of its own, the command of the image as process 1. */
  function startContainer(): ChildProcess {
    const { config } = JSON.parse(buildah('inspect', '--type', 'image', IMAGE)).OCIv1
    const namespaces = [
      '--mount',
      '--net',
      '--ipc',
      '--uts',
      '--pid',
      '--fork',
      '--kill-child',
      `--mount-proc=${root}/proc`,
    ]
    const enter = 'ip link set lo up; root=$1; shift; exec chroot "$root" "$@"'
    const args = [...namespaces, 'sh', '-c', enter, 'sh', root, ...config.Entrypoint, ...config.Cmd]
    const child = spawn('unshare', args, { env: environment(config.Env), stdio: ['ignore', 'ignore', 'pipe'] })
    onExit(() => child.kill('SIGKILL'))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    return child
  }

  const environment = (own: readonly string[] = []) => ({
    ...Object.fromEntries(own.map((text) => text.split(/=(.*)/s))),
    ...VARIABLES,
  })

  /** The pid of its process 1. */
  function first(): number {
    return childrenOf(container.pid ?? 0)[0]?.pid ?? 0
  }

  /** Runs a shell command in it, as `docker exec` does. */
  function inside(command: string): { status: number | null; text: string } {
    const enter = ['--target', `${first()}`, '--mount', '--net', '--ipc', '--uts', '--pid', 'chroot', root]
    const { status, stdout, stderr } = spawnSync('nsenter', [...enter, 'sh', '-c', `cd /root && ${command}`], {
      encoding: 'utf8',
      env: { ...environment(), PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      timeout: 60_000,
    })
    return { status, text: stdout + stderr }
  }

  const zombies = () => inside('cat /proc/[0-9]*/stat').text.match(/^\d+ \(.*\) Z /gm) ?? []

  it('runs functions, configured by variables alone', () => {
    const { status, text } = inside('flux-agent deploy hello /root/hello && flux-agent exec hello container')
    assert.equal(status, 0, `${text}\n${log}`)
    assert.match(text, /Hello, container!/)
  })

  it('leaves no zombies of what has lost its parent', async () => {
    inside('(sleep 0.1 & sleep 0.2 &)')
    const script =
      'mkdir -p /tmp/tree && printf "#!/bin/sh\\n(sleep 300 & sleep 300 &)\\nsleep 300\\n" >/tmp/tree/main.sh'
    assert.equal(inside(`${script} && flux-agent deploy tree /tmp/tree && flux-agent exec --async tree`).status, 0)
    await eventually('its children run', () => /sleep/.test(inside('cat /proc/[0-9]*/comm').text))
    // Their launchers, which would reap them.
    inside('cd /proc; for pid in [0-9]*; do [ "$(cat $pid/comm)" = launcher ] && kill -KILL $pid; done')
    await eventually('they are gone', () => !/sleep/.test(inside('cat /proc/[0-9]*/comm').text), 30)
    await eventually('they are reaped', () => zombies().length === 0, 30)
    assert.equal(inside('flux-agent exec hello again').status, 0)
  })

  it('ends in order, with exit code 0, when its engine stops it', async () => {
    process.kill(first(), 'SIGTERM')
    const [code] = await once(container, 'exit')
    assert.equal(code, 0, log)
    assert.match(log, /"msg":"stopped"/)
  })
})
