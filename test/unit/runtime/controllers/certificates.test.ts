/** When requests for certificates are cleared away, how long a certificate lives, and what signers refuse. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { CertificateSigningRequest } from '../../../../src/kube/types.ts'
import {
  isOwnRenewal,
  leftMs,
  recognitions,
  signerProblem,
  validityOf,
} from '../../../../src/runtime/controllers/certificates/plan.ts'

const NOW = Date.parse('2026-01-02T00:00:00Z')
const HOUR = 3_600_000
const at = (ms: number) => new Date(NOW + ms).toISOString()

const csr = (status: object, spec: object = {}): CertificateSigningRequest => ({
  apiVersion: 'certificates.k8s.io/v1',
  kind: 'CertificateSigningRequest',
  metadata: { name: 'a', creationTimestamp: at(-20 * HOUR) },
  spec: {
    request: '',
    signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
    usages: ['client auth'],
    ...spec,
  },
  status,
})
const condition = (type: string, ms: number) => ({
  conditions: [{ type, status: 'True', lastUpdateTime: at(ms) }],
})
const names = { commonName: 'system:node:a', organizations: ['system:nodes'] }
const noNames = { dnsNames: [], ipAddresses: [], emails: [], uris: [] }

test('pending requests go after a day, decided ones after an hour, issued ones with their certificate', () => {
  const left = (status: object, endMs: number | null = null) => leftMs(csr(status), endMs, NOW) / HOUR
  assert.equal(left({}), 4)
  assert.equal(left(condition('Denied', -HOUR / 2)), 0.5)
  assert.equal(left(condition('Failed', -2 * HOUR)), -1)
  assert.equal(left({ ...condition('Approved', -HOUR / 2), certificate: 'YQ==' }, NOW + 9 * HOUR), 0.5)
  assert.equal(left({ ...condition('Approved', -HOUR / 2), certificate: 'YQ==' }, NOW - HOUR), -1)
  assert.equal(left(condition('Approved', -30 * HOUR)), Number.POSITIVE_INFINITY)
})

test('a certificate lives as long as was asked for, within a year and the life of the authority', () => {
  const hours = (expirationSeconds: number | undefined, authorityEnd = Number.POSITIVE_INFINITY) =>
    (validityOf(csr({}, { expirationSeconds }), NOW, authorityEnd).notAfter.getTime() - NOW) / HOUR
  assert.deepEqual([hours(3600), hours(1), hours(undefined)], [1, 1 / 6, 365 * 24])
  assert.equal(hours(undefined, NOW + 5 * HOUR), 5)
})

test('signers of nodes want the names and usages of nodes, others are nobody of ours', () => {
  const problem = (spec: object, over: object = {}) =>
    signerProblem(csr({}, spec), { ...noNames, ...names, ...over })
  assert.equal(problem({}), null)
  assert.equal(problem({}, { organizations: ['x'] }), 'subject organization is not system:nodes')
  assert.equal(problem({}, { commonName: 'a' }), 'subject common name does not begin with system:node:')
  assert.match(problem({ usages: ['server auth'] }) ?? '', /^usages did not match/)
  const serving = { signerName: 'kubernetes.io/kubelet-serving', usages: ['server auth'] }
  assert.equal(problem(serving), 'DNS or IP subjectAltName is required')
  assert.equal(problem(serving, { ipAddresses: ['192.0.2.1'] }), null)
  assert.equal(problem({ signerName: 'example.com/x' }), undefined)
})

test('a node asks for itself or for another, by different rights', () => {
  const rights = (username: string) =>
    recognitions(csr({}, { username }), { ...noNames, ...names }).map(one => one.subresource)
  assert.deepEqual(rights('system:node:a'), ['selfnodeclient', 'nodeclient'])
  assert.deepEqual(rights('system:bootstrap:abcdef'), ['nodeclient'])
})

test('an administrator gets another certificate for one that is shown, with its own names and for nothing more', () => {
  const asked = (over: object = {}, overNames: object = {}) => {
    const spec = {
      signerName: 'mk8s.io/administrator',
      usages: ['digital signature', 'client auth'],
      username: 'kubernetes-admin',
      groups: ['system:masters', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/credential-id': ['X509SHA256=ab'] },
      ...over,
    }
    const own = { commonName: 'kubernetes-admin', organizations: ['system:masters'] }
    const wanted = { ...noNames, ...own, ...overNames }
    const problem = signerProblem(csr({}, spec), wanted)
    assert.equal(isOwnRenewal(csr({}, spec), wanted), problem === null)
    return problem
  }
  assert.equal(asked(), null)
  assert.equal(asked({ groups: ['dev'] }), 'kubernetes-admin is not in system:masters')
  assert.equal(asked({ extra: {} }), 'it was not asked for with a certificate')
  const token = { 'authentication.kubernetes.io/credential-id': ['JTI=ab'] }
  assert.equal(asked({ extra: token }), 'it was not asked for with a certificate')
  assert.equal(asked({}, { commonName: 'x' }), 'subject common name is not kubernetes-admin')
  assert.equal(asked({}, { organizations: ['system:nodes'] }), 'subject organization is not system:masters')
  assert.match(asked({ usages: ['server auth'] }) ?? '', /^usages did not match/)
  assert.match(asked({}, { dnsNames: ['x'] }) ?? '', /DNS/)
})
