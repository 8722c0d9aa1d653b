/** Where executions' cgroups can be made. */
export type CgroupPlace =
  /** Below the cgroup of the unit for executions, which outlives the agent's own. */
  | { readonly kind: 'unit'; readonly dir: string }
  /** Below the agent's own cgroup, which contains no other process. */
  | { readonly kind: 'own'; readonly dir: string }
  /** Below the root of the hierarchy, next to other agents'. */
  | { readonly kind: 'shared'; readonly dir: string }
  | { readonly kind: 'none'; readonly reason: string }
