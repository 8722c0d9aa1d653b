import { FAILSAFE_SCHEMA, load } from 'js-yaml'
import type * as z from 'zod'
import { nearestKey } from './nearest-key.js'
import { type ConfigKey, SECTIONS } from './schema.js'

const PREFIX = 'FLUX_AGENT_'
/** A variable of the commands that speak to an agent. */
const ADDRESS = `${PREFIX}ADDRESS`
/**
 * Variables that Kubernetes and Docker set for a service, or a linked container, whose name begins with "flux-agent"
 * (Kubernetes: Service, "Environment variables"; Docker: legacy container links).
 */
const LINK_NAME = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$|_ENV_\w+$/
const LINK_VALUE = /^(tcp|udp|sctp):\/\//

/** Keys that variables give. */
export interface Variables {
  /** As text, or as a list of texts. */
  readonly values: ReadonlyMap<ConfigKey, string | readonly string[]>
  /** A line for each variable that is ignored. */
  readonly warnings: readonly string[]
}

/** The variable that gives a key: `tls.ca_cert` is FLUX_AGENT_TLS_CA_CERT. */
export function variableName(key: string): string {
  return `${PREFIX}${key.replaceAll('.', '_').toUpperCase()}`
}

/** Reads the variables of all keys. Empty ones count as not given, as in the file. */
export function readVariables(env: NodeJS.ProcessEnv): Variables {
  const values = new Map<ConfigKey, string | readonly string[]>()
  const warnings: string[] = []
  for (const [name, raw = ''] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || name === ADDRESS) continue
    const value = unquoted(raw.trim())
    const found = KEYS_BY_VARIABLE.get(name)
    const isLink = LINK_NAME.test(name) || LINK_VALUE.test(value)
    if (found && isLink) warnings.push(linkWarning(name, value))
    else if (found && !/^(~|null|)$/.test(value)) values.set(found.key, found.isList ? readList(value) : value)
    else if (!found && !isLink) warnings.push(`unknown variable ${name} is ignored${hint(name)}`)
  }
  return { values, warnings }
}

const KEYS_BY_VARIABLE = new Map(
  Object.entries(SECTIONS).flatMap(([section, shape]) =>
    Object.entries(shape)
      .filter(([name]) => !(section === '' && name in SECTIONS))
      .map(([name, schema]) => {
        const key = (section === '' ? name : `${section}.${name}`) as ConfigKey
        return [variableName(key), { key, isList: isList(schema) }] as const
      }),
  ),
)

/** Of the schema inside those that make it optional or give it a default. */
function isList(schema: z.ZodType): boolean {
  const { type, innerType } = schema.def as { readonly type: string; readonly innerType?: z.ZodType }
  return innerType ? isList(innerType) : type === 'array'
}

/** Without the quotes that `docker run --env-file` leaves around a value. */
function unquoted(text: string): string {
  return /^(["'])(.*)\1$/s.exec(text)?.[2]?.trim() ?? text
}

/** `a, b`, or as the file has it: `[a, b]`. An address of IPv6 with a port begins with a bracket, too. */
function readList(text: string): string | readonly string[] {
  if (!/^\[.*\]$/s.test(text)) return text.split(',').map((item) => unquoted(item.trim()))
  try {
    const list: unknown = load(text, { schema: FAILSAFE_SCHEMA })
    if (Array.isArray(list)) return list
  } catch {
    // The text is no list, which the key's schema refuses.
  }
  return text
}

function linkWarning(name: string, value: string): string {
  return (
    `${name}=${value} is ignored: Kubernetes and Docker set it for a service named flux-agent, and it is no setting; ` +
    `give the service another name, set enableServiceLinks: false, or set ${name} yourself`
  )
}

function hint(name: string): string {
  const rest = name.slice(PREFIX.length).toLowerCase()
  // As people write AGENT_ID and AGENT_CONFIG.
  const doubled = `agent_${rest}`
  if (doubled === 'agent_config') return '; did you mean AGENT_CONFIG?'
  const candidates = [...KEYS_BY_VARIABLE.keys()].map((path) => ({
    key: path.slice(PREFIX.length).toLowerCase(),
    path,
  }))
  const near = candidates.find(({ key }) => key === doubled) ?? nearestKey(rest, candidates)
  return near ? `; did you mean ${near.path}?` : ''
}
