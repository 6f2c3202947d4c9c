/** What an Ingress is warned of. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Ingress, Service } from '../../../../../src/kube/types.ts'
import { servicesByName, warningsOf } from '../../../../../src/runtime/addons/ingress/ingress-warnings.ts'

const CREATED = '2026-01-01T00:00:00Z'
const ingress = (...backends: object[]) =>
  ({
    metadata: { name: 'web', namespace: 'shop', creationTimestamp: CREATED },
    spec: {
      tls: [{ secretName: 'web-tls' }, {}],
      rules: [{ http: { paths: backends.map(backend => ({ path: '/', pathType: 'Prefix', backend })) } }],
    },
  }) as Ingress
const to = (name: string, port?: object) => ({ service: { name, port } })
const services = servicesByName([
  { metadata: { name: 'a', namespace: 'shop' }, spec: { ports: [{ name: 'http', port: 80 }] } },
  { metadata: { name: 'b', namespace: 'other' }, spec: { ports: [{ port: 80 }] } },
  { metadata: { name: 'out', namespace: 'shop' }, spec: { type: 'ExternalName' } },
] as object[] as Service[])
const reasons = (one: Ingress, afterMs: number, certificates: string[] = ['shop/web-tls']) =>
  warningsOf(one, {
    services,
    certificates: new Set(certificates),
    nowMs: Date.parse(CREATED) + afterMs,
  }).map(({ reason }) => reason)

test('an Ingress is told which Service, port, certificate or resource it names in vain', () => {
  const good = ingress(to('a', { number: 80 }), to('a', { name: 'http' }), to('out', { number: 443 }))
  assert.deepEqual(reasons(good, 60_000), [])
  assert.deepEqual(reasons(ingress(to('b', { number: 80 })), 60_000), ['MissingService'])
  assert.deepEqual(reasons(ingress(to('a', { number: 81 })), 60_000), ['MissingPort'])
  assert.deepEqual(reasons(ingress(to('a', { name: 'https' })), 60_000), ['MissingPort'])
  assert.deepEqual(reasons(good, 60_000, []), ['MissingCertificate'])
  assert.deepEqual(reasons(ingress({ resource: { kind: 'Bucket', name: 'x' } }), 0), ['UnsupportedBackend'])
})

test('Services may come a moment later than the Ingress', () => {
  const early = ingress(to('none', { number: 80 }))
  assert.deepEqual(reasons(early, 2_000), [])
  assert.deepEqual(reasons(early, 20_000), ['MissingService'])
})
