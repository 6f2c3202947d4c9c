/** Random objects of every kind through the protobuf form and back. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { readAsset } from '../../../../src/host/assets.ts'
import { isMap } from '../../../../src/kube/json-map.ts'
import { parseModel } from '../../../../src/kube/model.ts'
import {
  createProtobufCodec,
  inEnvelope,
  type ProtobufTable,
} from '../../../../src/kube/protobuf/protobuf.ts'
import { randomObject, seededRandom } from '../../../support/random-objects.ts'

const model = parseModel(readAsset('model.json'))
const table = JSON.parse(readAsset('protobuf.json')) as ProtobufTable
const codec = createProtobufCodec(table)
const ROUNDS = 12

function fieldNames(typeName: string): string[] {
  return Object.values(table[typeName] ?? {}).flatMap(([name, type, marks]) =>
    marks.includes('i') ? fieldNames(type) : [name],
  )
}

test('every field of every type of the model has a number', () => {
  const missing: string[] = []
  for (const [name, { fields }] of model.types) {
    const known = new Set(fieldNames(name))
    if (table[name] === undefined || known.has('')) continue
    for (const field of fields.keys()) {
      if (field !== 'apiVersion' && field !== 'kind' && !known.has(field)) missing.push(`${name}.${field}`)
    }
  }
  assert.deepEqual(missing, [])
  const kinds = [...model.types.values()].filter(({ kinds }) => kinds.length > 0)
  assert.deepEqual(
    kinds.filter(({ name }) => table[name] === undefined).map(({ name }) => name),
    [],
  )
})

/** What Go shows of a field that was not set. */
function isZero(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  if (isMap(value)) return Object.values(value).every(isZero)
  return value === undefined || value === '' || value === 0 || value === false || value === '0'
}

/** The same, where the second may have zeros besides. */
function assertContains(path: string, sent: unknown, received: unknown): void {
  if (Array.isArray(sent)) {
    assert.ok(Array.isArray(received) && received.length === sent.length, path)
    for (const [index, item] of sent.entries()) assertContains(`${path}[${index}]`, item, received[index])
  } else if (isMap(sent) && isMap(received)) {
    for (const key of new Set([...Object.keys(sent), ...Object.keys(received)])) {
      if (!(key in sent)) assert.ok(isZero(received[key]), `${path}.${key} came out of nothing`)
      else assertContains(`${path}.${key}`, sent[key], received[key])
    }
  } else assert.deepEqual(received, sent, path)
}

test('random objects of every kind come back as they were sent, and as the same bytes', () => {
  let count = 0
  for (const { name, kinds } of model.types.values()) {
    const [kind] = kinds
    if (kind === undefined || table[name] === undefined) continue
    for (let round = 0; round < ROUNDS; round++) {
      const object = randomObject(model, name, seededRandom(count++))
      const bytes = Buffer.from(codec.encode(name, object))
      const { apiVersion, kind: ofKind, ...back } = codec.decode(inEnvelope('v1', kind.kind, bytes), name)
      assert.deepEqual([apiVersion, ofKind], ['v1', kind.kind])
      assertContains(`${name} round ${round} `, { metadata: {}, ...object }, { ...back })
      assert.ok(codec.encode(name, back).equals(bytes), `${name} is written in another way again`)
    }
  }
  assert.ok(count > 1000)
})
