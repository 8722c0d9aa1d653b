import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isWindows, makeApps, modeOf, snapshot } from '../workers/deploy/deploy-fixture.js'

const files: Readonly<Record<string, string>> = {
  'run.sh': '#!/bin/sh\necho run\n',
  empty: '',
  'lib/data': 'data '.repeat(1000),
  'lib/ümläut.txt': 'x',
  'lib/large': 'large '.repeat(100_000),
}
const folders = { lib: 'folder' }
const links = { link: '-> lib/data' }

/** An odd second, which not all tools keep. */
const SECONDS = 1_700_000_001

const GO = `package main

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
)

func main() {
	out, _ := os.Create("../a.zip")
	archive := zip.NewWriter(out)
	filepath.Walk(".", func(path string, info os.FileInfo, err error) error {
		if info.IsDir() || info.Mode()&os.ModeSymlink != 0 {
			return nil
		}
		header, _ := zip.FileInfoHeader(info)
		header.Name = path
		header.Method = zip.Deflate
		entry, _ := archive.CreateHeader(header)
		file, _ := os.Open(path)
		_, err = io.Copy(entry, file)
		return err
	})
	archive.Close()
	out.Close()
}
`
const git = 'git -c user.name=a -c user.email=a@b.c -c init.defaultBranch=main'

interface Tool {
  /** Prints something and succeeds where the tool is installed. */
  readonly installed: string
  readonly command: string
  /** As the tool keeps it. */
  readonly links?: boolean
  readonly modes?: boolean
  readonly times?: 'exact' | 'two seconds'
  readonly extra?: Readonly<Record<string, string>>
}

const python = 'python3 -c "import zipfile"'

const tools: Readonly<Record<string, Tool>> = {
  'Info-ZIP': { installed: 'zip -v', command: 'zip -qry ../a.zip .', links: true, modes: true, times: 'exact' },
  'Info-ZIP, zip64': {
    installed: 'zip -v',
    command: 'zip -q -fz -ry ../a.zip .',
    links: true,
    modes: true,
    times: 'exact',
  },
  'Info-ZIP, behind a script': {
    installed: 'zip -v',
    command: 'zip -qry ../b.zip . && (printf "#!/bin/sh\\n"; cat ../b.zip) > ../a.zip',
    links: true,
    modes: true,
  },
  'Info-ZIP, behind a script that it knows': {
    installed: 'zip -v',
    command: 'zip -qry ../b.zip . && (printf "#!/bin/sh\\n"; cat ../b.zip) > ../a.zip && zip -qA ../a.zip',
    links: true,
    modes: true,
  },
  '7-Zip': { installed: '7zz', command: '7zz a -bd -snl ../a.zip .', links: true, modes: true, times: 'exact' },
  bsdtar: {
    installed: 'bsdtar --version',
    command: 'bsdtar -acf ../a.zip .',
    links: true,
    modes: true,
    times: 'exact',
  },
  'bsdtar to a pipe': {
    installed: 'bsdtar --version',
    command: 'bsdtar --format zip -cf - . | cat > ../a.zip',
    links: true,
    modes: true,
    times: 'exact',
  },
  jar: {
    installed: 'jar --version',
    command: 'jar cf ../a.zip run.sh empty lib',
    times: 'two seconds',
    extra: { 'META-INF': 'folder' },
  },
  'git archive': {
    installed: 'git --version',
    command: `${git} init -q && ${git} add -A && ${git} commit -qm x && git archive --format=zip -o ../a.zip HEAD`,
    links: true,
    modes: true,
  },
  "Python's zipfile": {
    installed: python,
    command: 'python3 -m zipfile -c ../a.zip run.sh empty lib',
    modes: true,
    times: 'two seconds',
  },
  "Python's zipapp": {
    installed: python,
    command: "cp run.sh __main__.py && rm link && python3 -m zipapp . -o ../a.zip -p '/usr/bin/env python3'",
    modes: true,
    extra: { '__main__.py': files['run.sh'] ?? '' },
  },
  "Go's archive/zip": {
    installed: 'PATH=$PATH:/usr/local/go/bin go version',
    command:
      'mkdir ../go && mv main.go ../go && PATH=$PATH:/usr/local/go/bin go build -o ../zipper ../go/main.go && ../zipper',
    modes: true,
    times: 'exact',
  },
}

function shell(command: string, cwd = '/') {
  const env = { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' }
  return spawnSync('/bin/sh', ['-c', command], { cwd, env, encoding: 'utf8', maxBuffer: 2 ** 26 })
}

for (const [name, tool] of Object.entries(isWindows ? {} : tools)) {
  const skip = shell(tool.installed).status !== 0 && `${name} is not installed`
  test(`made by ${name}`, { skip }, async (t) => {
    const apps = await makeApps(t)
    const source = join(apps.root, 'source')
    mkdirSync(join(source, 'lib'), { recursive: true })
    for (const [path, contents] of Object.entries(files)) {
      writeFileSync(join(source, path), contents, { mode: path === 'run.sh' ? 0o755 : 0o644 })
      utimesSync(join(source, path), SECONDS, SECONDS)
    }
    symlinkSync('lib/data', join(source, 'link'))
    if (tool.command.includes('main.go')) writeFileSync(join(source, 'main.go'), GO)
    const { status, stderr } = shell(tool.command, source)
    assert.equal(status, 0, stderr)

    const limits = { maxEntries: 100, maxBytes: 10_000_000, maxRatio: 1000 }
    const version = await apps.deployed(readFileSync(join(apps.root, 'a.zip')), { limits, handler: 'run.sh' })
    const found = await snapshot(version.dir)
    const { 'META-INF/MANIFEST.MF': _, ...rest } = found

    assert.deepEqual(rest, { ...files, ...folders, ...(tool.links && links), ...tool.extra })
    assert.equal(await modeOf(join(version.dir, 'run.sh')), '700')
    if (tool.modes) assert.equal(await modeOf(join(version.dir, 'lib/data')), '600')
    if (tool.times) {
      const { mtimeMs } = statSync(join(version.dir, 'lib/data'))
      assert.equal(mtimeMs / 1000, tool.times === 'exact' ? SECONDS : SECONDS - 1)
    }
  })
}
