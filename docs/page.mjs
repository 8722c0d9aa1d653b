// A page that is made of a template and of what the code says.
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/**
 * Writes a page of this folder from the template beside it, NAME.in, with the given texts for its @KEYS@. With --check on
 * the command line it writes nothing, and ends this process with 1 where the page is another.
 */
export function writePage(name, texts) {
  const page = join(import.meta.dirname, name)
  const template = readFileSync(`${page}.in`, 'utf8')
  const made = template.replace(/@(\w+)@/g, (whole, key) => texts[key] ?? whole)
  if (process.argv[2] !== '--check') writeFileSync(page, made)
  else if (readFileSync(page, 'utf8') !== made) {
    console.error(`${resolve(page)} is stale: npm run docs`)
    process.exit(1)
  }
}
