import { spawnSync } from 'node:child_process'
import { tableOf } from '../src/os/linux/firewall/nftables.js'
import { onExit } from './on-exit.js'

/** Removes the firewall rules of a killed agent: in a test its next start may never come. */
export function removeFirewallAtExit(stateDir: string): void {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return
  // The folder is gone by then.
  const table = tableOf(stateDir)
  onExit(() => spawnSync('nft', ['delete', 'table', 'inet', table]))
}
