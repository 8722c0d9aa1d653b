// Prints the folder of Python's gRPC, with its clients of health checks and reflection; made once.
import { execFileSync } from 'node:child_process'
import { cached, recipeOf } from './cache.mjs'

const PACKAGES = ['grpcio==1.85.3', 'grpcio-health-checking==1.85.1', 'grpcio-reflection==1.85.1']

const python = execFileSync('python3', ['-c', 'import sys; print(*sys.version_info[:2], sep=".")'], {
  encoding: 'utf8',
})
const folder = cached(`python-grpc-${python.trim()}-${recipeOf(import.meta.filename)}`, (made) => {
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', made, ...PACKAGES]
  execFileSync('python3', install, { stdio: ['ignore', 2, 'inherit'] })
})
console.log(folder)
