import { unpackWhole } from './contents.js'
import { nameKey } from './path-rules.js'
import { refuseEntry } from './refused.js'
import type { FileNode, FolderNode, LinkNode, Tree } from './tree.js'

/** How many symbolic links Linux follows in one path (path_resolution(7)). */
const MAX_HOPS = 40

/** Where a path leads once every symbolic link on it is followed. */
export interface Landing {
  readonly at: FolderNode | FileNode
  /** Components after `at` that the archive lacks; 0: the path leads to `at`. */
  readonly missing: number
}

interface Followed extends Landing {
  readonly hops: number
}

/** The archive's symbolic links. All of them stay inside the function's folder. */
export class Links {
  readonly #tree: Tree
  readonly #targets = new Map<LinkNode, string>()
  readonly #followed = new Map<LinkNode, Followed>()

  /** Throws ArchiveRefused for the first link that leaves the folder or leads in a circle. */
  constructor(tree: Tree) {
    this.#tree = tree
    for (const link of tree.links) this.#targets.set(link, readTarget(link))
    for (const link of tree.links) this.#followLink(link, 0)
  }

  /** The target as the archive has it: relative. */
  target(link: LinkNode): string {
    return this.#targets.get(link) ?? ''
  }

  /** Where a path relative to the function's folder leads; undefined where it leaves the folder. */
  follow(path: string): Landing | undefined {
    return this.#followPath(path, this.#tree.root, 0)
  }

  #followLink(link: LinkNode, depth: number): Followed {
    const known = this.#followed.get(link)
    if (known !== undefined) return known
    if (depth > MAX_HOPS) throw tooManyHops(link)
    const followed = this.#followPath(this.target(link), link.parent, depth)
    if (followed === undefined) throw escapes(link, this.target(link))
    this.#followed.set(link, followed)
    return followed
  }

  /** Missing components count as folders, so that `missing/../../..` is judged as if they existed. */
  #followPath(path: string, from: FolderNode, depth: number): Followed | undefined {
    let at: FolderNode | FileNode = from
    let missing = 0
    let hops = 0
    for (const component of path.split('/')) {
      if (component === '' || component === '.') continue
      if (component === '..') {
        if (missing > 0) missing--
        else if (at.parent !== undefined) at = at.parent
        else return undefined
        continue
      }
      const child: FolderNode | FileNode | LinkNode | undefined =
        missing === 0 && at.kind === 'folder' ? at.children.get(nameKey(component, this.#tree.platform)) : undefined
      if (child === undefined) missing++
      else if (child.kind !== 'link') at = child
      else {
        const followed = this.#followLink(child, depth + 1)
        hops += 1 + followed.hops
        if (hops > MAX_HOPS) throw tooManyHops(child)
        at = followed.at
        missing = followed.missing
      }
    }
    return { at, missing, hops }
  }
}

function readTarget(link: LinkNode): string {
  const target = unpackWhole(link.packed).toString('utf8')
  if (target.startsWith('/')) throw escapes(link, target)
  if (target === '' || /[\p{Cc}\uFFFD]/u.test(target)) {
    const text = `is a symbolic link to ${JSON.stringify(target)}; only printable relative paths with "/" are allowed`
    throw refuseEntry(link.packed.name, text)
  }
  return target
}

function escapes(link: LinkNode, target: string): Error {
  const text = `is a symbolic link to ${JSON.stringify(target)}, which leaves the function's folder; only links that stay inside are allowed`
  return refuseEntry(link.packed.name, text)
}

function tooManyHops(link: LinkNode): Error {
  const text = `is a symbolic link that leads in a circle or through more than ${MAX_HOPS} others`
  return refuseEntry(link.packed.name, text)
}
