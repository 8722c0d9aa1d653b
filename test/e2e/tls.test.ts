import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { credentials } from '@grpc/grpc-js'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { issueAgent, makeCertificates, serialOf, writeAgentFiles } from '../../harness/certificates.js'
import { eventually } from '../../harness/eventually.js'
import { runCli } from '../support/cli.js'
import { agentFor, describeAgent } from '../support/describe-agent.js'
import { clientsTo, mutualTls, statusOf, statusOfEach } from '../support/flux-client.js'
import { handshake } from '../support/health-server.js'
import { linesOf } from '../support/log-lines.js'
import { deployWithFiles } from '../support/scripts.js'

const MB = 1_000_000
const { authority, agent: identity, flux, rogue } = await makeCertificates()
const asFlux = mutualTls(authority.cert, flux)

const RPCS = [
  'RegisterFunction',
  'DeployFunction',
  'ExecuteFunction',
  'CancelExecution',
  'GetExecution',
  'HealthCheck',
  'ReportNodeStatus',
  'ListExecutions',
  'FollowOutput',
  'Drain',
  'Resume',
  'Check',
  'List',
  'Watch',
  'ServerReflectionInfo',
]
const everywhere = (status: string) => Object.fromEntries(RPCS.map((name) => [name, status]))

function tlsConfig(dir: string, allowedClients?: readonly string[]) {
  const { caCert, certFile, keyFile } = writeAgentFiles(dir, authority, identity)
  const files = { ca_cert: caCert, cert_file: certFile, key_file: keyFile }
  return { tls: { ...files, ...(allowedClients && { allowed_clients: allowedClients }) } }
}

const files = makeTempDir('flux-tls-')
const options = { config: tlsConfig(files), credentials: asFlux }

describeAgent('an agent with TLS', options, ({ agent, calls }) => {
  async function statuses(channelCredentials: Parameters<typeof clientsTo>[1]): Promise<Record<string, string>> {
    const clients = clientsTo(agent.port, channelCredentials)
    const found = await statusOfEach(clients)
    clients.close()
    return found
  }

  const oldNode = Number(process.versions.node.split('.')[0]) < 24 && 'this Node closes a connection for that'
  it('keeps the connection however many callers hang up', { skip: oldNode }, async () => {
    await calls.script('long', 'echo started; exec sleep 600')
    const id = await calls.start('long')
    const clients = clientsTo(agent.port, asFlux)
    for (let hungUp = 0; hungUp < 3_000; hungUp++) {
      const stream = clients.operations.followOutput({ execution_id: id })
      stream.on('error', () => {})
      await once(stream, 'data')
      stream.cancel()
    }
    assert.equal((await statusOfEach(clients))['HealthCheck'], 'OK')
    clients.close()
    await calls.cancel(id)
  })

  it('lets Flux call everything', async () => {
    assert.deepEqual(await statuses(asFlux), { ...everywhere('OK'), FollowOutput: 'NOT_FOUND' })
  })

  it('lets no other agent call anything, although the same authority has signed for it', async () => {
    const other = await issueAgent(authority)
    assert.deepEqual(await statuses(mutualTls(authority.cert, other)), everywhere('PERMISSION_DENIED'))
    assert.deepEqual(await statuses(mutualTls(authority.cert, identity)), everywhere('PERMISSION_DENIED'))
  })

  it('names the caller it refuses, and who may call', async () => {
    const clients = clientsTo(agent.port, mutualTls(authority.cert, identity))
    await assert.rejects(new Calls(clients.agent).health(), {
      details: 'caller "flux-agent" (DNS:flux-agent) is not among tls.allowed_clients of this agent',
    })
    clients.close()
  })

  it('keeps out a caller without a certificate, one of another authority and one without TLS', async () => {
    for (const caller of [mutualTls(authority.cert), mutualTls(authority.cert, rogue), credentials.createInsecure()]) {
      assert.deepEqual(await statuses(caller), everywhere('UNAVAILABLE'))
    }
  })

  it('says in its log why a handshake failed, and with whom, once for each reason', async () => {
    await handshake(agent.port, authority.cert, { identity: flux, version: 'TLSv1.1' })
    // It does not trust the agent, and says so; a client of Node would only hang up.
    const other = join(files, 'other.pem')
    writeFileSync(other, rogue.cert)
    const distrust = ['s_client', '-connect', `127.0.0.1:${agent.port}`, '-verify_return_error', '-CAfile', other]
    spawnSync('openssl', distrust, { input: '', timeout: 10_000 })
    // A balancer that looks at the port.
    const socket = connect(agent.port, '127.0.0.1').on('connect', () => socket.end())
    await once(socket.resume(), 'close')
    const problems = [
      'presents no certificate',
      'presents a certificate that tls.ca_cert has not signed',
      'speaks no TLS',
      'speaks no TLS of version 1.2 or later',
      "does not trust this agent's certificate",
    ]
    const told = () => linesOf(agent.logs()).filter(({ msg }) => msg.startsWith('refused: a caller '))
    const text = ({ msg }: { readonly msg: string }) => msg.replace(/^refused: a caller | \([A-Z0-9_]+\)$/g, '')
    await eventually('all are told', () => told().length >= problems.length)
    assert.deepEqual(told().map(text).sort(), problems.sort())
    for (const { peer, level } of told()) {
      assert.match(String(peer), /^127\.0\.0\.1:\d+$/)
      assert.equal(level, 40)
    }
  })

  it('takes and gives messages of close to 50 MiB', async () => {
    const data = randomBytes(49 * MB)
    await deployWithFiles(calls, 'large', 'wc -c < data; cat data', { data })
    const { output, error } = await calls.execute({ function_name: 'large' })
    assert.equal(error, '')
    assert.deepEqual(output.subarray(0, 9).toString(), '49000000\n')
    // The output is capped: what is beyond 32 MiB is left out.
    assert.deepEqual(output.subarray(9, 32 * MB), data.subarray(0, 32 * MB - 9))
    // As text it is longer than its bytes, so that the record is cut to what a message takes.
    const id = await calls.start('large')
    await eventually('it has ended', async () => (await calls.status()).active_tasks === 0)
    const answered = (await calls.get(id)).data.length
    assert.ok(answered > 49 * MB && answered < 50 * 2 ** 20, `${answered} bytes`)
  })

  it('serves a renewed certificate without a restart, while executions and connections go on', async () => {
    await calls.script('wait', 'echo begun; while [ ! -e "$1" ]; do sleep 0.05; done; echo ended')
    const gate = join(files, 'gate')
    const id = await calls.start('wait', [gate])
    await calls.printed(id, 'begun')
    const stream = agent.operations.followOutput({ execution_id: id })
    const received: string[] = []
    const over = new Promise<void>((resolve, reject) => {
      stream.on('data', ({ chunk }) => received.push(chunk?.data.toString() ?? 'record'))
      stream.on('end', resolve).on('error', reject)
    })

    const renewed = await issueAgent(authority)
    writeAgentFiles(files, authority, renewed)
    await eventually('a new connection meets the renewed certificate', async () => {
      const met = await handshake(agent.port, authority.cert, { identity: flux })
      return met.kind === 'accepted' && met.serial === serialOf(renewed)
    })
    assert.equal((await calls.health()).healthy, true)
    writeFileSync(gate, '')
    await over
    assert.deepEqual(received, ['begun\n', 'ended\n', 'record'])
    assert.deepEqual(await statuses(asFlux), { ...everywhere('OK'), FollowOutput: 'NOT_FOUND' })
  })

  it('goes on with the certificate in use while the renewed files are missing or do not fit together', async () => {
    const inUse = await handshake(agent.port, authority.cert, { identity: flux })
    const { certFile, keyFile } = writeAgentFiles(files, authority, await issueAgent(authority))
    rmSync(keyFile)
    await eventually('the missing key is told', () => agent.logs().includes(`${keyFile}: cannot be read (ENOENT)`))
    writeFileSync(keyFile, flux.key)
    await eventually('the wrong key is told', () => agent.logs().includes(`${keyFile}: is not the key of ${certFile}`))
    const now = await handshake(agent.port, authority.cert, { identity: flux })
    assert.ok(inUse.kind === 'accepted' && now.kind === 'accepted')
    assert.equal(now.serial, inUse.serial)
  })
})

