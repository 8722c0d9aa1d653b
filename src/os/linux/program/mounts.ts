import { readFile, realpath } from 'node:fs/promises'

/** The mount point of a file's file system, if mounted noexec; undefined otherwise. */
export async function noexecMount(file: string): Promise<string | undefined> {
  try {
    const path = await realpath(file)
    const table = await readFile('/proc/self/mountinfo', 'utf8')
    let found: { readonly at: string; readonly options: readonly string[] } | undefined
    for (const line of table.split('\n')) {
      // proc_pid_mountinfo(5): ID, parent, device, root, mount point, options.
      const [, , , , point, options] = line.split(' ')
      if (point === undefined || options === undefined) continue
      const at = unescaped(point)
      // Later mounts hide earlier ones on the same point.
      if (isBelow(path, at) && at.length >= (found?.at.length ?? 0)) found = { at, options: options.split(',') }
    }
    return found?.options.includes('noexec') ? found.at : undefined
  } catch {
    return undefined
  }
}

const isBelow = (path: string, folder: string) => path.startsWith(folder.endsWith('/') ? folder : `${folder}/`)

const unescaped = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
