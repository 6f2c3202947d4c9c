/** The smaller kinds, and what must hold for every strategy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, createProblems, NOW, object, read, row, specOf, updated } from './support.ts'

const strategyOf = (key: string) => must(strategies.get(key), key)

test('every strategy judges and prints an object that has nothing but a name', () => {
  for (const [key, strategy] of strategies) {
    for (const fields of [{}, { spec: {} }]) {
      const made = created(strategy, object('Kind', fields))
      strategy.validate?.(made)
      strategy.validateCreate?.(made)
      strategy.validateStatusUpdate?.(made, made)
      strategy.validateUpdate?.(made, made)
      const cells = strategy.table?.cells(made, NOW) ?? []
      assert.equal(cells.length, strategy.table?.columns.length, key)
      assert.ok(!cells.includes(undefined), key)
    }
  }
})

test('a secret takes stringData over and keeps its type', () => {
  const secrets = strategyOf('/secrets')
  const made = created(secrets, object('Secret', { stringData: { user: 'me' } }))
  assert.deepEqual([made['data'], made['stringData'], made['type']], [{ user: 'bWU=' }, undefined, 'Opaque'])
  const next = updated(secrets, made, changed => {
    changed['type'] = 'example.com/other'
  })
  assert.deepEqual(read(secrets.validateUpdate?.(next, made)), [
    'type: Invalid value: "example.com/other": field is immutable',
  ])
  assert.deepEqual(createProblems(secrets, object('Secret', { type: 'kubernetes.io/tls' })), [
    'data[tls.crt]: Required value',
    'data[tls.key]: Required value',
  ])
})

test('an immutable config map keeps its data', () => {
  const maps = strategyOf('/configmaps')
  const made = created(maps, object('ConfigMap', { immutable: true, data: { a: '1' } }))
  const next = updated(maps, made, changed => {
    changed['data'] = { a: '2' }
  })
  assert.deepEqual(read(maps.validateUpdate?.(next, made)), [
    'data: Forbidden: field is immutable when `immutable` is set',
  ])
  assert.match(
    createProblems(maps, object('ConfigMap', { data: { 'a b': '' } }))[0] ?? '',
    /^data\[a b\]: Invalid value: "a b": a valid config key must consist of alphanumeric characters/,
  )
})

test('a namespace is held back by its finalizer and goes through Terminating', () => {
  const namespaces = strategyOf('/namespaces')
  const made = created(namespaces, object('Namespace', {}))
  assert.deepEqual(made['spec'], { finalizers: ['kubernetes'] })
  assert.deepEqual(made['status'], { phase: 'Active' })
  assert.equal(made.metadata.labels?.['kubernetes.io/metadata.name'], 'web')
  assert.equal(namespaces.isHeldBack?.(made), true)
})

test('a node shows its roles and readiness', () => {
  const nodes = strategyOf('/nodes')
  const labels = { 'node-role.kubernetes.io/control-plane': '', 'kubernetes.io/role': 'edge' }
  const fields = {
    spec: { unschedulable: true },
    status: { conditions: [{ type: 'Ready', status: 'True' }], nodeInfo: { kubeletVersion: 'v1.36.0' } },
  }
  const made = created(nodes, object('Node', fields, { labels }))
  const cells = row(nodes, made)
  assert.equal(cells['Status'], 'Ready,SchedulingDisabled')
  assert.equal(cells['Roles'], 'control-plane,edge')
  assert.equal(cells['Version'], 'v1.36.0')
})

test('endpoint slices accept loopback addresses of IPv4, where pods and nodes of one host live', () => {
  const slices = strategyOf('discovery.k8s.io/endpointslices')
  const slice = (address: string, addressType = 'IPv4') =>
    object('EndpointSlice', { addressType, endpoints: [{ addresses: [address] }] })
  assert.deepEqual(createProblems(slices, slice('127.1.0.7')), [])
  assert.deepEqual(createProblems(slices, slice('127.0.0.1')), [])
  assert.deepEqual(createProblems(slices, slice('::1', 'IPv6')), [
    'endpoints[0].addresses[0]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
  ])
})

test('the role of a binding cannot change', () => {
  const bindings = strategyOf('rbac.authorization.k8s.io/rolebindings')
  const made = created(bindings, object('RoleBinding', { roleRef: { kind: 'Role', name: 'a' } }))
  assert.deepEqual(read(bindings.validate?.(made)), [])
  const next = updated(bindings, made, changed => {
    changed['roleRef'] = { kind: 'Role', name: 'b' }
  })
  assert.deepEqual(read(bindings.validateUpdate?.(next, made)), [
    'roleRef: Invalid value: {"kind":"Role","name":"b","apiGroup":"rbac.authorization.k8s.io"}: cannot change roleRef',
  ])
  assert.equal(bindings.validateName?.('system:node-reader'), null)
})

test('a claim says how much it wants and how it mounts', () => {
  const claims = strategyOf('/persistentvolumeclaims')
  assert.deepEqual(createProblems(claims, object('PersistentVolumeClaim', { spec: {} })), [
    'spec.accessModes: Required value: at least 1 access mode is required',
    'spec.resources[storage]: Required value',
  ])
})

test('a signing request is its asker’s, whatever it says', () => {
  const requests = strategyOf('certificates.k8s.io/certificatesigningrequests')
  const made = created(
    requests,
    object('CertificateSigningRequest', { spec: { username: 'somebody', groups: ['system:masters'] } }),
  )
  assert.equal(specOf(made)['username'], 'kubernetes-admin')
  assert.deepEqual(specOf(made)['groups'], [])
})
