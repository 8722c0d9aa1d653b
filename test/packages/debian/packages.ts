import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { VERSION } from '../../../src/version.js'

export const ARCHITECTURES = ['amd64', 'arm64'] as const

export type Architecture = (typeof ARCHITECTURES)[number]

/** The path of a package that was built before the tests. */
export function debOf(architecture: Architecture, folder = 'dist'): string {
  return resolve(folder, `flux-agent_${VERSION.replace('-', '~')}_${architecture}.deb`)
}

/** Why a test that needs all of these programs is skipped; false where they are there. */
export function without(...programs: readonly string[]): string | false {
  const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined)
  return missing.length > 0 && `not installed: ${missing.join(', ')}`
}

/** Why a test that only root can do is skipped; false where this is root. */
export const notRoot = process.getuid?.() !== 0 && 'only root can do this'

/** What a program prints on standard output. Throws where it fails, with what it says. */
export function output(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? `${stdout}${stderr}`}`)
  return stdout
}

/** Unpacks a package's files into a folder. */
export function unpack(deb: string, folder: string): void {
  output('dpkg-deb', '--extract', deb, folder)
}

/** The programs and libraries below a folder, with what readelf says of each. */
export function elfFiles(folder: string): Map<string, string> {
  const found = output(
    'find',
    folder,
    '-type',
    'f',
    '(',
    '-perm',
    '/111',
    '-o',
    '-name',
    '*.node',
    '-o',
    '-name',
    '*.so*',
    ')',
  )
  const isElf = (file: string) => readFileSync(file).subarray(0, 4).toString('latin1') === '\x7fELF'
  const elf = found.trim().split('\n').filter(isElf)
  return new Map(
    elf.map((file) => [file, output('readelf', '--wide', '--file-header', '--dynamic', '--version-info', file)]),
  )
}
