import type { NodeStatusResponse } from '../../generated/flux/NodeStatusResponse.js'
import type { AgentState } from '../../host/agent-state.js'
import type { NodeSample, NodeSampler } from '../../host/node-status.js'
import type { AdmissionControl } from '../executions/admission.js'

interface Node {
  readonly agentId: string
  readonly admission: AdmissionControl
  readonly state: AgentState
}

/**
 * The node's load, from the latest samples. Without headroom while it is drained: the control plane sends each execution
 * where there is most, and would prefer an idle node that refuses all of them.
 */
export function reportNodeStatus({ agentId, admission, state }: Node, sampler: NodeSampler): NodeStatusResponse {
  return {
    agent_id: agentId,
    ...(state.drainedSince ? full(sampler.current()) : sampler.current()),
    active_tasks: admission.active,
    max_tasks: admission.maxTasks,
    uptime_seconds: Math.floor(process.uptime()),
    waiting_tasks: admission.waiting,
  }
}

function full({ memory_total_mb }: NodeSample): NodeSample {
  return { cpu_percent: 100, memory_percent: 100, memory_total_mb, memory_used_mb: memory_total_mb }
}
