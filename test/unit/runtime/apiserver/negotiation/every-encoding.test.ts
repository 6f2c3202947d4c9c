/** Random objects of every kind, zeros and odd texts among them, through every encoding and back by the door of bodies. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { readAsset } from '../../../../../src/host/assets.ts'
import { parseModel } from '../../../../../src/kube/model.ts'
import type { GroupVersionKind } from '../../../../../src/kube/model-types.ts'
import { applyModelDefaults, decodeObject } from '../../../../../src/kube/schema.ts'
import { readBodyObject } from '../../../../../src/runtime/apiserver/negotiation/body.ts'
import { createEncodings } from '../../../../../src/runtime/apiserver/negotiation/encodings.ts'
import { randomObject, seededRandom } from '../../../../support/random-objects.ts'

const model = parseModel(readAsset('model.json'))
const encodings = createEncodings({ model, protobuf: () => JSON.parse(readAsset('protobuf.json')) })
const FORMATS = ['json', 'yaml', 'cbor', 'protobuf'] as const
const ROUNDS = 5

type Kind = GroupVersionKind & { readonly typeName: string }

/** As it is kept once a client has sent it. */
function decoded(typeName: string, value: unknown): Record<string, unknown> {
  const { object, unknownFields, typeErrors } = decodeObject(model, typeName, value, 'strict')
  assert.deepEqual([unknownFields, typeErrors], [[], []], typeName)
  const copy = structuredClone(object)
  applyModelDefaults(model, typeName, copy)
  return copy
}

/** What comes out of a body in that encoding. */
function through(format: (typeof FORMATS)[number], { kind, typeName }: Kind, object: object): unknown {
  const encoding = encodings.of(format)
  const bytes = encoding.encode(object)
  return readBodyObject({ bytes, contentType: encoding.mediaType, kind, typeName, encodings }).value
}

test('random objects of every kind are the same object through every encoding', () => {
  let seed = 0
  for (const { name: typeName, kinds, fields } of model.types.values()) {
    const [gvk] = kinds
    if (gvk === undefined || !fields.has('metadata')) continue
    const apiVersion = gvk.group === '' ? gvk.version : `${gvk.group}/${gvk.version}`
    for (let round = 0; round < ROUNDS; round++) {
      const random = randomObject(model, typeName, seededRandom(seed++), { zeros: true })
      const object: object = { apiVersion, kind: gvk.kind, metadata: {}, ...random }
      const kept = decoded(typeName, object)
      for (const format of FORMATS) {
        const what: string = `${gvk.kind} in ${format}, seed ${seed - 1}`
        assert.deepEqual(decoded(typeName, through(format, { ...gvk, typeName }, object)), kept, what)
        assert.deepEqual(decoded(typeName, through(format, { ...gvk, typeName }, kept)), kept, what)
      }
    }
  }
  assert.ok(seed > 500, `${seed} objects`)
})
