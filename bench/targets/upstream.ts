import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'
import { freePort } from '../../harness/free-port.js'
import { onExit } from '../../harness/on-exit.js'
import { RedisServer } from '../../harness/redis.js'
import { firstAnswer } from '../measure/first-answer.js'
import type { Credentials } from './credentials.js'
import type { StartedTarget, Target } from './target.js'

/** The user whose functions it runs, and whose home has their code. It knows no other name. */
const RUNNER = 'flux-runner'
const RUNNER_ID = 65534

/**
 * The agent that this one takes over from, built from its source and started as it is, as root. No part of it is in this
 * repository: docs/comparison.md says where it is.
 */
export class Upstream {
  private constructor(
    private readonly program: string,
    private readonly usesRedis: boolean,
  ) {}

  /**
   * `source`: a folder with its source, or a git repository, of which it takes the newest commit. Throws where it cannot
   * be built; takes a minute where Go has to fetch modules.
   */
  static build(source: string): Upstream {
    const folder = existsSync(join(source, 'go.mod')) ? source : checkOut(source)
    const program = join(makeTempDir('flux-bench-upstream-build-'), 'agent')
    try {
      execFileSync('go', ['build', '-buildvcs=false', '-o', program, '.'], { cwd: folder, stdio: 'inherit' })
    } catch (cause) {
      throw new Error(`the upstream agent is not built from ${source}; it needs Go as its go.mod says`, { cause })
    }
    return new Upstream(program, /\bredis\b/.test(readFileSync(join(folder, 'go.mod'), 'utf8')))
  }

  /** With an empty store, and no functions. */
  async start(credentials: Credentials): Promise<StartedTarget> {
    const redis = this.usesRedis ? await RedisServer.start() : undefined
    const place = new UpstreamPlace(this.program, credentials, redis)
    await place.start()
    return place
  }
}

/** One installation of it: its folder, its port, and its Redis where it has one. */
class UpstreamPlace implements StartedTarget {
  private readonly dir = makeTempDir('flux-bench-upstream-')
  private running: { readonly target: Target; end(): Promise<void> } | undefined

  constructor(
    program: string,
    private readonly credentials: Credentials,
    private readonly redis: RedisServer | undefined,
  ) {
    // Its runner has to reach the code below, and it keeps its store beside its program.
    chmodSync(this.dir, 0o755)
    const home = join(this.dir, 'home')
    mkdirSync(home)
    copyFileSync(program, join(this.dir, 'agent'))
    // It goes on where a file vanishes meanwhile, as one of useradd(8).
    spawnSync('cp', ['--archive', '/etc', this.dir])
    const passwd = join(this.dir, 'etc/passwd')
    const others = readFileSync(passwd, 'utf8')
      .split('\n')
      .filter((line) => !line.startsWith(`${RUNNER}:`))
    writeFileSync(passwd, [`${RUNNER}:x:${RUNNER_ID}:${RUNNER_ID}::${home}:/bin/sh`, ...others].join('\n'))
  }

  get target(): Target {
    if (!this.running) throw new Error('the upstream agent does not run')
    return this.running.target
  }

  async start(): Promise<number> {
    const port = await freePort()
    const { agent, client } = this.credentials
    const config = {
      agent_id: 'bench-upstream',
      port: String(port),
      redis_addr: this.redis && `127.0.0.1:${this.redis.port}`,
      // Else it asks a web service before it starts.
      network: { node_private_ip: '127.0.0.1', node_public_ip: '192.0.2.1' },
      tls: { enabled: true, ca_cert: agent.ca, cert_file: agent.cert, key_file: agent.key },
    }
    const configFile = join(this.dir, 'agent.yaml')
    // JSON is YAML.
    writeFileSync(configFile, JSON.stringify(config))
    const log = openSync(join(this.dir, 'agent.log'), 'a')
    const begun = performance.now()
    const agentProcess = spawn('unshare', ['--mount', 'sh', '-c', IN_ITS_PLACE, 'sh', this.dir], {
      cwd: this.dir,
      env: { ...process.env, AGENT_CONFIG: configFile },
      stdio: ['ignore', 'ignore', log],
    })
    closeSync(log)
    onExit(() => agentProcess.kill('SIGKILL'))
    const ended = once(agentProcess, 'exit')
    const pid = agentProcess.pid as number
    const target: Target = {
      ...{ label: 'upstream', host: '127.0.0.1', port, tls: client, pid },
      ...(this.redis && { redisPort: this.redis.port }),
    }
    const early = ended.then(() => {
      throw new Error(`the upstream agent does not start:\n${readFileSync(join(this.dir, 'agent.log'), 'utf8')}`)
    })
    early.catch(() => {})
    const answered = await Promise.race([firstAnswer(target), early])
    this.running = {
      target,
      end: async () => {
        agentProcess.kill('SIGTERM')
        await ended
      },
    }
    return answered - begun
  }

  async restart(): Promise<number> {
    await this.running?.end()
    return this.start()
  }

  async close(): Promise<void> {
    await this.running?.end()
    await this.redis?.stop()
  }
}

/**
 * It looks its runner up by name at each call. The machine's own users stay as they are; all of /etc, as a mount on a
 * single file would be gone once somebody adds a user.
 */
const IN_ITS_PLACE = 'mount --bind "$1/etc" /etc && exec "$1/agent"'

function checkOut(repository: string): string {
  const folder = makeTempDir('flux-bench-upstream-source-')
  const archive = execFileSync('git', ['-C', repository, 'archive', 'HEAD'], { maxBuffer: 1 << 30 })
  execFileSync('tar', ['-x', '-C', folder], { input: archive })
  return folder
}
