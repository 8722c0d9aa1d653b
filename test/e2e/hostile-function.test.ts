import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, lstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { launchersOf, noLauncher } from '../../harness/launchers.js'
import { allProcesses } from '../../harness/proc.js'
import { isRunning } from '../../harness/processes.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { platform } from '../../src/os/index.js'
import { mutualTls } from '../support/flux-client.js'
import { compileProbe, noProbe } from '../support/probe.js'
import { createUser, noUsers, type SystemUser } from '../support/system-user.js'

const { cgroups } = noLauncher === undefined ? platform.inspectIsolation() : {}
const DENIED = /Permission denied|Operation not permitted/

describe('a hostile function', { skip: noUsers }, () => {
  let user: SystemUser
  let agent: TestAgent
  let calls: Calls
  let dir: string
  /** The agent and its launchers. */
  let agents: number[]

  before(async () => {
    user = createUser()
    execFileSync('usermod', ['--append', '--groups', 'users', user.name])
    // Every folder is open, so that it is the agent's own modes that keep functions out.
    dir = openFolder()
    writeFileSync(join(dir, 'agent.yaml'), '', { mode: 0o600 })
    const { authority, agent: identity, flux } = await makeCertificates()
    const { caCert, certFile, keyFile } = writeAgentFiles(join(dir, 'tls'), authority, identity)
    const tls = { ca_cert: caCert, cert_file: certFile, key_file: keyFile }
    const credentials = mutualTls(authority.cert, flux)
    agent = await startTestAgent({
      config: { run_as: user.name, functions: { isolation: 'shared' }, tls },
      credentials,
      dir,
    })
    calls = new Calls(agent.client)
    await calls.script('run', 'eval "$1"')
    agents = [agent.pid, ...launchersOf(agent.pid)]
  })
  after(async () => {
    await agent.stop()
    user.remove()
  })

  function openFolder(): string {
    const folder = makeTempDir('flux-hostile-')
    chmodSync(folder, 0o755)
    return folder
  }

  /** What it prints, with the error. */
  async function run(lines: string): Promise<string> {
    const { output, error } = await calls.execute({ function_name: 'run', args: [lines] })
    return `${output}${error}`
  }

  async function denied(lines: string): Promise<void> {
    const said = await run(lines)
    assert.match(said, DENIED, lines)
    assert.match(said, /exit code \d+$/, lines)
  }

  it('runs as nobody else: its own user, its own groups', async () => {
    assert.equal(await run('id -u'), `${user.uid}\n`)
    const groups = execFileSync('id', ['-G', user.name], { encoding: 'utf8' })
    assert.equal(groups.trim().split(' ').length, 2)
    // child_process sets no supplementary groups.
    assert.equal(await run('id -G'), noLauncher ? `${user.gid}\n` : groups)
  })

  it('is started without a warning where all is closed', () => {
    assert.doesNotMatch(agent.logs(), /functions can read/)
  })

  it("cannot read the agent's configuration, key, state or store", async () => {
    const state = join(dir, 'state')
    assert.equal(statSync(state).mode & 0o777, 0o700)
    const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    assert.ok(files.length > 1)
    const paths = [agent.configFile, join(dir, 'tls', 'agent-key.pem'), ...files.map((f) => join(f.parentPath, f.name))]
    for (const path of paths) await denied(`cat '${path}'`)
    for (const folder of [state, join(state, 'store')]) await denied(`ls '${folder}'`)
    await denied(`echo evil >> '${agent.configFile}'`)
    await denied(`touch '${join(dir, 'tls', 'agent.pem')}'`)
  })

  it('cannot signal the agent or its launchers', async () => {
    for (const pid of agents) for (const signal of ['0', 'STOP', 'KILL', 'TERM']) await denied(`kill -${signal} ${pid}`)
    await run('kill -KILL -1')
    for (const { pid, state } of allProcesses().filter(({ pid }) => agents.includes(pid))) {
      assert.match(state, /^[RSD]$/, `process ${pid}`)
    }
    assert.equal(agents.every(isRunning), true)
    assert.equal((await calls.health()).healthy, true)
  })

  it('cannot look into the agent or its launchers', async () => {
    for (const pid of agents) {
      for (const file of ['environ', 'maps', 'stack']) await denied(`cat /proc/${pid}/${file}`)
      await denied(`head -c 1 /proc/${pid}/mem`)
      await denied(`echo > /proc/${pid}/mem`)
      for (const folder of ['fd', 'root/', 'cwd/']) await denied(`ls /proc/${pid}/${folder}`)
    }
  })

  it('cannot trace the agent or its launchers', { skip: noProbe }, async () => {
    const archive = buildZip([{ name: 'probe', contents: compileProbe(), mode: PROGRAM }])
    await calls.deploy('probe', archive, { name: 'probe', handler: 'probe' })
    const control = await calls.execute({ function_name: 'probe', args: ['trace-child'] })
    assert.equal(control.output.toString(), 'attach: done\n', 'the probe itself does not work')
    const { output } = await calls.execute({ function_name: 'probe', args: ['trace', ...agents.map(String)] })
    const lines = output.toString().trim().split('\n')
    assert.equal(lines.length, 3 * agents.length)
    for (const line of lines) assert.match(line, DENIED)
  })

  it('leaves nothing behind', { skip: noLauncher }, async () => {
    const lines = `
      prlimit --locks=0:0 setsid sleep 600 & echo $!
      sh -c 'setsid sleep 600 & echo $!'
      sleep 0.3`
    const pids = (await run(lines)).trim().split('\n').map(Number)
    assert.equal(pids.length, 2)
    assert.deepEqual(pids.filter(isRunning), [])
  })

  it('cannot leave its cgroup, nor make one', { skip: cgroups ? noLauncher : 'needs cgroups' }, async () => {
    const own = `${cgroups}$(sed -n 's/^0:://p' /proc/self/cgroup)`
    for (const folder of [cgroups, own, `${own}/..`]) {
      await denied(`echo $$ > ${folder}/cgroup.procs`)
      await denied(`mkdir ${folder}/more`)
    }
  })

  it('has no descriptor but its three', { skip: noProbe ?? noLauncher }, async () => {
    const archive = buildZip([{ name: 'probe', contents: compileProbe(), mode: PROGRAM }])
    await calls.deploy('probe', archive, { name: 'probe', handler: 'probe' })
    const { output } = await calls.execute({ function_name: 'probe', args: ['fds'] })
    assert.equal(output.toString(), '0\n1\n2\n')
  })

  it('cannot rename, replace or change the apps folder, or its own code', async () => {
    await run('mkdir -p ~/mine')
    const attacks = [
      'mv ~/apps ~/away',
      'mv -T ~/mine ~/apps',
      'ln -sfT /tmp ~/apps',
      'rmdir ~/apps',
      'touch ~/apps/file',
    ]
    const own = [
      'touch file',
      'echo evil >> main.sh',
      'chmod 777 main.sh',
      'rm main.sh',
      'mv main.sh away',
      'mkdir sub',
    ]
    const changes = ['chmod 777 .', 'mv ../../../run ../../../away', 'touch ../file', 'echo evil > ../current']
    for (const attack of [...attacks, ...own, ...changes]) {
      const said = await run(`${attack}; code=$?; exit $code`)
      assert.match(said, /Permission denied|not permitted|cannot overwrite/, attack)
      assert.match(said, /exit code \d+$/, attack)
    }
    const apps = lstatSync(join(user.home, 'apps'))
    assert.deepEqual([apps.isDirectory(), apps.uid, apps.mode & 0o777], [true, 0, 0o750])
    assert.equal(await run('echo > ~/file && rm ~/file && rmdir ~/mine && echo still at home'), 'still at home\n')
  })

  describe('with a setuid program of root', { skip: noLauncher }, () => {
    const folder = openFolder()
    const program = join(folder, 'id')

    before(() => {
      copyFileSync('/usr/bin/id', program)
      chmodSync(program, 0o4755)
    })

    it('gains nothing by it', async () => {
      assert.equal(await run(`${program} -u; grep NoNewPrivs /proc/self/status`), `${user.uid}\nNoNewPrivs:\t1\n`)
    })

    it('becomes root by it where no_new_privileges is false', async (t) => {
      const other = openFolder()
      mkdirSync(join(other, 'apps'), { mode: 0o755 })
      const functions = { isolation: 'shared' }
      const config = { run_as: user.name, functions, apps_dir: join(other, 'apps'), no_new_privileges: false }
      const lenient = await startTestAgent({ config, dir: other })
      t.after(() => lenient.stop())
      const lenientCalls = new Calls(lenient.client)
      await lenientCalls.script('run', 'eval "$1"')
      const { output } = await lenientCalls.execute({ function_name: 'run', args: [`${program} -u`] })
      assert.equal(output.toString(), '0\n')
      // It has the configuration file of every test agent, which whoever is on this machine may read.
      assert.match(lenient.logs(), /functions can read [^:]*agent\.yaml: chmod 600 /)
    })
  })
})
