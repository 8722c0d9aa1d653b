import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { calling } from './bootstrap.js'
import { eventuallyInGuest, journal, mainPid, property, run, UNIT } from './machine.js'

describe('the unit', () => {
  it('has what an agent needs of systemd', () => {
    const properties = [
      'Type',
      'NotifyAccess',
      'Delegate',
      'KillMode',
      'OOMPolicy',
      'Restart',
      'TasksMax',
      'LimitNOFILE',
    ]
    assert.deepEqual(
      properties.map((name) => `${name}=${property(name)}`),
      [
        ...[
          'Type=notify',
          'NotifyAccess=main',
          'Delegate=yes',
          'KillMode=mixed',
          'OOMPolicy=continue',
          'Restart=always',
        ],
        ...['TasksMax=infinity', 'LimitNOFILE=1048576'],
      ],
    )
    assert.equal(property('StartLimitIntervalUSec'), '0')
    assert.equal(property('WatchdogUSec'), '30s')
  })

  it('shows in its status how many executions run', () =>
    calling(async (calls) => {
      await calls.script('nap', 'sleep "$1"')
      const ids = [await calls.start('nap', ['600']), await calls.start('nap', ['600'])]
      const shown = () => /Status: "(.*)"/.exec(run('systemctl', 'status', '--no-pager', '--full', UNIT))?.[1]
      await eventuallyInGuest('the status names two', () => shown()?.includes('2 executions running'), 20)
      for (const id of ids) assert.equal((await calls.cancel(id)).success, true)
      await eventuallyInGuest('the status names none', () => shown()?.match(/\b(0|no) executions running/), 20)
    }))

  it('writes entries to the journal that have priorities and no second time stamp', () => {
    const entries = journal('--output=json').map((line) => JSON.parse(line) as Record<string, string>)
    const serving = entries.find(({ MESSAGE }) => MESSAGE?.startsWith('serving'))
    assert.equal(serving?.['PRIORITY'], '6')
    assert.equal(serving?.['SYSLOG_IDENTIFIER'], 'flux-agent')
    assert.doesNotMatch(journal('-p', 'warning').join('\n'), /^serving/m)
  })

  it('protects the agent from the end of memory, and not the functions', () =>
    calling(async (calls) => {
      assert.equal(scoreOf(mainPid()), -900)
      await calls.script('score', 'cat /proc/self/oom_score_adj')
      assert.equal((await calls.execute({ function_name: 'score' })).output.toString(), '500\n')
    }))
})

function scoreOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'))
}
