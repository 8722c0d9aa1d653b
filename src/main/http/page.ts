import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installation } from '../../installation.js'
import type { Answer, Routes } from './server.js'

/** Nothing is loaded from elsewhere, and nothing in the page itself is run. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** The page for people: it asks for /status.json itself. */
export const PAGE: Routes = {
  '/': file('index.html', 'text/html; charset=utf-8'),
  '/page.css': file('page.css', 'text/css; charset=utf-8'),
  '/page.js': file('page.js', 'text/javascript; charset=utf-8'),
}

/** Read when it is first asked for. */
function file(name: string, type: string): () => Promise<Answer> {
  let body: Promise<string> | undefined
  return async () => {
    body ??= readFile(join(installation.pageFolder, name), 'utf8')
    return {
      type,
      body: await body,
      headers: { 'Content-Security-Policy': POLICY, 'Referrer-Policy': 'no-referrer' },
    }
  }
}
