import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { it } from 'node:test'
import { describeEach } from './variants.js'

/** Those that end a process by default (signal(7)), and the realtime ones. */
const NAMES = [
  ...['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGKILL', 'SIGUSR1'],
  ...['SIGSEGV', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM'],
  ...['SIGPROF', 'SIGIO', 'SIGPWR', 'SIGSYS'],
] as const
const SIGNALS = [
  ...NAMES.map((name) => constants.signals[name]),
  // From SIGRTMIN of the kernel, of which the C library keeps two for itself.
  ...Array.from({ length: 33 }, (_, i) => 32 + i),
]
const NO_CORE = { rlimits: [[4, 0, 0]] } as const

describeEach(
  'an end',
  ({ launch, cgroups }) => {
    it('tells every exit code', async () => {
      const launcher = launch()
      const codes = Array.from({ length: 256 }, (_, code) => code)
      const ends = codes.map((code) => launcher.script(`exit ${code}`).ended)
      const told = (await Promise.all(ends)).map(({ exitCode, signal, oom, survivors }) => [
        exitCode,
        signal,
        oom,
        survivors,
      ])
      assert.deepEqual(
        told,
        codes.map((code) => [code, 0, 0, 0]),
      )
    })

    it('tells every signal', async () => {
      const launcher = launch()
      const ends = SIGNALS.map((signal) => launcher.script(`kill -${signal} $$; exec sleep 60`, NO_CORE).ended)
      const told = (await Promise.all(ends)).map(({ exitCode, signal }) => [exitCode, signal])
      assert.deepEqual(
        told,
        SIGNALS.map((signal) => [0, signal]),
      )
    })

    it('tells what was used by the leader and those it waited for', async () => {
      const launcher = launch()
      const busy = launcher.script(
        '(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); head -c 50000000 /dev/zero | tail -n 1 >/dev/null',
      )
      const idle = launcher.script('sleep 0.2')
      const { userUs, maxRssKb, cgroupCpuUs, ...rest } = await busy.ended
      assert.ok(userUs > 50_000 && userUs < 30_000_000, `${userUs} µs`)
      assert.ok(maxRssKb > 48_000 && maxRssKb < 200_000, `${maxRssKb} kB`)
      if (cgroups) assert.ok(cgroupCpuUs > 0.9 * (userUs + rest.systemUs) - 20_000, `${cgroupCpuUs} µs`)
      else assert.equal(cgroupCpuUs, 0)
      const other = await idle.ended
      assert.ok(other.userUs < userUs && other.maxRssKb < maxRssKb, JSON.stringify(other))
      if (cgroups) assert.ok(other.cgroupCpuUs < cgroupCpuUs, JSON.stringify(other))
    })

    it('tells of each execution only what that one has used, in a cgroup that was used before', async () => {
      const launcher = launch()
      const { cgroupCpuUs } = await launcher.script('i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done').ended
      const next = await launcher.start({ file: '/bin/true' }).ended
      assert.ok(cgroups ? next.cgroupCpuUs < cgroupCpuUs / 2 : next.cgroupCpuUs === 0, JSON.stringify(next))
    })
  },
  { fallbacks: true },
)
