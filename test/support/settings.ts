import type { FunctionSettings } from '../../src/store/function.js'

/** A function without limits. */
export function settingsOf(name: string, handler = 'main.sh'): FunctionSettings {
  return {
    name,
    handler,
    cpuMillicores: 0,
    memoryMb: 0,
    timeoutSeconds: 0,
    env: {},
    maxConcurrency: 0,
    maxConcurrencyBehavior: 'exit',
  }
}
