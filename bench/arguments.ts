import { Command, InvalidArgumentError, Option } from 'commander'
import type { Bench, BenchOptions } from './bench.js'
import { UPSTREAM_PARTS } from './cases/upstream.js'
import { GivenTargets } from './targets/given-targets.js'
import type { Target } from './targets/target.js'

/** Parsed arguments of `npm run bench -- …`. */
export interface BenchArguments {
  /** Names of benches; empty: all. */
  readonly names: readonly string[]
  /** Running servers to measure; empty: each bench starts its own. */
  readonly given: readonly Target[]
  readonly options: BenchOptions
  /** Source of the upstream agent. */
  readonly upstream: string | undefined
}

const EXAMPLES = `
Without --address each bench starts an agent of its own. With several they are measured in turns, A B A B, and
compared; benches that only measure this machine are left out then, unless they are named.

With --upstream each bench starts the agent that this one takes over from as well, measures both in turns, and divides
by its figures. Both are as on a node then: with mTLS, and functions run as another user.

Examples:
  npm run bench -- throughput cancel
  npm run bench -- throughput --address localhost:50052 --pid 4711 --redis 6379
  npm run bench -- throughput --address localhost:50052 --label old --address localhost:50053 --label new
  npm run bench -- upstream --upstream ../serverless-agent`

/** Parses the arguments. Ends the process for --help, or where they are wrong. */
export function readArguments(benches: readonly Bench[]): BenchArguments {
  const servers = new GivenTargets()
  const program = new Command('npm run bench --')
    .description('Measures an agent, or any server of its contract.')
    .argument('[NAMES...]', 'benches to run (default: all)')
    .option('--soak-minutes <N>', 'how long the soak works', minutes, 0.5)
    .option('--upstream <FOLDER>', "source of the upstream agent: it's built, and measured beside own agents")
    .addOption(
      new Option('--parts <NAMES...>', 'of the bench upstream (default: all)').choices(UPSTREAM_PARTS).default([]),
    )
    .option('--address <HOST:PORT>', 'server to measure; can be repeated', servers.address)
    .optionsGroup('Each of these belongs to the --address before it:')
    .option('--label <NAME>', 'what its rows are called (default: the address)', servers.text('label'))
    .option('--pid <N>', 'its process, for memory and processor time', servers.number('pid'))
    .option('--redis <PORT>', 'Redis on the loopback that it keeps its records in', servers.number('redisPort'))
    .option('--tls-ca <FILE>', 'mTLS: CA certificate that it is verified by, as flux-agent', servers.text('tlsCa'))
    .option('--tls-cert <FILE>', 'mTLS: client certificate', servers.text('tlsCert'))
    .option('--tls-key <FILE>', 'mTLS: key of the client certificate', servers.text('tlsKey'))
    .addHelpText(
      'after',
      ['\nBenches:', ...benches.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`)].join('\n'),
    )
    .addHelpText('after', EXAMPLES)
    .parse()
  try {
    const { upstream, ...options } = program.opts<BenchOptions & { upstream?: string }>()
    const given = servers.all()
    if (upstream !== undefined && given.length > 0) throw new Error('--upstream is for own agents: leave out --address')
    return { names: known(program.args, benches), given, options, upstream }
  } catch (error) {
    return program.error(`error: ${(error as Error).message}`)
  }
}

function known(names: readonly string[], benches: readonly Bench[]): readonly string[] {
  const unknown = names.filter((name) => !benches.some((bench) => bench.name === name))
  if (unknown.length > 0) throw new Error(`there is no bench of the name ${unknown.join(', ')}; --help has them all`)
  return names
}

function minutes(text: string): number {
  const value = Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('It needs to be a number above 0.')
  return value
}
