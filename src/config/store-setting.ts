import { distance } from 'fastest-levenshtein'
import * as z from 'zod'
import { type AddressError, parseRedisAddress } from '../store/redis/address.js'
import { allowedValues } from './values.js'

/** Where the store is, before paths are resolved; `path` absent: the default folder. */
export type StoreSetting =
  | { readonly kind: 'redis'; readonly address: string }
  | { readonly kind: 'embedded'; readonly path?: string }

const STORES =
  'redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://, host:port, a host, unix:///path, an absolute socket ' +
  'path, embedded or embedded:FOLDER'

/** Edit distance up to which a word counts as a misspelt `embedded`. */
const MISSPELLED = 3

export const redisAddr = z.string(STORES).transform(readStore).register(allowedValues, { allowed: STORES })

function readStore(text: string, context: z.RefinementCtx): StoreSetting {
  if (text === 'embedded') return { kind: 'embedded' }
  const [, folder] = /^embedded:(.+)$/.exec(text) ?? []
  if (folder !== undefined) return { kind: 'embedded', path: folder }
  const refuse = (reason: string) => {
    context.addIssue({ code: 'custom', message: STORES, params: { reason } })
    return z.NEVER
  }
  const word = /^[a-z]+(?=$|[:/ ])/i.exec(text)?.[0]
  if (word && !text.includes('@') && distance(word.toLowerCase(), 'embedded') <= MISSPELLED) {
    const host = `a host of that name is redis://${word}`
    return refuse(`did you mean "embedded", or "embedded:FOLDER"? ${host}`)
  }
  try {
    parseRedisAddress(text)
    return { kind: 'redis', address: text }
  } catch (error) {
    return refuse((error as AddressError).message)
  }
}
