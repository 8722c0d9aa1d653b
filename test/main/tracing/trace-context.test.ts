import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Metadata } from '@grpc/grpc-js'
import { isSampled, readTraceContext, traceVariables } from '../../../src/main/tracing/trace-context.js'

// As in the examples of the standard.
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const PARENT = `00-${TRACE}-${SPAN}-01`

/** What a function finds for these headers. */
function variables(parents: readonly string[], states: readonly string[] = []) {
  const metadata = new Metadata()
  for (const parent of parents) metadata.add('traceparent', parent)
  for (const state of states) metadata.add('tracestate', state)
  const context = readTraceContext(metadata)
  return context && traceVariables(context)
}

describe('the trace of a call', () => {
  it('is that of its traceparent, with the flags that the standard knows', () => {
    assert.deepEqual(variables([PARENT]), { TRACEPARENT: PARENT })
    assert.deepEqual(variables([`00-${TRACE}-${SPAN}-ff`]), { TRACEPARENT: `00-${TRACE}-${SPAN}-03` })
    const metadata = new Metadata()
    metadata.add('traceparent', `00-${TRACE}-${SPAN}-02`)
    assert.equal(isSampled(readTraceContext(metadata) ?? assert.fail()), false)
  })

  it('of a later version is read as far as this one goes', () => {
    assert.deepEqual(variables([`cc-${TRACE}-${SPAN}-01`]), { TRACEPARENT: PARENT })
    assert.deepEqual(variables([`cc-${TRACE}-${SPAN}-01-what-the-future-brings`]), { TRACEPARENT: PARENT })
    assert.equal(variables([`cc-${TRACE}-${SPAN}-01.what`]), undefined)
  })

  it('is none where it breaks the grammar', () => {
    for (const parents of [
      [],
      [''],
      ['00'],
      [`00-${TRACE}-${SPAN}`],
      [`00-${TRACE}-${SPAN}-1`],
      [`00-${TRACE}-${SPAN}-01-`],
      [`00-${TRACE}-${SPAN}-01-more`],
      [`ff-${TRACE}-${SPAN}-01`],
      [`0-${TRACE}-${SPAN}-01`],
      [`00-${TRACE.toUpperCase()}-${SPAN}-01`],
      [`00-${TRACE}-${SPAN.toUpperCase()}-01`],
      [`00-${'0'.repeat(32)}-${SPAN}-01`],
      [`00-${TRACE}-${'0'.repeat(16)}-01`],
      [`00-${TRACE}x-${SPAN}-01`],
      [`00_${TRACE}_${SPAN}_01`],
      [PARENT, PARENT],
    ])
      assert.equal(variables(parents, ['a=1']), undefined, parents.join())
  })

  it('has the state of vendors, unless that breaks the grammar', () => {
    const state = (...states: string[]) => variables([PARENT], states)?.['TRACESTATE']
    for (const good of [
      'a=1',
      'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
      'fw529a3039@dt=FfffffeC',
      'a=b c',
      '0a-_*/=!~',
    ])
      assert.equal(state(good), good)
    assert.equal(state('a=1 ,, b=2 ', ',c=3'), 'a=1,b=2,c=3')
    const many = Array.from({ length: 32 }, (_, n) => `k${n}=v`)
    assert.equal(state(many.join(',')), many.join(','))
    for (const bad of [
      '',
      ',',
      'a',
      '=1',
      'a=',
      'A=1',
      'a b=1',
      'a=1,a=2',
      'a=1=2',
      'a@=1',
      'a@b@c=1',
      `${'a'.repeat(257)}=1`,
      `a=${'x'.repeat(257)}`,
      [...many, 'l=1'].join(','),
    ])
      assert.deepEqual(variables([PARENT], [bad]), { TRACEPARENT: PARENT }, bad)
  })
})
