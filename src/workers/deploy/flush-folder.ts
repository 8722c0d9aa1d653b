import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** Resolves once a power cut leaves a folder, and what is in it by name, as they are now. Rejects with the system's error. */
export async function flushFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
