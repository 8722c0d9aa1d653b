import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const USUAL_MOUNT = '/sys/fs/cgroup'

/** Where cgroups are shown. */
export interface Mount {
  readonly dir: string
  /** The cgroup that the mount shows. */
  readonly root: string
}

/** Mounts of cgroup2, the usual one first. */
export function cgroupMounts(): Mount[] {
  const mounts = mountsOf((type) => type === 'cgroup2')
  return mounts.sort((a, b) => Number(b.dir === USUAL_MOUNT) - Number(a.dir === USUAL_MOUNT))
}

/** This process's cgroup of version 2; undefined where the mount does not show it. */
export function currentCgroup(mount: Mount): string | undefined {
  return groupIn(mount, membership().find(([id]) => id === '0')?.[2])
}

/** This process's cgroup of version 1 with a controller, such as `memory`; undefined where there is none. */
export function versionOneCgroup(controller: string): string | undefined {
  const [mount] = mountsOf((type, options) => type === 'cgroup' && options.split(',').includes(controller))
  const [, , path] = membership().find(([, controllers = '']) => controllers.split(',').includes(controller)) ?? []
  const group = mount && groupIn(mount, path)
  // A container may see the path that its host has, and at the mount its own cgroup.
  return group !== undefined && existsSync(group) ? group : mount?.dir
}

/** A cgroup and those above it, as far as their mount shows them. */
export function cgroupsFrom(dir: string): string[] {
  return existsSync(join(dir, 'cgroup.procs')) ? [dir, ...cgroupsFrom(dirname(dir))] : []
}

/** See proc(5), /proc/PID/mountinfo. */
function mountsOf(is: (type: string, options: string) => boolean): Mount[] {
  return readOr('/proc/self/mountinfo', '')
    .split('\n')
    .flatMap((line) => {
      const [place = '', source = ''] = line.split(' - ')
      const [, , , root, dir] = place.split(' ')
      const [type = '', , options = ''] = source.split(' ')
      return root && dir && is(type, options) ? [{ root, dir }] : []
    })
}

/** The parts of each line: id, controllers, path (cgroups(7), /proc/PID/cgroup). */
function membership(): string[][] {
  const lines = readOr('/proc/self/cgroup', '').trim().split('\n')
  return lines.map((line) => /^(\d+):([^:]*):(.*)$/.exec(line)?.slice(1) ?? [])
}

function groupIn({ dir, root }: Mount, path: string | undefined): string | undefined {
  if (path === undefined || !`${path}/`.startsWith(root === '/' ? '/' : `${root}/`)) return undefined
  return join(dir, root === '/' ? path : path.slice(root.length))
}

export function readOr(file: string, otherwise: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return otherwise
  }
}
