/** The protobuf form of built-in kinds, as Go clients write it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { WireError } from '../../../../src/base/wire-reader.ts'
import { createProtobufCodec, type ProtobufTable } from '../../../../src/kube/protobuf/protobuf.ts'

const asset = (name: string) =>
  readFileSync(new URL(`../../../../build/model/${name}`, import.meta.url), 'utf8')
const codec = createProtobufCodec(JSON.parse(asset('protobuf.json')) as ProtobufTable)

type Part = Buffer | string | number | boolean
/** A field of a message: a number or boolean as a varint, anything else length-delimited. */
function field(number: number, value: Part): Buffer {
  if (typeof value === 'number' || typeof value === 'boolean') {
    return Buffer.concat([varint(number << 3), varint(Number(value))])
  }
  const bytes = Buffer.from(value as string)
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes])
}
const message = (...fields: Buffer[]) => Buffer.concat(fields)

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.of(...bytes, rest)
    bytes.push((rest % 128) | 0x80)
  }
}
const envelope = (apiVersion: string, kind: string, raw: Buffer) =>
  message(
    Buffer.from('k8s\0'),
    field(1, message(field(1, apiVersion), field(2, kind))),
    field(2, raw),
    field(3, ''),
    field(4, ''),
  )
const decode = (body: Buffer, typeName: string) => codec.decode(body, typeName)

test('a ConfigMap keeps its data and loses the zeros that Go writes', () => {
  const metadata = message(
    field(1, 'settings'),
    field(2, ''),
    field(3, 'default'),
    field(7, 0),
    field(8, Buffer.alloc(0)),
  )
  const entry = message(field(1, 'colour'), field(2, 'green'))
  const body = envelope('v1', 'ConfigMap', message(field(1, metadata), field(2, entry)))
  assert.deepEqual(decode(body, 'io.k8s.api.core.v1.ConfigMap'), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: 'default' },
    data: { colour: 'green' },
  })
})

test('embedded structs become part of their parent, and special types their JSON form', () => {
  const port = message(
    field(1, 'http'),
    field(2, 'TCP'),
    field(3, 80),
    field(4, message(field(1, 1), field(3, 'web'))),
    field(5, 0),
  )
  const spec = message(field(1, port), field(4, 'ClusterIP'))
  const service = decode(envelope('v1', 'Service', message(field(2, spec))), 'io.k8s.api.core.v1.Service')
  assert.deepEqual(service['spec'], {
    ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 'web' }],
    type: 'ClusterIP',
  })

  const source = message(field(2, Buffer.alloc(0)))
  const volume = message(field(1, 'scratch'), field(2, source))
  const limits = message(field(1, 'cpu'), field(2, message(field(1, '250m'))))
  const container = message(field(1, 'c'), field(8, message(field(1, limits))))
  const podSpec = message(field(1, volume), field(2, container), field(11, true), field(12, false))
  const pod = decode(envelope('v1', 'Pod', message(field(2, podSpec))), 'io.k8s.api.core.v1.Pod')
  assert.deepEqual(pod['spec'], {
    volumes: [{ name: 'scratch', emptyDir: {} }],
    containers: [{ name: 'c', resources: { limits: { cpu: '250m' } } }],
    hostNetwork: true,
  })
})

test('a zero that a client set stays', () => {
  const deployment = envelope('apps/v1', 'Deployment', message(field(2, message(field(1, 0), field(5, 0)))))
  const { spec } = decode(deployment, 'io.k8s.api.apps.v1.Deployment') as unknown as { spec: object }
  assert.deepEqual(spec, { replicas: 0 })
})

test('bytes that are no message are refused, wherever they end', () => {
  const whole = envelope('v1', 'ConfigMap', message(field(1, message(field(1, 'x')))))
  assert.throws(() => decode(Buffer.from('{}'), 'io.k8s.api.core.v1.ConfigMap'), WireError)
  for (let length = 5; length < whole.length - 4; length++) {
    try {
      decode(whole.subarray(0, length), 'io.k8s.api.core.v1.ConfigMap')
    } catch (error) {
      assert.ok(error instanceof WireError, String(error))
    }
  }
})
