import type { ConfigKey } from './schema.js'

/** What a person is told of a key; docs/configuration.md is made of it. */
export interface KeyFacts {
  /** One sentence: what it is for. */
  readonly text: string
  /** Whether a running agent takes it over at a reload; else it takes a restart. */
  readonly reloads: boolean
  /** The default in words, where the value would not tell. */
  readonly usual?: string
}

const restarts = (text: string, usual?: string): KeyFacts => ({ text, reloads: false, ...(usual && { usual }) })
const reloads = (text: string, usual?: string): KeyFacts => ({ text, reloads: true, ...(usual && { usual }) })

/** Every key that a file may have. */
export const KEY_FACTS: Readonly<Record<ConfigKey, KeyFacts>> = {
  agent_id: restarts("The agent's name at the control plane, unique there.", 'required'),
  host: restarts('The address to listen on; `::` is every one of this machine, IPv6 and IPv4.'),
  port: restarts('The port to listen on; 0: any free one.'),
  redis_addr: restarts('Where functions and records are kept.', '`redis://localhost:6379`'),
  max_tasks: reloads('Executions that run at once on this node; 0: no limit but that of each function.'),
  max_queued: reloads('Executions that may wait for a slot on this node; one more is refused.'),
  max_output_bytes: reloads('Output kept of one execution; a longer one is cut, and the process goes on.'),
  store_backlog_bytes: reloads('What may wait on disk for the store; beyond it new async executions are refused.'),
  drain_seconds: reloads('How long a stopping agent lets executions go on before it ends them.'),
  run_as: restarts("The user functions run as; `self`: the agent's own.", '`flux-runner`; Windows: `self`'),
  allow_root: restarts('Whether that user may be root, under whatever name.'),
  apps_dir: restarts(
    'Where deployed functions are kept.',
    "`apps` in that user's home, or in `state_dir` where functions run as the agent's own",
  ),
  state_dir: restarts(
    "The agent's own files: [the state folder](operations.md#the-state-folder).",
    '`/var/lib/flux-agent`; Windows: `./data`',
  ),
  workers: restarts('Threads that supervise processes.', 'one a core'),
  isolation: restarts('Whether a function whose limits cannot be enforced runs without them, or is refused.'),
  no_new_privileges: restarts('Whether setuid programs, as sudo, give a function no rights. Linux only.'),
  max_processes: restarts('Processes and threads of one execution; 0: no limit. Needs cgroup v2.'),
  oom_kill: restarts('What the kernel kills [when memory runs out](isolation.md#when-memory-runs-out).'),
  log_level: reloads('The least that the log has lines for.'),

  'network.node_private_ip': restarts(
    'What functions find in `FLUX_NODE_PRIVATE_IP`.',
    'the first IPv4 address that is not loopback',
  ),
  'network.node_public_ip': restarts(
    'What functions find in `FLUX_NODE_PUBLIC_IP`.',
    'what https://api.ipify.org answers within 5 s',
  ),

  'tls.enabled': restarts('Whether the port speaks TLS; `false` turns it off in spite of the files.'),
  'tls.ca_cert': reloads('The authority that signs agents and clients.', 'required with TLS'),
  'tls.cert_file': reloads("This agent's certificate, its issuers behind it.", 'required with TLS'),
  'tls.key_file': reloads('Its private key, without a passphrase.', 'required with TLS'),
  'tls.allowed_clients': reloads('Names (CN or DNS SAN) of the client certificates that may call.'),

  'redis_tls.ca_cert': restarts('The authority that has signed the certificate of Redis.', 'the public ones'),
  'redis_tls.cert_file': restarts('The certificate that the agent shows to Redis; needs `redis_tls.key_file`.'),
  'redis_tls.key_file': restarts('Its private key; needs `redis_tls.cert_file`.'),
  'redis_tls.server_name': restarts('The name in the certificate of Redis.', 'the host of `redis_addr`'),

  'archive.max_entries': reloads('Files, folders and links that one deployed archive may hold.'),
  'archive.max_bytes': reloads('What one deployed archive may take when unpacked.'),
  'archive.max_ratio': reloads('How many times its packed size a deployed archive may take when unpacked.'),
}
