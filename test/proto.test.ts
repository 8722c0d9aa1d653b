import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { loadProtos, OWN_PROTOS } from '../src/load-protos.js'
import { AGENT_SERVICE, AgentServiceDefinition, OPERATIONS, OperationsDefinition } from '../src/proto.js'

type Method = MethodDefinition<object, object>

const read = loadProtos(OWN_PROTOS)
const root = new protobuf.Root()
root.resolvePath = (_origin, target) => new URL(`../../proto/${target}`, import.meta.url).pathname
root.loadSync(OWN_PROTOS, { keepCase: true }).resolveAll()

for (const [name, compiled] of Object.entries({
  [AGENT_SERVICE]: AgentServiceDefinition as unknown as Readonly<Record<string, Method>>,
  [OPERATIONS]: OperationsDefinition as unknown as Readonly<Record<string, Method>>,
})) {
  describe(`${name}, compiled when it was built`, () => {
    const asRead = read[name] as ServiceDefinition as Readonly<Record<string, Method>>

    it('has the methods of the proto', () => {
      const factsOf = (methods: Readonly<Record<string, Method>>) =>
        Object.entries(methods).map(([key, { path, requestStream, responseStream, originalName }]) => {
          return { key, path, requestStream, responseStream, originalName }
        })
      assert.deepEqual(factsOf(compiled), factsOf(asRead))
    })

    for (const { name: method, requestType, responseType } of root.lookupService(name).methodsArray) {
      const [ours, theirs] = [compiled[method], asRead[method]]
      assert.ok(ours && theirs)
      it(`${method} sends and reads what the proto says`, () => {
        fc.assert(
          fc.property(messageOf(requestType), messageOf(responseType), fc.uint8Array(), (request, response, noise) => {
            const bytes = theirs.requestSerialize(request)
            assert.deepEqual(ours.requestSerialize(request), bytes)
            assert.deepEqual(ours.requestDeserialize(bytes), theirs.requestDeserialize(bytes))
            const answer = theirs.responseSerialize(response)
            assert.deepEqual(ours.responseSerialize(response), answer)
            assert.deepEqual(ours.responseDeserialize(answer), theirs.responseDeserialize(answer))
            const broken = Buffer.concat([bytes.subarray(0, bytes.length / 2), noise])
            assert.deepEqual(
              outcome(() => ours.requestDeserialize(broken)),
              outcome(() => theirs.requestDeserialize(broken)),
            )
          }),
        )
      })
    }
  })
}

/** Values for a message, as callers may give them: fields may be missing, and of numbers any. */
function messageOf(type: string): fc.Arbitrary<object> {
  const fields = root.lookupType(type).fieldsArray.map((field) => [field.name, arbitraryOf(field)] as const)
  return fc.record(Object.fromEntries(fields), { requiredKeys: [] })
}

function arbitraryOf(field: protobuf.Field): fc.Arbitrary<unknown> {
  const one = field.resolvedType ? messageOf(field.resolvedType.fullName) : scalar(field.type)
  if (field instanceof protobuf.MapField) return fc.dictionary(fc.string({ unit: 'binary' }), one)
  return field.repeated ? fc.array(one, { maxLength: 3 }) : one
}

function scalar(type: string): fc.Arbitrary<unknown> {
  if (type === 'string') return fc.string({ unit: 'binary' })
  if (type === 'bytes') return fc.uint8Array().map((bytes) => Buffer.from(bytes))
  if (type === 'bool') return fc.boolean()
  if (type === 'double' || type === 'float') return fc.double()
  return fc.oneof(fc.maxSafeInteger(), fc.integer(), fc.constant(2 ** 63))
}

function outcome(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return String(error)
  }
}
