import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { before, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { makeTempDir } from '../../../harness/agent.js'
import { buildZip, PROGRAM, type ZipEntry } from '../../../harness/zip.js'
import { describeSeparate, NODE } from '../../support/describe-functions.js'
import { createUser, whileUsersStay } from '../../support/system-user.js'

const C = `
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	const struct passwd *user = getpwuid(getuid());
	printf("%s %s\\n", user->pw_name, user->pw_dir);
}
`
const GO = `package main

import ("fmt"; "os/user")

func main() {
	found, err := user.Current()
	if err != nil { panic(err) }
	fmt.Println(found.Username, found.HomeDir)
}
`
const PYTHON = `
import multiprocessing, os, pwd, site
from multiprocessing import shared_memory

def work(queue, lock):
    with lock:
        queue.put(os.getpid())

if __name__ == "__main__":
    user = pwd.getpwuid(os.getuid())
    print(user.pw_name, user.pw_dir, os.path.expanduser("~"))
    print(site.getusersitepackages().startswith(user.pw_dir + "/.local/lib/python"))
    for method in "fork", "spawn", "forkserver":
        context = multiprocessing.get_context(method)
        queue, lock = context.Queue(), context.Lock()
        process = context.Process(target=work, args=(queue, lock))
        process.start()
        print(method, queue.get(timeout=30) == process.pid)
        process.join()
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.buf[0] = 1
    memory.close()
    memory.unlink()
    print("shared memory")
`
/** Prints its port, and answers each connection. */
const SERVER = `
const server = require('node:net').createServer((socket) => socket.end('served'))
server.listen(0, process.argv[2], () => console.log(server.address().port))
`

const missing = (...command: [string, ...string[]]) => {
  const [program, ...args] = command
  return spawnSync(program, args, { uid: 65534, gid: 65534 }).status === 0 ? false : `no ${program}`
}

const made = new Map<string, Buffer | undefined>()

/** A program that prints its user; undefined where there is no such compiler. */
function compiled(compiler: string): Buffer | undefined {
  if (!made.has(compiler)) made.set(compiler, compile(compiler))
  return made.get(compiler)
}

function compile(compiler: string): Buffer | undefined {
  const cwd = makeTempDir('flux-compatible-')
  const [source, contents] = compiler === 'go' ? ['main.go', GO] : ['main.c', C]
  writeFileSync(join(cwd, source), contents)
  const options = compiler === 'go' ? ['build'] : compiler === 'cc' ? [] : ['-static']
  const env = { ...process.env, CGO_ENABLED: '0' }
  const { error, status, stderr } = spawnSync(compiler, [...options, '-o', 'main', source], {
    cwd,
    env,
    encoding: 'utf8',
  })
  if (error) return undefined
  assert.equal(status, 0, stderr)
  return readFileSync(join(cwd, 'main'))
}

describeSeparate('a program', {}, ({ calls, user }) => {
  before(() => calls.script('run', 'eval "$1"'))

  /** Once more where meanwhile this machine has got another user: programs that run then do not find theirs. */
  async function run(lines: string, name = 'run'): Promise<string> {
    const files = () => ['/etc/passwd', '/etc/group'].map((path) => statSync(path).ino)
    const found = files()
    const { output, error } = await calls.execute({ function_name: name, args: [lines] })
    return isDeepStrictEqual(files(), found) ? `${output}${error}` : run(lines, name)
  }

  async function deploy(name: string, handler: string, files: readonly ZipEntry[]): Promise<void> {
    const { success, message } = await calls.deploy(name, buildZip(files), { name, handler })
    assert.ok(success, message)
  }

  it('takes itself for the user it runs as', async () => {
    const { name, home } = user()
    assert.equal(await run('whoami; id -un; id -gn; id -Gn'), `${name}\n${name}\n${name}\n${name}\n`)
    assert.equal(await run('echo $USER $LOGNAME $HOME; cd; pwd'), `${name} ${name} ${home}\n${home}\n`)
    assert.match(
      await run('getent passwd $(id -u); getent group $(id -g)'),
      new RegExp(`^${name}:.*:${home}:.*\\n${name}:x:\\d+:\\n$`),
    )
    assert.equal(
      await run('getent passwd root | cut -d: -f1-4; stat -c %U:%G ~ "$TMPDIR"'),
      `root:x:0:0\n${name}:${name}\n${name}:${name}\n`,
    )
  })

  it('is still that user when the node has got another one', async () => {
    const holder = await calls.start('run', ['echo ready; exec sleep 60'])
    await calls.printed(holder, 'ready')
    createUser().remove()
    assert.equal(await whileUsersStay(() => run('id -un; id -gn')), `${user().name}\n${user().name}\n`)
    await calls.cancel(holder)
  })

  it('has folders to write to', async () => {
    const lines =
      'for folder in ~ /tmp /var/tmp /dev/shm /run/lock "$TMPDIR"; do echo ok > $folder/flux-test-file && cat $folder/flux-test-file; rm $folder/flux-test-file; done'
    assert.equal(await run(lines), 'ok\n'.repeat(6))
    assert.match(await run('stat -c %a "$TMPDIR"; echo "$TMPDIR"'), /^700\n\/var\/lib\/.*\/functions\/tmp\//)
  })

  it('writes to its own output by name, and reads of itself', async () => {
    assert.equal(
      await run('echo out > /dev/stdout; echo err > /dev/stderr; echo fd > /proc/self/fd/1'),
      'out\nerr\nfd\n',
    )
    assert.equal(await run('grep -ac HOME= /proc/self/environ; sleep 5 & [ -d /proc/$! ] && echo there'), '1\nthere\n')
  })

  it('may be a script of bash, with its process substitution and here documents', {
    skip: missing('bash', '-c', 'true'),
  }, async () => {
    const contents =
      '#!/bin/bash\nset -euo pipefail\nread -r line <<< "here"\necho $line\ncat <(echo substituted)\nmapfile -t files < <(ls)\necho $files\n'
    await deploy('bash', 'main', [{ name: 'main', contents, mode: PROGRAM }])
    assert.equal(await run('', 'bash'), 'here\nsubstituted\nmain\n')
  })

  it('may be ssh or git', { skip: missing('ssh', '-V') || missing('git', '--version') }, async () => {
    // Both give up where the user has no entry in passwd.
    assert.match(
      await run('ssh -V; ssh -G localhost 2> /dev/null | grep "^user "'),
      new RegExp(`^OpenSSH.*\nuser ${user().name}\n$`),
    )
    const commit =
      'git -C ~ init -q && cd && git -c user.email=a@b commit -q --allow-empty -m first && git log --format=%an; rm -rf ~/.git'
    assert.match(await run(commit), new RegExp(`^(${user().name})?\n$|Please tell me who you are|empty ident name`))
  })

  it('may make a database', { skip: missing('initdb', '--version') }, async () => {
    assert.match(
      await run('initdb --no-sync -D ~/database; rm -rf ~/database'),
      new RegExp(`will be owned by user "${user().name}"[\\s\\S]*Success`),
    )
  })

  it('may run on Node', { skip: missing(NODE, '-v') }, async () => {
    const script =
      'const os = require("os"); const { username, homedir } = os.userInfo(); console.log(username, homedir, os.homedir())'
    const { name, home } = user()
    assert.equal(await run(`${NODE} -e '${script}'`), `${name} ${home} ${home}\n`)
  })

  it('may run on Python, with its multiprocessing', { skip: missing('/usr/bin/python3', '-V') }, async () => {
    const contents = `#!/usr/bin/python3\n${PYTHON}`
    await deploy('python', 'main.py', [{ name: 'main.py', contents, mode: PROGRAM }])
    const { name, home } = user()
    assert.equal(
      await run('', 'python'),
      `${name} ${home} ${home}\nTrue\nfork True\nspawn True\nforkserver True\nshared memory\n`,
    )
  })

  for (const compiler of ['cc', 'musl-gcc', 'go']) {
    it(`may be what ${compiler} has made`, { skip: compiled(compiler) === undefined && `no ${compiler}` }, async () => {
      await deploy('compiled', 'main', [{ name: 'main', contents: compiled(compiler) as Buffer, mode: PROGRAM }])
      assert.equal(await run('', 'compiled'), `${user().name} ${user().home}\n`)
    })
  }

  it('serves a port, on loopback and on all addresses', { skip: missing(NODE, '-v') }, async () => {
    await deploy('server', 'main.sh', [
      { name: 'server.js', contents: SERVER },
      { name: 'main.sh', contents: `#!/bin/sh\nexec ${NODE} server.js "$@"\n`, mode: PROGRAM },
    ])
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((found) => found?.family === 'IPv4' && !found.internal)
    for (const [listen, address] of [
      ['127.0.0.1', '127.0.0.1'],
      ['0.0.0.0', outside?.address ?? '127.0.0.1'],
    ] as const) {
      const id = await calls.start('server', [listen])
      const { output } = await calls.printed(id, '\n')
      assert.equal(await answerOf(Number(output), address), 'served')
      assert.equal(
        await run(
          `exec 3<> /dev/tcp/127.0.0.1/${Number(output)} && cat <&3`.replace(/^.*$/, (lines) => `bash -c '${lines}'`),
        ),
        'served',
      )
      await calls.cancel(id)
    }
  })

  for (const flag of ['', '--no-sandbox']) {
    it(`may be a browser${flag && ` with ${flag}`}`, { skip: missing('chromium', '--version') }, async () => {
      const lines = `chromium --headless=new ${flag} --disable-gpu --dump-dom 'data:text/html,<p>hello' 2> /dev/null`
      assert.equal(await run(lines), '<html><head></head><body><p>hello</p></body></html>\n')
    })
  }
})

function answerOf(port: number, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    connect({ port, host })
      .setEncoding('utf8')
      .on('data', (chunk) => {
        text += chunk
      })
      .on('end', () => resolve(text))
      .on('error', reject)
  })
}
