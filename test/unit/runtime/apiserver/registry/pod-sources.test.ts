/** Pods' variables from files, certificates of their own, and selectors that their labels complete. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pods } from '../../../../../src/runtime/apiserver/registry/core/pods.ts'
import { created, createProblems, object, read, specOf } from './support.ts'

const pod = (fields: object, container: object = {}, labels = {}) =>
  object('Pod', { spec: { containers: [{ name: 'a', image: 'b', ...container }], ...fields } }, { labels })

test('a variable from a file names the volume, the file and the key', () => {
  const problems = (fileKeyRef: object) =>
    createProblems(pods, pod({}, { env: [{ name: 'A', valueFrom: { fileKeyRef } }] }))
  assert.deepEqual(problems({ volumeName: 'v', path: 'a/b.env', key: 'A' }), [])
  const field = 'spec.containers[0].env[0].valueFrom.fileKeyRef'
  assert.deepEqual(problems({}), [
    `${field}.volumeName: Required value`,
    `${field}.key: Required value`,
    `${field}.path: Required value`,
  ])
  assert.deepEqual(problems({ volumeName: 'v', path: '/a/../b', key: 'A' }), [
    `${field}.path: Invalid value: "/a/../b": must be a relative path`,
    `${field}.path: Invalid value: "/a/../b": must not contain '..'`,
  ])
})

test("a pod's certificate has a signer, a kind of key, a life within bounds and a place", () => {
  const problems = (podCertificate: object) =>
    createProblems(pods, pod({ volumes: [{ name: 'v', projected: { sources: [{ podCertificate }] } }] }))
  const valid = { signerName: 'a.b/c', keyType: 'ED25519', credentialBundlePath: 'bundle.pem' }
  const field = 'spec.volumes[0].projected.sources[0].podCertificate'
  assert.deepEqual(problems(valid), [])
  assert.deepEqual(problems({ keyType: 'RSA1024', maxExpirationSeconds: 7_862_401 }), [
    `${field}.signerName: Required value`,
    `${field}.keyType: Unsupported value: "RSA1024": supported values: "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"`,
    `${field}.maxExpirationSeconds: Invalid value: 7862401: if provided, maxExpirationSeconds must be <= 7862400`,
    `${field}: Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath`,
  ])
  assert.deepEqual(problems({ ...valid, keyPath: 'bundle.pem' }), [
    `${field}.keyPath: Invalid value: "bundle.pem": conflicting duplicate paths`,
  ])
})

test("the pod's own labels complete the selectors of its affinity and spreading once, at creation", () => {
  const labelSelector = { matchLabels: { app: 'web' } }
  const term = { topologyKey: 'zone', labelSelector, matchLabelKeys: ['hash'], mismatchLabelKeys: ['tenant'] }
  const made = created(
    pods,
    pod(
      {
        affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'zone',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { ...labelSelector },
            matchLabelKeys: ['hash', 'absent'],
          },
        ],
      },
      {},
      { hash: '1', tenant: 't' },
    ),
  )
  const hash = { key: 'hash', operator: 'In', values: ['1'] }
  const spec = specOf(made) as {
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: (typeof term)[] } }
    topologySpreadConstraints: (typeof term)[]
  }
  const [merged] = spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution
  assert.deepEqual(merged?.labelSelector, {
    matchLabels: { app: 'web' },
    matchExpressions: [hash, { key: 'tenant', operator: 'NotIn', values: ['t'] }],
  })
  assert.deepEqual(spec.topologySpreadConstraints[0]?.labelSelector, {
    matchLabels: { app: 'web' },
    matchExpressions: [hash],
  })
  assert.deepEqual(read(pods.validate?.(made)), [])
})
