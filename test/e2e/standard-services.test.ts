import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { status } from '@grpc/grpc-js'
import { makeTempDir } from '../../harness/agent.js'
import { issueAgent, makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { eventually } from '../../harness/eventually.js'
import { answer } from '../../src/cli/connection.js'
import type { DrainResponse__Output } from '../../src/generated/flux/operations/DrainResponse.js'
import type { ResumeResponse__Output } from '../../src/generated/flux/operations/ResumeResponse.js'
import { AGENT_SERVICE, OPERATIONS } from '../../src/proto.js'
import { agentFor, describeAgent } from '../support/describe-agent.js'
import { mutualTls, standardClients } from '../support/flux-client.js'
import { noPython, startPython } from '../support/python-grpc.js'

const SERVICES = ['', AGENT_SERVICE, OPERATIONS]
const everyone = (answered: string) => Object.fromEntries(SERVICES.map((name) => [name, answered]))
const REFLECTED = {
  'flux.AgentService': [
    ...['RegisterFunction', 'DeployFunction', 'ExecuteFunction', 'CancelExecution', 'GetExecution'],
    ...['HealthCheck', 'ReportNodeStatus'],
  ],
  'flux.operations.Operations': ['FollowOutput', 'ListExecutions', 'Drain', 'Resume'],
  'grpc.health.v1.Health': ['Check', 'List', 'Watch'],
  'grpc.reflection.v1.ServerReflection': ['ServerReflectionInfo'],
  'grpc.reflection.v1alpha.ServerReflection': ['ServerReflectionInfo'],
}

describe("the streams of gRPC's standard services", () => {
  it('end when the agent stops, however many there are', async (t) => {
    const [agent] = await agentFor(t)
    const { health, reflection } = standardClients(agent.client)
    const ends: Promise<string>[] = []
    let told = 0
    for (let i = 0; i < 15; i++) {
      const reflected = reflection.ServerReflectionInfo()
      reflected.write({ list_services: '' })
      for (const stream of [health.Watch({ service: '' }), reflected]) {
        ends.push(new Promise((end) => stream.on('error', ({ message }) => end(message))))
        stream.on('data', () => told++)
      }
    }
    await eventually('each has its answer', () => told >= 30)
    assert.equal(await agent.stop(), 0)
    assert.deepEqual(new Set(await Promise.all(ends)), new Set(['14 UNAVAILABLE: agent is stopping']))
    assert.doesNotMatch(agent.logs(), /MaxListeners|a defect/)
  })
})

const { authority, agent: identity, flux } = await makeCertificates()
const files = writeAgentFiles(makeTempDir('flux-tls-'), authority, identity)
const options = {
  skip: noPython,
  config: { tls: { ca_cert: files.caCert, cert_file: files.certFile, key_file: files.keyFile } },
  credentials: mutualTls(authority.cert, flux),
}

describeAgent("gRPC's standard services, by clients of Python", options, ({ agent }) => {
  const certificates = makeTempDir('flux-python-')

  function python({ cert, key }: typeof flux, ...args: readonly string[]) {
    const [certFile, keyFile] = [join(certificates, 'cert.pem'), join(certificates, 'key.pem')]
    writeFileSync(certFile, cert)
    writeFileSync(keyFile, key)
    return startPython(`127.0.0.1:${agent.port}`, files.caCert, certFile, keyFile, ...args)
  }
  const asked = async (...args: readonly string[]) => JSON.parse(await python(flux, ...args).printed)

  it('tell the health of each service, and no other', async () => {
    const unknown = { 'flux.Agent': 'NOT_FOUND' }
    assert.deepEqual(await asked('check', ...SERVICES, 'flux.Agent'), { ...everyone('SERVING'), ...unknown })
  })

  it('tell nothing to a caller who may not call', async () => {
    const other = python(await issueAgent(authority), 'check', '')
    assert.deepEqual(JSON.parse(await other.printed), { '': 'PERMISSION_DENIED' })
  })

  for (const version of ['v1', 'v1alpha']) {
    it(`tell by reflection, ${version}, how they are called`, async () => {
      assert.deepEqual(await asked('reflect', `grpc.reflection.${version}`), {
        services: Object.keys(REFLECTED),
        methods: REFLECTED,
        'own types': true,
        files: true,
        map: ['EnvEntry'],
        agent: 'test-agent',
        unknown: [status.NOT_FOUND, status.NOT_FOUND, status.INVALID_ARGUMENT],
        extensions: [],
      })
    })
  }

  // The last case, since it stops the agent.
  it('tell of a drain, its end, and a stop to those who watch', async () => {
    const { operations } = agent
    const [watched, unknown] = [python(flux, 'watch', AGENT_SERVICE), python(flux, 'watch', 'flux.Agent')]
    const told = (...lines: readonly string[]) =>
      eventually(`${lines} is told`, () => watched.lines.join() === lines.join())
    await told('SERVING')
    await answer<DrainResponse__Output>((call, done) => operations.drain({}, call, done))
    await told('SERVING', 'NOT_SERVING')
    assert.deepEqual(await asked('check', ...SERVICES), everyone('NOT_SERVING'))
    await answer<ResumeResponse__Output>((call, done) => operations.resume({}, call, done))
    await told('SERVING', 'NOT_SERVING', 'SERVING')
    await agent.stop()
    assert.equal(await watched.printed, 'SERVING\nNOT_SERVING\nSERVING\nNOT_SERVING\nUNAVAILABLE')
    assert.equal(await unknown.printed, 'SERVICE_UNKNOWN\nUNAVAILABLE')
  })
})
