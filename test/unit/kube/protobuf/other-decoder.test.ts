/** What this server writes in protobuf, read by protobufjs along the descriptors that kubectl carries. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { readAsset } from '../../../../src/host/assets.ts'
import { isMap } from '../../../../src/kube/json-map.ts'
import { parseModel } from '../../../../src/kube/model.ts'
import { createProtobufCodec, inEnvelope, watchFrame } from '../../../../src/kube/protobuf/protobuf.ts'
import { parseTime } from '../../../../src/kube/time.ts'
import { kubectlDecoders } from '../../../support/kubectl-descriptors.ts'
import { randomObject, seededRandom } from '../../../support/random-objects.ts'

const model = parseModel(readAsset('model.json'))
const codec = createProtobufCodec(JSON.parse(readAsset('protobuf.json')))
const decoders = kubectlDecoders(join(import.meta.dirname, '../../../../build/bin/kubectl'))
const ROUNDS = 8
/** Fields of kubectl's version or earlier: the others are not in its descriptors. */
const LATER = new Set([
  'PodSpec.schedulingGroup',
  'PodStatus.nodeAllocatableResourceClaimStatuses',
  'PodStatus.allocatedResources',
  'PodStatus.resources',
  'ResourceHealth.message',
  'VolumeMountStatus.volumeStatus',
  'Device.nodeAllocatableResourceMappings',
  'DeviceAttribute.bools',
  'DeviceAttribute.ints',
  'DeviceAttribute.strings',
  'DeviceAttribute.versions',
  'CSIDriverSpec.preventPodSchedulingIfMissing',
  'CSIDriverSpec.serviceAccountTokenInSecrets',
  'NodeStatus.declaredFeatures',
  'PodCertificateProjection.userAnnotations',
  'ListMeta.shardInfo',
])
const skips = (typeName: string, field: string) => LATER.has(`${typeName.split('.').at(-1)}.${field}`)

const plainName = (name: string) => name.toLowerCase()

/** The field of the message that has the JSON name, also of structs that Go embeds; undefined when there is none. */
function fieldOf(message: Record<string, unknown>, name: string): unknown {
  const own = Object.keys(message).find(key => plainName(key) === plainName(name))
  if (own !== undefined) return message[own]
  for (const inner of Object.values(message)) {
    if (!isMap(inner)) continue
    const found = Object.keys(inner).find(key => plainName(key) === plainName(name))
    if (found !== undefined) return inner[found]
    const deeper = Object.values(inner)
      .filter(isMap)
      .find(one => Object.keys(one).some(key => plainName(key) === plainName(name)))
    if (deeper !== undefined) return fieldOf(deeper, name)
  }
  return undefined
}

const text = (value: unknown) => Buffer.from(String(value), 'base64').toString('utf8')

/** Compares JSON with the message that stands for it. */
function assertSame(path: string, json: unknown, message: unknown): void {
  if (Array.isArray(json)) {
    const items = isMap(message) ? message['items'] : message
    assert.ok(Array.isArray(items) && items.length === json.length, `${path} is ${JSON.stringify(message)}`)
    for (const [index, item] of json.entries()) assertSame(`${path}[${index}]`, item, items[index])
  } else if (isMap(json) && Array.isArray(message)) assertSame(path, json, entriesOf(message))
  else if (isMap(message)) assertSameMessage(path, json, message)
  else assert.deepEqual(message, json, path)
}

/** A map is a list of entries on the wire. */
const entriesOf = (entries: readonly { readonly key: string; readonly value: unknown }[]) =>
  Object.fromEntries(entries.map(({ key, value }) => [key, value ?? {}]))

function assertSameMessage(path: string, json: unknown, message: Record<string, unknown>): void {
  const raw = message['raw'] ?? message['Raw']
  const isTime = 'seconds' in message && typeof json === 'string'
  if (isTime) {
    const ms = Number(message['seconds']) * 1000 + Math.floor(Number(message['nanos']) / 1e6)
    assert.equal(ms, parseTime(json), path)
  } else if ('intVal' in message) {
    assert.equal(message['type'] === 1 ? message['strVal'] : message['intVal'], json, path)
  } else if (raw !== undefined) assert.deepEqual(JSON.parse(text(raw)), json, path)
  else if (!isMap(json)) assert.equal(message['string'], json, path)
  else for (const [key, value] of Object.entries(json)) assertField(path, key, value, message)
}

function assertField(path: string, key: string, value: unknown, message: Record<string, unknown>): void {
  const found = fieldOf(message, key)
  // proto-loader leaves empty messages out of maps of nothing.
  if (found === undefined && isMap(value) && Object.keys(value).length === 0) return
  assert.notEqual(found, undefined, `${path}.${key} is not in ${JSON.stringify(message).slice(0, 300)}`)
  assertSame(`${path}.${key}`, value, found)
}

test('protobufjs reads random objects of every kind as they were meant', () => {
  let kinds = 0
  for (const { name, kinds: of } of model.types.values()) {
    const decode = decoders.get(name.replace(/^io\.k8s\./, 'k8s.io.').replaceAll('-', '_'))
    if (of.length === 0 || decode === undefined || !codec.hasForm(name)) continue
    kinds += 1
    for (let round = 0; round < ROUNDS; round++) {
      const object = randomObject(model, name, seededRandom(kinds * 100 + round), { skips })
      assertSame(`${name} round ${round} `, object, decode(Buffer.from(codec.encode(name, object))))
    }
  }
  assert.ok(kinds > 100, `${kinds} kinds were compared`)
})

test('protobufjs reads envelopes and frames of watches', () => {
  const decoder = (name: string) => decoders.get(name) ?? assert.fail(`kubectl does not know ${name}`)
  const pod = codec.encode('io.k8s.api.core.v1.Pod', { metadata: { name: 'web' } })
  const enveloped = inEnvelope('v1', 'Pod', pod)
  assert.equal(enveloped.toString('latin1', 0, 4), 'k8s\0')
  const unknown = decoder('k8s.io.apimachinery.pkg.runtime.Unknown')(enveloped.subarray(4))
  assert.deepEqual(unknown['typeMeta'], { apiVersion: 'v1', kind: 'Pod' })
  assert.equal(unknown['raw'], pod.toString('base64'))
  const frame = watchFrame('ADDED', enveloped)
  assert.equal(frame.readUInt32BE(0), frame.length - 4)
  const event = decoder('k8s.io.apimachinery.pkg.apis.meta.v1.WatchEvent')(frame.subarray(4))
  assert.equal(event['type'], 'ADDED')
  assert.deepEqual(event['object'], { raw: enveloped.toString('base64') })
})
