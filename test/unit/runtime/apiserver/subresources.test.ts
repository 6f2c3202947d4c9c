/** Subresources through the door: each changes what is its own, keeps the rest, and is checked by its own rules. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deployment, makeServer, pod, type Server } from './harness.ts'

const pods = '/api/v1/namespaces/default/pods'
const merge = { 'content-type': 'application/merge-patch+json' }
const strategic = { 'content-type': 'application/strategic-merge-patch+json' }

async function madePod(server: Server, over: object = {}) {
  const made = await server.call('POST', pods, { ...pod('web', { app: 'web' }), ...over })
  assert.equal(made.status, 201)
  return made.body
}

test('ephemeral containers are added through their own door, and then stay', async () => {
  const server = makeServer()
  const before = await madePod(server)
  const path = `${pods}/web/ephemeralcontainers`
  const debug = { name: 'debug', image: 'sample/tools:1' }
  const wrong = { spec: { ephemeralContainers: [{ name: 'De bug', image: '' }] } }
  assert.equal((await server.call('PATCH', path, wrong, strategic)).status, 422)
  const patch = { metadata: { labels: { app: 'other' } }, spec: { ephemeralContainers: [debug] } }
  const { status, body } = await server.call('PATCH', path, patch, strategic)
  assert.equal(status, 200)
  assert.equal(body.spec.ephemeralContainers[0].name, 'debug')
  assert.deepEqual(body.metadata.labels, { app: 'web' })
  assert.equal(body.metadata.generation, before.metadata.generation + 1)
  const other = { spec: { ephemeralContainers: [{ ...debug, image: 'sample/tools:2' }] } }
  const refused = await server.call('PATCH', path, other, strategic)
  assert.equal(refused.status, 422)
  assert.match(refused.body.message, /existing ephemeral containers "debug" may not be changed/)
  const gone = await server.call('PATCH', path, { spec: { ephemeralContainers: null } }, merge)
  assert.match(gone.body.message, /existing ephemeral containers "debug" may not be removed/)
})

test('a resize changes amounts of CPU and memory and nothing else, and never the QoS class', async () => {
  const server = makeServer()
  const main = { name: 'main', image: 'sample/web:1' }
  const requests = { cpu: '100m', memory: '64Mi' }
  await madePod(server, { spec: { containers: [{ ...main, resources: { requests } }] } })
  const resize = (resources: object, image = 'sample/web:1') =>
    server.call(
      'PATCH',
      `${pods}/web/resize`,
      { spec: { containers: [{ ...main, image, resources }] } },
      strategic,
    )
  const { status, body } = await resize({ requests: { cpu: '200m' } }, 'sample/web:2')
  assert.equal(status, 200)
  assert.deepEqual(body.spec.containers[0].resources.requests, { cpu: '200m', memory: '64Mi' })
  assert.equal(body.spec.containers[0].image, 'sample/web:1')
  const limits = { cpu: '200m', memory: '64Mi' }
  const guaranteed = await resize({ limits })
  assert.equal(guaranteed.status, 422)
  assert.match(guaranteed.body.message, /Pod QOS Class may not change as a result of resizing/)
  const storage = await resize({ requests: { 'ephemeral-storage': '1Gi' } })
  assert.match(storage.body.message, /only cpu and memory resources are mutable/)
  const removed = await resize({ requests: { $patch: 'replace', cpu: '200m' } })
  assert.match(removed.body.message, /resources.requests: Forbidden: resource requests cannot be removed/)
  const state = { running: { startedAt: '2026-01-01T00:00:00Z' } }
  const reported = { name: 'main', image: 'x', imageID: 'y', ready: true, restartCount: 0, state }
  const told = { status: { containerStatuses: [reported] } }
  assert.equal((await server.call('PATCH', `${pods}/web/status`, told, strategic)).status, 200)
  const deaf = await resize({ requests: { cpu: '300m' } })
  assert.match(deaf.body.message, /Pod running on node without support for resize/)
})

test('approval changes the conditions of a signing request only, dates them, and keeps decisions', async () => {
  const server = makeServer()
  const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
  const request = Buffer.from('-----BEGIN CERTIFICATE REQUEST-----').toString('base64')
  const spec = { request, signerName: 'example.com/signer', usages: ['client auth'] }
  const kind = { apiVersion: 'certificates.k8s.io/v1', kind: 'CertificateSigningRequest' }
  const made = await server.call('POST', requests, { ...kind, metadata: { name: 'one' }, spec })
  assert.equal(made.status, 201)
  const approve = (conditions: object[], certificate = 'Zm9yZ2Vk') => {
    const body = { ...made.body, spec: { ...spec, username: 'x' }, status: { conditions, certificate } }
    delete body.metadata.resourceVersion
    return server.call('PUT', `${requests}/one/approval`, body)
  }
  const unsure = await approve([{ type: 'Approved', status: 'False' }])
  assert.match(unsure.body.message, /status.conditions\[0\].status: Invalid value: "False": must be True/)
  const both = await approve([
    { type: 'Approved', status: 'True' },
    { type: 'Denied', status: 'True' },
  ])
  assert.match(both.body.message, /Approved and Denied conditions are mutually exclusive/)
  const { status, body } = await approve([{ type: 'Approved', status: 'True', reason: 'Checked' }])
  assert.equal(status, 200)
  assert.deepEqual(Object.keys(body.status), ['conditions'])
  assert.equal(body.spec.username, 'admin')
  assert.ok(body.status.conditions[0].lastUpdateTime && body.status.conditions[0].lastTransitionTime)
  const revoked = await approve([])
  assert.match(revoked.body.message, /updates may not remove a condition of type "Approved"/)
})

test('a status update takes metadata from the client, but not labels of deployments nor metadata of flow schemas', async () => {
  const server = makeServer()
  await madePod(server)
  const patch = { metadata: { annotations: { a: '1' }, labels: { b: '2' } }, status: { phase: 'Running' } }
  const changed = await server.call('PATCH', `${pods}/web/status`, patch, merge)
  assert.deepEqual(changed.body.metadata.annotations, { a: '1' })
  assert.deepEqual(changed.body.metadata.labels, { app: 'web', b: '2' })
  const deployments = '/apis/apps/v1/namespaces/default/deployments'
  await server.call('POST', deployments, deployment('web'))
  const other = await server.call(
    'PATCH',
    `${deployments}/web/status`,
    { ...patch, status: { replicas: 1, readyReplicas: 1 }, spec: { replicas: 7 } },
    merge,
  )
  assert.deepEqual([other.body.metadata.annotations, other.body.metadata.labels], [{ a: '1' }, undefined])
  assert.deepEqual([other.body.spec.replicas, other.body.status.readyReplicas], [2, 1])
  assert.equal(other.body.metadata.generation, 1)
  const schemas = '/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas'
  await server.call('POST', schemas, {
    apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
    kind: 'FlowSchema',
    metadata: { name: 'one' },
    spec: { priorityLevelConfiguration: { name: 'exempt' } },
  })
  const kept = await server.call('PATCH', `${schemas}/one/status`, { metadata: patch.metadata }, merge)
  assert.equal(kept.status, 200)
  assert.deepEqual([kept.body.metadata.annotations, kept.body.metadata.labels], [undefined, undefined])
})

test('a bound pod has the labels of its Binding and is nominated no more', async () => {
  const server = makeServer()
  await madePod(server)
  await server.call('PATCH', `${pods}/web/status`, { status: { nominatedNodeName: 'node-2' } }, merge)
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'web', labels: { 'topology.kubernetes.io/zone': 'z1' } },
    target: { name: 'node-1' },
  }
  assert.equal((await server.call('POST', `${pods}/web/binding`, binding)).status, 201)
  const { body } = await server.call('GET', `${pods}/web`)
  assert.deepEqual(body.metadata.labels, { app: 'web', 'topology.kubernetes.io/zone': 'z1' })
  assert.equal(body.status.nominatedNodeName, undefined)
})

test('a pod is bound once, through its subresource or through a Binding of its name', async () => {
  const server = makeServer()
  await madePod(server)
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'web' }, target: { name: 'node-1' } }
  const bindings = '/api/v1/namespaces/default/bindings'
  const absent = await server.call('POST', bindings, { ...binding, metadata: { name: 'absent' } })
  assert.equal(absent.status, 404)
  const made = await server.call('POST', bindings, binding)
  assert.deepEqual([made.status, made.body.status], [201, 'Success'])
  const { body } = await server.call('GET', `${pods}/web`)
  assert.equal(body.spec.nodeName, 'node-1')
  assert.equal(body.status.conditions[0].type, 'PodScheduled')
  assert.equal((await server.call('POST', `${pods}/web/binding`, binding)).status, 409)
})
