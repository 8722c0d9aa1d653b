import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { makeTempDir } from '../../harness/agent.js'
import { onExit } from '../../harness/on-exit.js'

const LIMIT_MS = 30_000
/** A host name that leads browsers to this machine. */
export const REBOUND = 'rebound.example'

/** Why tests that need a browser are skipped; undefined where there is one. */
export const noChromium: string | undefined =
  spawnSync('chromium', ['--version']).status === 0 ? undefined : 'chromium is not installed'

interface Answer {
  readonly id?: number
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
  readonly method?: string
  readonly params?: Readonly<Record<string, unknown>>
}

export interface Look {
  readonly width: number
  readonly height: number
  readonly dark?: boolean
}

/** One page of a headless Chromium, by the DevTools protocol over a pipe. Its profile is removed with this process. */
export class Browser {
  /** What the page has written to its console, and what was refused to it. */
  readonly complaints: string[] = []
  private readonly waiting = new Map<number, (answer: Answer) => void>()
  private last = 0
  private session: string | undefined
  private unread = ''

  private constructor(private readonly chromium: ChildProcess) {
    const [, , , , output] = chromium.stdio as unknown as Readable[]
    output?.setEncoding('utf8').on('data', (text: string) => this.read(text))
  }

  static async start(): Promise<Browser> {
    const profile = makeTempDir('flux-chromium-')
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--remote-debugging-pipe']
    // A name of somebody else's, which leads to this machine.
    flags.push(`--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`)
    const chromium = spawn('chromium', [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
    })
    onExit(() => chromium.kill('SIGKILL'))
    const browser = new Browser(chromium)
    const { targetInfos } = (await browser.ask('Target.getTargets')) as {
      targetInfos: { targetId: string; type: string }[]
    }
    const page = targetInfos.find(({ type }) => type === 'page')
    const attached = await browser.ask('Target.attachToTarget', { targetId: page?.targetId, flatten: true })
    browser.session = String(attached['sessionId'])
    for (const domain of ['Page', 'Runtime', 'Log']) await browser.ask(`${domain}.enable`)
    return browser
  }

  async look({ width, height, dark = false }: Look): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false }
    await this.ask('Emulation.setDeviceMetricsOverride', metrics)
    const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }]
    await this.ask('Emulation.setEmulatedMedia', { features })
  }

  async open(url: string): Promise<void> {
    await this.ask('Page.navigate', { url })
  }

  /** The value of an expression in the page, as JSON has it. */
  async value(expression: string): Promise<unknown> {
    const { result } = await this.ask('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
    return (result as { value: unknown }).value
  }

  /** A picture of the page, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.ask('Page.captureScreenshot', { format: 'png', captureBeyondViewport: false })
    return Buffer.from(String(data), 'base64')
  }

  async stop(): Promise<void> {
    const ended = once(this.chromium, 'exit')
    this.chromium.kill('SIGKILL')
    await ended
  }

  private async ask(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.last
    const answered = new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`chromium does not answer ${method}`)), LIMIT_MS)
      this.waiting.set(id, (answer) => {
        clearTimeout(timer)
        resolve(answer)
      })
    })
    const [, , , input] = this.chromium.stdio as unknown as Writable[]
    const session = this.session === undefined ? {} : { sessionId: this.session }
    input?.write(`${JSON.stringify({ id, method, params, ...session })}\0`)
    const { result, error } = await answered
    if (error) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  private read(text: string): void {
    const messages = (this.unread + text).split('\0')
    this.unread = messages.pop() ?? ''
    for (const message of messages) this.take(JSON.parse(message))
  }

  private take(answer: Answer): void {
    const { id, method, params } = answer
    if (id !== undefined) this.waiting.get(id)?.(answer)
    else if (
      method === 'Runtime.exceptionThrown' ||
      method === 'Log.entryAdded' ||
      method === 'Runtime.consoleAPICalled'
    )
      this.complaints.push(JSON.stringify(params))
  }
}
