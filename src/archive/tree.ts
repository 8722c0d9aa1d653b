import type { Packed } from './contents.js'
import { type ArchiveEntry, tooMany } from './entries.js'
import type { ArchiveLimits } from './limits.js'
import { nameKey } from './path-rules.js'
import { quote, refuseEntry } from './refused.js'
import type { Modified } from './times.js'

export interface FolderNode {
  readonly kind: 'folder'
  readonly path: string
  /** Undefined for the function's own folder. */
  readonly parent: FolderNode | undefined
  readonly children: Map<string, Node>
  /** Undefined where the folder is only implied by a path below it. */
  modified: Modified | undefined
}

export interface FileNode {
  readonly kind: 'file'
  readonly path: string
  readonly parent: FolderNode
  readonly packed: Packed
  readonly executable: boolean
  readonly modified: Modified
}

export interface LinkNode {
  readonly kind: 'link'
  readonly path: string
  readonly parent: FolderNode
  readonly packed: Packed
}

export type Node = FolderNode | FileNode | LinkNode

/** The files and folders that the archive unpacks to. */
export interface Tree {
  readonly platform: NodeJS.Platform
  readonly root: FolderNode
  /** Without the root; parents come before their children. */
  readonly folders: readonly FolderNode[]
  readonly files: readonly FileNode[]
  readonly links: readonly LinkNode[]
}

/**
 * Builds the tree. Throws ArchiveRefused where two entries would be one file, or one lies below a file or a symbolic
 * link. A folder may be listed several times, as in merged archives. Implied folders count towards the limit: one long
 * name implies up to two thousand.
 */
export function buildTree(entries: readonly ArchiveEntry[], limits: ArchiveLimits, platform: NodeJS.Platform): Tree {
  const root: FolderNode = { kind: 'folder', path: '', parent: undefined, children: new Map(), modified: undefined }
  const folders: FolderNode[] = []
  const files: FileNode[] = []
  const links: LinkNode[] = []

  function addFolder(parent: FolderNode, path: string, key: string, modified?: Modified): FolderNode {
    const folder: FolderNode = { kind: 'folder', path, parent, children: new Map(), modified }
    folders.push(folder)
    addChild(parent, key, folder)
    return folder
  }

  function addChild(parent: FolderNode, key: string, child: Node): void {
    parent.children.set(key, child)
    if (folders.length + files.length + links.length > limits.maxEntries) {
      throw tooMany('more with the folders its names imply', limits)
    }
  }

  function parentOf(entry: ArchiveEntry, components: readonly string[]): FolderNode {
    let folder = root
    for (const component of components) {
      const key = nameKey(component, platform)
      const child = folder.children.get(key)
      if (child !== undefined && child.kind !== 'folder') {
        const text = `lies below ${quote(writtenName(child))}, which is a ${describe(child)}`
        throw refuseEntry(nameOf(entry), text)
      }
      folder = child ?? addFolder(folder, folder === root ? component : `${folder.path}/${component}`, key)
    }
    return folder
  }

  for (const entry of entries) {
    if (entry.path === '') continue
    const components = entry.path.split('/')
    const key = nameKey(components.pop() ?? '', platform)
    const parent = parentOf(entry, components)
    const taken = parent.children.get(key)
    if (entry.kind === 'folder' && taken?.kind === 'folder') {
      taken.modified ??= entry.modified
      continue
    }
    if (taken !== undefined) {
      const text = `has the same name as another ${describe(taken)} of the archive, ${quote(writtenName(taken))}`
      throw refuseEntry(nameOf(entry), text)
    }
    if (entry.kind === 'folder') {
      addFolder(parent, entry.path, key, entry.modified)
    } else if (entry.kind === 'file') {
      const file: FileNode = { ...entry, parent }
      files.push(file)
      addChild(parent, key, file)
    } else {
      const link: LinkNode = { ...entry, parent }
      links.push(link)
      addChild(parent, key, link)
    }
  }
  return { platform, root, folders, files, links }
}

export function describe(node: Node): string {
  return node.kind === 'link' ? 'symbolic link' : node.kind
}

/** The archive's spelling; a folder may have none of its own, as only paths below imply it. */
function writtenName(node: Node): string {
  return node.kind === 'folder' ? node.path : node.packed.name
}

function nameOf(entry: ArchiveEntry): string {
  return entry.kind === 'folder' ? entry.name : entry.packed.name
}
