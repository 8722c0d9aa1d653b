// Runs files of tests, each in a process of its own, and begins them in the order given: node --test would sort them by name.
//   node scripts/run-files.mjs CONFIG
// CONFIG is JSON: `files`, `concurrency`, `timeout` of a file in milliseconds, `options` for node, and `report`, a file to
// write down in what became of each test.
import { createWriteStream } from 'node:fs'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import report from './results.mjs'

const { options, report: path, ...config } = JSON.parse(process.argv[2])
// Where Node does not know `execArgv`, a file's process gets the options of this one.
process.execArgv.push(...options)
const events = run({ ...config, execArgv: options })
events.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) process.exitCode = 1
})
events.compose(new spec()).pipe(process.stdout)
events.compose(report).pipe(createWriteStream(path))