describe('tls.allowed_clients', () => {
  it('decides who may call', async (t) => {
    const operator = await authority.issue({ subject: 'CN=someone', san: [{ type: 'dns', value: 'operator' }] })
    const config = tlsConfig(makeTempDir('flux-tls-'), ['operator'])
    const [agent] = await agentFor(t, { config, credentials: mutualTls(authority.cert, operator) })
    assert.equal((await new Calls(agent.client).health()).healthy, true)
    const refused = clientsTo(agent.port, asFlux)
    assert.equal(await statusOf(new Calls(refused.agent).health()), 'PERMISSION_DENIED')
    refused.close()
  })
})

describe('a start with TLS files that cannot be used', () => {
  async function startWith(files: ReturnType<typeof tlsConfig>['tls']) {
    const dir = makeTempDir('flux-tls-')
    const config = { agent_id: 'tls', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self' }
    const file = join(dir, 'agent.yaml')
    writeFileSync(file, JSON.stringify({ ...config, state_dir: join(dir, 'state'), tls: files }))
    return runCli(['start', '--config', file])
  }

  it('ends with a line that names the key and the file that is missing', async () => {
    const { tls } = tlsConfig(makeTempDir('flux-tls-'))
    rmSync(tls.cert_file)
    const { code, stderr } = await startWith(tls)
    assert.equal(code, 1)
    assert.match(stderr, /^flux-agent: \/.*agent\.yaml: tls\.cert_file: ".*agent\.pem" is not allowed; .*\(ENOENT\)\n$/)
  })

  it('ends with a line that names certificate and key that do not belong together', async () => {
    const { tls } = tlsConfig(makeTempDir('flux-tls-'))
    writeFileSync(tls.key_file, flux.key)
    const { code, stderr } = await startWith(tls)
    assert.equal(code, 1)
    const lines = stderr.trim().split('\n')
    const last = JSON.parse(lines.at(-1) ?? '')
    assert.equal(
      last.msg,
      `cannot start: ${tls.key_file}: is not the key of ${tls.cert_file}; replace both with a pair issued together`,
    )
    assert.equal(stderr.includes('    at '), false, stderr)
  })
})
