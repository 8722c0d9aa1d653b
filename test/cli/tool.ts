import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'

const SCRIPT = `#!/bin/sh
verb=$1
shift
await() { while [ ! -e "$1" ]; do sleep 0.02; done; }
case $verb in
  args) for arg in "$@"; do printf '[%s]\\n' "$arg"; done ;;
  env) printf '%s\\n' "$GREETING" ;;
  exit) exit "$1" ;;
  die) kill -"$1" $$ ;;
  say-and-await) printf "$1"; await "$2"; printf 'end\\n' ;;
  random) head -c "$1" /dev/urandom | tee "$2" ;;
  forever) sleep 600 & echo "$$ $!"; wait ;;
esac
`

/** The folder of a function, `tool.sh`, that does what its first argument says. */
export function makeTool(): string {
  const dir = makeTempDir('flux-agent-tool-')
  writeFileSync(join(dir, 'tool.sh'), SCRIPT, { mode: 0o755 })
  return dir
}
