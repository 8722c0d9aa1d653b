import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, test } from 'node:test'
import { Project, SCRIPTS } from './project.js'

let project: Project

beforeEach(() => {
  project = Project.make()
})

test('the guest kernel is one and the same for every clone', async () => {
  const nameOf = async (scripts: string) => {
    const { recipeOf } = (await import(join(scripts, 'cache.mjs'))) as { recipeOf(script: string): string }
    return recipeOf(join(scripts, 'uml-kernel.mjs'))
  }
  assert.equal(await nameOf(join(project.dir, 'scripts')), await nameOf(SCRIPTS))
})

test('what another run has cached meanwhile is taken, and what fails leaves nothing', async () => {
  const cache = project.replaceCache()
  const { cached } = (await import(join(project.dir, 'scripts/cache.mjs'))) as {
    cached(name: string, make: (made: string, path: string) => void): string
  }
  const path = cached('tree', (made, whereto) => {
    for (const [folder, who] of [
      [made, 'us'],
      [whereto, 'them'],
    ] as const) {
      mkdirSync(folder)
      writeFileSync(join(folder, 'made-by'), who)
    }
  })
  assert.equal(readFileSync(join(path, 'made-by'), 'utf8'), 'them')
  const broken = () =>
    cached('broken', (made) => {
      mkdirSync(made)
      throw new Error('as meant')
    })
  assert.throws(broken, /^Error: as meant$/)
  assert.deepEqual(readdirSync(cache), ['tree'])
})
