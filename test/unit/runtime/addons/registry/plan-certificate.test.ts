/** The registry's own certificate: what it is for, when there has to be another one, and what nodes are told. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import test from 'node:test'
import { systemRandom } from '../../../../../src/base/random.ts'
import type { Node, Service } from '../../../../../src/kube/types.ts'
import {
  type CertificateNames,
  isGood,
  namesOf,
  trustDocument,
} from '../../../../../src/runtime/addons/registry/plan-certificate.ts'
import { generateKey, issueAuthority, issueLeaf } from '../../../../../src/runtime/pki/issue.ts'
import { DAY_MS, validityFrom } from '../../../../../src/runtime/pki/validity.ts'

const NOW_MS = Date.parse('2026-01-01T00:00:00Z')
const nodeOf = (name: string, address: string): Node => ({
  ...{ apiVersion: 'v1', kind: 'Node', metadata: { name } },
  status: { addresses: [{ type: 'InternalIP', address }] },
})
const service = { spec: { clusterIPs: ['10.152.183.7', 'fd00::7'] } } as unknown as Service
const names = namesOf([nodeOf('b', '10.0.0.2'), nodeOf('a', '10.0.0.1')], service, 'cluster.local')

test('it is for the node port on every node, and for the service', () => {
  assert.deepEqual(names, {
    dnsNames: [
      ...['localhost', 'registry.container-registry', 'registry.container-registry.svc'],
      'registry.container-registry.svc.cluster.local',
    ],
    ipAddresses: ['127.0.0.1', '::1', '10.152.183.7', 'fd00::7', '10.0.0.1', '10.0.0.2'],
  })
})

test('a node that comes, an authority that is replaced and an end that is near make it due', async () => {
  const authority = await issueAuthority('one', validityFrom(NOW_MS, 3_650), systemRandom)
  const other = await issueAuthority('one', validityFrom(NOW_MS, 3_650), systemRandom)
  const key = generateKey()
  const pem = await issueLeaf(
    { ...names, commonName: 'registry', usages: ['server'], uris: [] },
    { authority, key, random: systemRandom, validity: validityFrom(NOW_MS, 365) },
  )
  const certificate = new X509Certificate(pem)
  const good = (nowMs: number, wanted: CertificateNames, by = authority) =>
    isGood(certificate, { authority: new X509Certificate(by.certificate), names: wanted, nowMs })
  assert.equal(good(NOW_MS, names), true)
  assert.equal(good(NOW_MS, { ...names, ipAddresses: ['10.0.0.1'] }), true)
  assert.equal(good(NOW_MS, { ...names, ipAddresses: ['10.0.0.3'] }), false)
  assert.equal(good(NOW_MS, names, other), false)
  assert.equal(good(NOW_MS + 300 * DAY_MS, names), false)
})

test('nodes speak TLS to their own addresses too, and trust the authority there', () => {
  const { mirrors, configs } = trustDocument({ 'node-port': 32_000 }, names, 'PEM')
  assert.deepEqual(mirrors?.['localhost:32000'], { endpoint: ['https://localhost:32000'] })
  assert.deepEqual(Object.keys(mirrors ?? {}), ['localhost:32000', '127.0.0.1:32000', '[::1]:32000'])
  assert.deepEqual(configs?.['10.0.0.2:32000'], { tls: { ca: 'PEM' } })
  assert.deepEqual(configs?.['[fd00::7]:32000'], { tls: { ca: 'PEM' } })
})
