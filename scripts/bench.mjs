// Builds what the benches need, and reports what is missing.
import { build } from './build.mjs'
import { hasLoadLibraries } from './machine.mjs'

build()
if (!hasLoadLibraries()) console.log('the load client of the benches will have no library to be compiled with')
