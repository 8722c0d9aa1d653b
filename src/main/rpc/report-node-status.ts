import type { NodeStatusResponse } from '../../generated/flux/NodeStatusResponse.js'
import type { NodeSampler } from '../../host/node-status.js'
import type { AdmissionControl } from '../executions/admission.js'

interface Node {
  readonly agentId: string
  readonly admission: AdmissionControl
}

/** The node's load, from the latest samples. */
export function reportNodeStatus({ agentId, admission }: Node, sampler: NodeSampler): NodeStatusResponse {
  return {
    agent_id: agentId,
    ...sampler.current(),
    active_tasks: admission.active,
    max_tasks: admission.maxTasks,
    uptime_seconds: Math.floor(process.uptime()),
  }
}
