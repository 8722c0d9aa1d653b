import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import { describeBoth } from '../../support/describe-functions.js'
import { OPEN_FOLDERS, Opponents } from '../../support/opponents.js'

/** Writes what shells, Python and npm read when they start. */
const PLANT = `
  for file in .profile .bash_profile .bash_login .bashrc .bash_logout .shrc; do echo 'echo planted in '$file > ~/$file; done
  echo 'registry=planted' > ~/.npmrc
  packages=$(python3 -c 'import site; print(site.getusersitepackages())')
  mkdir -p "$packages" ~/bin
  for file in usercustomize.py sitecustomize.py; do echo "print('planted in $file')" > "$packages/$file"; done
  echo "import builtins; print('planted in a .pth')" > "$packages/planted.pth"
  printf '#!/bin/sh\\necho planted in ~/bin\\n' > ~/bin/tool; chmod +x ~/bin/tool`
/** Starts them. */
const START = `
  bash -lc true; bash -ic true; sh -lc true; python3 -c ''; cat ~/.npmrc; ~/bin/tool; true`

describeBoth('files that a function plants', {}, (suite) => {
  const { agent, separate } = suite
  const opponents = new Opponents(suite)
  before(() => opponents.deploy())

  async function runsWhatIsPlanted(): Promise<boolean> {
    const { succeeded, text } = await opponents.victimRuns(`(${START}) 2>&1`)
    assert.ok(succeeded, text)
    return text.includes('planted')
  }

  it('in its home run in no other', async () => {
    const { succeeded, text } = await opponents.attacks(PLANT)
    assert.ok(succeeded, text)
    assert.match(
      (await opponents.attacks(START)).text,
      /planted in .bash_profile\n[\s\S]*planted in usercustomize.py\n/,
    )
    assert.equal(await runsWhatIsPlanted(), !separate)
  })

  it('in its home run in no other after a restart of the agent', async () => {
    await agent.restart()
    assert.equal(await runsWhatIsPlanted(), !separate)
  })

  it('in its home run in no other after a redeploy of both', async () => {
    await opponents.deploy()
    assert.equal(await runsWhatIsPlanted(), !separate)
    assert.match((await opponents.attacks(START)).text, /planted in usercustomize.py\n/)
  })

  for (const folder of OPEN_FOLDERS) {
    const name = `${folder}/flux-test-${opponents.name}`

    it(`in ${folder}, under names that another uses, are in nobody's way`, async () => {
      const squat = `umask 0; echo planted > ${name}; mkdir ${name}.d; ln -s ~/stolen ${name}.link; rm -f ~/stolen`
      const holder = await opponents.keepsAttacking(`${squat}; echo done; read end < ~/end || exec sleep 60`)
      const use = `set -C; [ ! -e ${name} ] && [ ! -L ${name}.link ] && echo secret > ${name}.link && mkdir ${name}.d`
      const { succeeded, text } = await opponents.victimRuns(use)
      assert.equal(succeeded, separate, text)
      assert.equal((await opponents.attacks('[ -e ~/stolen ]')).succeeded, false)
      await suite.calls.cancel(holder)
      await opponents.attacks(`rm -rf ${name} ${name}.d ${name}.link`)
    })
  }
})
