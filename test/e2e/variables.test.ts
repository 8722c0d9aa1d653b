import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { credentials } from '@grpc/grpc-js'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { openConnection } from '../../src/cli/connection.js'
import { runCli, startCli } from '../support/cli.js'
import { noReload } from '../support/reload.js'

describe('an agent that is configured by variables alone', { skip: process.platform === 'win32' }, () => {
  it('serves, hides them from functions, and reloads', async (t) => {
    const cwd = makeTempDir('flux-variables-')
    const env = {
      FLUX_AGENT_AGENT_ID: 'of-variables',
      FLUX_AGENT_HOST: '127.0.0.1',
      FLUX_AGENT_PORT: '0',
      FLUX_AGENT_REDIS_ADDR: 'embedded',
      FLUX_AGENT_RUN_AS: 'self',
      FLUX_AGENT_STATE_DIR: 'state',
      FLUX_AGENT_WORKERS: '1',
      FLUX_AGENT_NETWORK_NODE_PUBLIC_IP: '192.0.2.1',
    }
    const checked = await runCli(['check-config'], { env, cwd })
    assert.deepEqual(
      [checked.code, checked.stdout.toString(), checked.stderr],
      [
        0,
        Object.keys(env)
          .map((name) => `${name}: ok\n`)
          .join(''),
        '',
      ],
    )

    const { process: agent, result } = startCli(['start'], { env, cwd })
    let log = ''
    agent.stderr?.on('data', (data) => {
      log += data
    })
    const port = await eventually('it serves', () => /"port":(\d+).*"msg":"serving"/.exec(log)?.[1], 30)
    const connection = openConnection(`127.0.0.1:${port}`, credentials.createInsecure())
    t.after(() => connection.close())
    const calls = new Calls(connection.agent)
    assert.equal((await calls.status()).agent_id, 'of-variables')
    await calls.script('environ', 'cat /proc/$$/environ')
    const { output } = await calls.execute({ function_name: 'environ' })
    assert.match(output.toString(), /FLUX_EXECUTION_ID=/)
    assert.doesNotMatch(output.toString(), /FLUX_AGENT_/)

    if (!noReload) {
      agent.kill('SIGHUP')
      await eventually('it reloads', () => /"file":"environment","changed":\{\}.*configuration read again/.test(log))
    }
    agent.kill('SIGTERM')
    assert.equal((await result).code, 0)
  })
})
