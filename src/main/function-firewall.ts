import { isDeepStrictEqual } from 'node:util'
import type { AgentConfig } from '../config/config.js'
import { networkTargetText, readNetworkTarget } from '../config/network-target.js'
import { localStorePorts } from '../host/local-store.js'
import type { NodeAddresses } from '../host/node-addresses.js'
import type { Log } from '../log/log.js'
import type { Firewall, FirewallError, FirewallRules, NetworkTarget } from '../os/platform.js'

const LOOK_MS = 60_000

type Settings = Pick<AgentConfig, 'deny' | 'functions' | 'metrics' | 'network' | 'port' | 'store'>

/**
 * Keeps separate functions from the agent's own ports, from its store where that is on this node, and from what
 * network.deny names. Looks every minute whether that is still so. Main thread.
 */
export class FunctionFirewall {
  /** In them a public address that was looked up: a router may lead packets to it back to this node. */
  private addresses: NodeAddresses | undefined
  /** The agent's own, for calls and for metrics, as far as they are known. */
  private ports: readonly number[]
  private installed: FirewallRules | undefined
  /** As logged. */
  private problem: FirewallError | undefined
  private last: Promise<unknown> = Promise.resolve()
  private readonly timer = setInterval(() => this.refresh(), LOOK_MS)

  constructor(
    private readonly firewall: Firewall,
    private config: Settings,
    private readonly log: Log,
  ) {
    this.ports = ownPorts(config)
  }

  /** Keeps functions from the agent's ports, which are known by now, and from addresses of this node that get known. */
  async serving(ports: readonly number[], addresses: NodeAddresses): Promise<void> {
    this.addresses = addresses
    if (isDeepStrictEqual(ports, this.ports)) return
    this.ports = ports
    await this.refresh()
  }

  /** From now on functions cannot reach these, and no others. */
  use(deny: readonly NetworkTarget[]): void {
    if (isDeepStrictEqual(this.config.deny, deny)) return
    this.config = { ...this.config, deny }
    void this.refresh()
  }

  /**
   * Puts the rules in force where they are not. Resolves with the reason where that fails, which is logged once; the
   * next minute tries again.
   */
  refresh(): Promise<FirewallError | undefined> {
    const done = this.last.then(() => this.enforce())
    this.last = done
    return done
  }

  /** Removes the rules, unless executions are left that outlive this agent. */
  async close(): Promise<void> {
    clearInterval(this.timer)
    await this.last
    await releaseFirewall(this.firewall, this.log)
  }

  private async enforce(): Promise<FirewallError | undefined> {
    const rules = await rulesFor(this.config, this.ports, this.addresses)
    const same = isDeepStrictEqual(rules, this.installed)
    if (same && (await this.firewall.isInstalled())) return undefined
    try {
      await this.firewall.install(rules)
    } catch (error) {
      this.failed(error as FirewallError)
      return this.problem
    }
    if (same)
      this.log.warn(
        'the rules of the firewall for functions were gone, as after a restart of a firewall service that removes all: installed again',
      )
    else
      this.log.info(
        { ports: rules.localPorts, deny: this.config.deny.map(networkTargetText) },
        'functions are kept from the agent by nftables',
      )
    this.installed = rules
    this.problem = undefined
    return undefined
  }

  private failed(problem: FirewallError): void {
    this.installed = undefined
    if (problem.message !== this.problem?.message) this.log.warn(`${openProblem(problem)}; ${problem.fix}`)
    this.problem = problem
  }
}

/** The configured ports of the agent, for calls and for metrics. */
export function ownPorts({ port, metrics }: Pick<AgentConfig, 'port' | 'metrics'>): number[] {
  return [port, metrics?.port ?? 0].filter((own) => own !== 0)
}

/** `ports`: the agent's. */
export async function rulesFor(
  { deny, functions, network, store }: Settings,
  ports: readonly number[],
  found?: NodeAddresses,
): Promise<FirewallRules> {
  const localPorts = [...new Set([...ports, ...(await localStorePorts(store))])]
  const { privateIp, publicIp = found?.publicIp } = network
  const nets = [privateIp, publicIp].flatMap((address) => (address && readNetworkTarget(address)?.net) || [])
  const here = nets.flatMap((net) => localPorts.map((port) => ({ net, port })))
  return { uids: functions.uids, localPorts, deny: [...deny, ...here] }
}

/** Removes the rules, unless executions are left that outlive this agent. */
export async function releaseFirewall(firewall: Firewall, log: Log): Promise<void> {
  await firewall
    .release()
    .catch(({ message: cause }: Error) =>
      log.warn({ cause }, 'the rules of the firewall for functions are left behind'),
    )
}

/** What it means that the rules are not in force. */
export function openProblem({ message }: FirewallError): string {
  return `functions can reach the port of this agent, its store, and what network.deny names: ${message}`
}
