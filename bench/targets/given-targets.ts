import { InvalidArgumentError } from 'commander'
import type { Target } from './target.js'

/** What may be said of an address. */
interface Said {
  label: string
  pid: number
  redisPort: number
  tlsCa: string
  tlsCert: string
  tlsKey: string
}

type Given = Partial<Said> & Pick<Target, 'host' | 'port'>

/** Servers from the command line: an option belongs to the address before it. */
export class GivenTargets {
  private readonly given: Given[] = []

  /** For `--address`. */
  readonly address = (text: string): void => {
    const [, host, port] = /^\[?(.+?)\]?:(\d{1,5})$/.exec(text) ?? []
    if (host === undefined) throw new InvalidArgumentError('It needs to be HOST:PORT.')
    this.given.push({ host, port: Number(port) })
  }

  /** For an option with a text. */
  text(key: 'label' | 'tlsCa' | 'tlsCert' | 'tlsKey') {
    return (text: string): void => {
      this.last()[key] = text
    }
  }

  /** For an option with a number. */
  number(key: 'pid' | 'redisPort') {
    return (text: string): void => {
      if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It needs to be a whole number.')
      this.last()[key] = Number(text)
    }
  }

  /** Throws where an address lacks an option, or two servers could not be told apart. */
  all(): Target[] {
    const targets = this.given.map(toTarget)
    const twice = targets.find(({ label }, i) => targets.findIndex((other) => other.label === label) !== i)
    if (twice) throw new Error(`two addresses are called ${twice.label}: give each a --label of its own`)
    return targets
  }

  private last(): Given {
    const last = this.given.at(-1)
    if (last === undefined) throw new InvalidArgumentError('It needs to come after the --address it belongs to.')
    return last
  }
}

function toTarget({ host, port, label = `${host}:${port}`, tlsCa, tlsCert, tlsKey, ...known }: Given): Target {
  const target = { host, port, label, ...known }
  if (tlsCa && tlsCert && tlsKey) return { ...target, tls: { ca: tlsCa, cert: tlsCert, key: tlsKey } }
  if (tlsCa || tlsCert || tlsKey) throw new Error(`${label}: --tls-ca, --tls-cert and --tls-key belong together`)
  return target
}
