/** What clients get who ask for protobuf or CBOR, and what becomes of bodies in them. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { KubeResponse } from '../../../../src/client/transport.ts'
import { readAsset } from '../../../../src/host/assets.ts'
import { decodeCbor, encodeCbor } from '../../../../src/kube/cbor/cbor.ts'
import { createProtobufCodec, inEnvelope } from '../../../../src/kube/protobuf/protobuf.ts'
import { seededRandom } from '../../../support/random-objects.ts'
import { cronDefinition, DEFINITIONS } from './extensions/definition-fixture.ts'
import { makeServer, pod, type Server } from './harness.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const CBOR = 'application/cbor'
const CORE = 'io.k8s.api.core.v1'
const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const maps = '/api/v1/namespaces/default/configmaps'
const configMap = (name: string, data: object) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})
const codec = createProtobufCodec(JSON.parse(readAsset('protobuf.json')))

async function bytesOf({ body }: KubeResponse): Promise<Buffer> {
  if (body instanceof Uint8Array) return Buffer.from(body)
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}

interface Answer {
  readonly status: number
  readonly type: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely
  readonly body: any
}

/** Sends and reads protobuf; `answer` and `sent` are types. */
function protobufCaller(server: Server) {
  return async (
    method: string,
    path: string,
    answer: string,
    sent?: { type: string; object: object },
  ): Promise<Answer> => {
    const object = sent?.object as { apiVersion: string; kind: string } | undefined
    const body =
      object && inEnvelope(object.apiVersion, object.kind, codec.encode(sent?.type ?? '', { ...object }))
    const headers = { accept: PROTOBUF, 'content-type': PROTOBUF }
    const reply = await server.raw(method, path, { headers, ...(body === undefined ? {} : { body }) })
    const type = reply.headers['content-type']
    return { status: reply.status, type, body: codec.decode(await bytesOf(reply), answer) }
  }
}

function cborCaller(server: Server) {
  return async (method: string, path: string, sent?: unknown, contentType = CBOR): Promise<Answer> => {
    const headers = { accept: CBOR, 'content-type': contentType }
    const body = sent === undefined ? {} : { body: encodeCbor(sent) }
    const reply = await server.raw(method, path, { headers, ...body })
    return {
      status: reply.status,
      type: reply.headers['content-type'],
      body: decodeCbor(await bytesOf(reply)),
    }
  }
}

const ofMap = (object: object) => ({ type: `${CORE}.ConfigMap`, object })

test('a ConfigMap lives its whole life in protobuf', async () => {
  const server = makeServer()
  const call = protobufCaller(server)
  const type = `${CORE}.ConfigMap`
  const created = await call(
    'POST',
    maps,
    type,
    ofMap({ ...configMap('a', { k: 'v' }), binaryData: { b: '/wA=' } }),
  )
  assert.deepEqual([created.status, created.type], [201, PROTOBUF])
  assert.deepEqual(
    [created.body.kind, created.body.data, created.body.binaryData],
    ['ConfigMap', { k: 'v' }, { b: '/wA=' }],
  )
  assert.match(created.body.metadata.uid, /-/)
  const json = (await server.call('GET', `${maps}/a`)).body
  const { body: got } = await call('GET', `${maps}/a`, type)
  assert.deepEqual(got, json)
  assert.deepEqual((await call('GET', `${maps}/a`, type)).body, json)
  const updated = await call('PUT', `${maps}/a`, type, ofMap({ ...got, data: { k: 'w' } }))
  assert.equal(updated.body.data.k, 'w')
  assert.notEqual(updated.body.metadata.resourceVersion, json.metadata.resourceVersion)
  const stale = await call('PUT', `${maps}/a`, `${META}.Status`, ofMap(got))
  assert.deepEqual(
    [stale.status, stale.body.kind, stale.body.reason, stale.body.code],
    [409, 'Status', 'Conflict', 409],
  )
  const deleted = await call('DELETE', `${maps}/a`, `${META}.Status`)
  assert.deepEqual([deleted.status, deleted.body.status, deleted.body.details.name], [200, 'Success', 'a'])
})

test('lists are lists in protobuf, small, large and compressed, and so is their metadata', async () => {
  const server = makeServer()
  const call = protobufCaller(server)
  for (let index = 0; index < 40; index++) {
    await server.call(
      'POST',
      maps,
      configMap(`m${String(index).padStart(2, '0')}`, { k: 'x'.repeat(index < 3 ? 10 : 30_000) }),
    )
  }
  const json = (await server.call('GET', maps)).body
  const { status, type, body } = await call('GET', maps, `${CORE}.ConfigMapList`)
  assert.deepEqual(
    [status, type, body.kind, body.metadata.resourceVersion],
    [200, PROTOBUF, 'ConfigMapList', json.metadata.resourceVersion],
  )
  assert.deepEqual(body.items, json.items)
  const page = await call('GET', `${maps}?limit=2`, `${CORE}.ConfigMapList`)
  assert.deepEqual([page.body.items.length, page.body.metadata.remainingItemCount], [2, 38])
  const packed = await server.raw('GET', maps, { headers: { accept: PROTOBUF, 'accept-encoding': 'gzip' } })
  assert.deepEqual([packed.headers['content-encoding'], packed.headers['content-type']], ['gzip', PROTOBUF])
  const unpacked = codec.decode(gunzipSync(await bytesOf(packed)), `${CORE}.ConfigMapList`)
  assert.deepEqual(unpacked['items'], json.items)
  const accept = `${PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json`
  const partial = await server.raw('GET', maps, { headers: { accept } })
  const list = codec.decode(await bytesOf(partial), `${META}.PartialObjectMetadataList`)
  const items = list['items'] as { metadata: { name: string } }[]
  assert.deepEqual(
    [list.kind, items.length, items[1]?.metadata.name],
    ['PartialObjectMetadataList', 40, 'm01'],
  )
})

test('a watch in protobuf is frames of a length and an event', async () => {
  const server = makeServer()
  await server.call('POST', maps, configMap('a', { k: '1' }))
  const abort = new AbortController()
  const query = 'watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan'
  const open = () =>
    server.raw('GET', `${maps}?${query}`, {
      headers: { accept: `${PROTOBUF};stream=watch` },
      signal: abort.signal,
    })
  const [reply, second] = [await open(), await open()]
  assert.equal(reply.headers['content-type'], `${PROTOBUF};stream=watch`)
  const [first, other] = [protobufEvents(reply), protobufEvents(second)]
  const added = await first()
  assert.deepEqual([added.type, added.object.kind, added.object['data']], ['ADDED', 'ConfigMap', { k: '1' }])
  const bookmark = await first()
  assert.deepEqual(
    [bookmark.type, bookmark.object.metadata.annotations?.['k8s.io/initial-events-end']],
    ['BOOKMARK', 'true'],
  )
  await server.call(
    'PATCH',
    `${maps}/a`,
    { data: { k: '2' } },
    { 'content-type': 'application/merge-patch+json' },
  )
  await server.call('DELETE', `${maps}/a`)
  const modified = await first()
  assert.deepEqual([modified.type, modified.object['data']], ['MODIFIED', { k: '2' }])
  const deleted = await first()
  assert.equal(deleted.type, 'DELETED')
  assert.equal(deleted.object.metadata.resourceVersion, String(server.store.revision))
  for (const type of ['ADDED', 'BOOKMARK', 'MODIFIED', 'DELETED']) assert.equal((await other()).type, type)
  abort.abort()
})

function protobufEvents(reply: KubeResponse) {
  const chunks = (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  let rest = Buffer.alloc(0)
  return async () => {
    while (rest.length < 4 || rest.length < 4 + rest.readUInt32BE(0)) {
      const { value, done } = await chunks.next()
      assert.ok(!done, 'the watch has ended')
      rest = Buffer.concat([rest, value])
    }
    const frame = rest.subarray(4, 4 + rest.readUInt32BE(0))
    rest = rest.subarray(4 + frame.length)
    const length = frame[1] ?? 0
    const type = frame.toString('latin1', 2, 2 + length)
    const at = frame.indexOf('k8s\0', 2 + length)
    return { type, object: codec.decode(frame.subarray(at), `${CORE}.ConfigMap`) }
  }
}

test('subresources, reviews and discovery are there in protobuf', async () => {
  const server = makeServer()
  const call = protobufCaller(server)
  const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  const spec = { replicas: 0, selector: { matchLabels: { a: 'b' } }, template }
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' }, spec }
  const deployments = '/apis/apps/v1/namespaces/default/deployments'
  const created = await call('POST', deployments, 'io.k8s.api.apps.v1.Deployment', {
    type: 'io.k8s.api.apps.v1.Deployment',
    object: deployment,
  })
  assert.deepEqual([created.status, created.body.spec.replicas], [201, 0])
  const scale = await call('GET', `${deployments}/d/scale`, 'io.k8s.api.autoscaling.v1.Scale')
  assert.deepEqual([scale.body.kind, scale.body.status.selector], ['Scale', 'a=b'])
  await server.call('POST', '/api/v1/namespaces/default/pods', pod('p'))
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } }
  const evicted = await call('POST', '/api/v1/namespaces/default/pods/p/eviction', `${META}.Status`, {
    type: 'io.k8s.api.policy.v1.Eviction',
    object: eviction,
  })
  assert.deepEqual([evicted.status, evicted.body.status], [201, 'Success'])
  const groups = await call('GET', '/apis', `${META}.APIGroupList`)
  assert.ok(groups.body.groups.some((group: { name: string }) => group.name === 'apps'))
  const resources = await call('GET', '/apis/apps/v1', `${META}.APIResourceList`)
  const found = resources.body.resources.find((one: { name: string }) => one.name === 'deployments')
  assert.deepEqual([found.verbs.includes('watch'), found.shortNames], [true, ['deploy']])
  const accept = `${PROTOBUF};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList`
  const aggregated = await server.raw('GET', '/apis', { headers: { accept } })
  assert.equal(aggregated.headers['content-type'], accept)
  const document = codec.decode(await bytesOf(aggregated), 'io.k8s.api.apidiscovery.v2.APIGroupDiscoveryList')
  const json = await server.call('GET', '/apis', undefined, {
    accept: accept.replace(PROTOBUF, 'application/json'),
  })
  const withoutNull = (key: string, value: unknown) => (key === 'creationTimestamp' ? undefined : value)
  const groupsOf = (items: unknown) => JSON.parse(JSON.stringify(items, withoutNull))
  assert.deepEqual(groupsOf(document['items']), groupsOf(json.body.items))
})

test('what the client likes best of what there is decides', async () => {
  const server = makeServer()
  await server.call('POST', maps, configMap('a', {}))
  const typeFor = async (accept: string, path = `${maps}/a`) => {
    const { status, headers } = await server.raw('GET', path, { headers: { accept } })
    return status === 200 ? headers['content-type'] : status
  }
  assert.equal(await typeFor(`${PROTOBUF}, application/json`), PROTOBUF)
  assert.equal(await typeFor(`${PROTOBUF};q=0.5, application/json;q=0.9`), 'application/json')
  assert.equal(await typeFor(`*/*, ${CBOR}`), CBOR)
  assert.equal(await typeFor('*/*'), 'application/json')
  assert.equal(await typeFor('application/*;q=0.1, text/html'), 'application/json')
  assert.equal(await typeFor(`${PROTOBUF};q=0`), 406)
  assert.equal(await typeFor('application/cbor-seq'), 406)
  const table = 'as=Table;g=meta.k8s.io;v=v1'
  assert.equal(await typeFor(`${PROTOBUF};${table}, application/json;${table}`), 'application/json')
  assert.equal(await typeFor(`${PROTOBUF};${table}`), 406)
  assert.equal(await typeFor(`${CBOR};${table}`), CBOR)
})

test('who asks for a form that is not served learns which ones are', async () => {
  const { call } = makeServer()
  const plain = await call('GET', maps, undefined, { accept: 'text/html' })
  assert.equal(
    plain.body.message,
    `only the following media types are accepted: application/json, application/yaml, ${PROTOBUF}, ${CBOR}`,
  )
  const watch = await call('GET', `${maps}?watch=1`, undefined, { accept: 'application/yaml' })
  assert.equal(watch.status, 406)
  const body = await call('POST', maps, 'x', { 'content-type': 'application/xml' })
  assert.equal(body.status, 415)
  assert.equal(
    body.body.message,
    `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ${PROTOBUF}, ${CBOR}`,
  )
  await call('POST', maps, configMap('a', {}))
  const patch = await call('PATCH', `${maps}/a`, {}, { 'content-type': 'application/json' })
  assert.equal(patch.status, 415)
  assert.match(
    patch.body.message,
    /: application\/json-patch\+json, application\/merge-patch\+json, application\/strategic-merge-patch\+json, application\/apply-patch\+yaml, application\/apply-patch\+cbor$/,
  )
})

test('custom resources have no protobuf form, but their metadata and errors have', async () => {
  const server = makeServer()
  await server.call('POST', DEFINITIONS, cronDefinition())
  const stored = await server.call('GET', `${DEFINITIONS}/crontabs.stable.example.com`)
  const conditions = [
    {
      type: 'Established',
      status: 'True',
      reason: 'x',
      message: 'm',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ]
  const status = { conditions, acceptedNames: stored.body.spec.names, storedVersions: ['v1'] }
  await server.call('PUT', `${DEFINITIONS}/crontabs.stable.example.com/status`, { ...stored.body, status })
  const crons = '/apis/stable.example.com/v1/namespaces/default/crontabs'
  const call = cborCaller(server)
  const cron = {
    apiVersion: 'stable.example.com/v1',
    kind: 'CronTab',
    metadata: { name: 'c' },
    spec: { cronSpec: '* * * * *' },
  }
  const created = await call('POST', crons, cron)
  assert.deepEqual([created.status, created.type, created.body.spec.cronSpec], [201, CBOR, '* * * * *'])
  const listed = await call('GET', crons)
  assert.deepEqual(listed.body, (await server.call('GET', crons)).body)
  assert.equal((await server.raw('GET', crons, { headers: { accept: PROTOBUF } })).status, 406)
  const either = await server.raw('GET', crons, { headers: { accept: `${PROTOBUF},application/json` } })
  assert.equal(either.headers['content-type'], 'application/json')
  const accept = `${PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`
  const partial = await server.raw('GET', `${crons}/c`, { headers: { accept } })
  assert.equal(codec.decode(await bytesOf(partial), `${META}.PartialObjectMetadata`).metadata.name, 'c')
  const sent = await server.call('POST', crons, 'k8s\0', { 'content-type': PROTOBUF })
  assert.equal(sent.status, 415)
  const definition = await protobufCaller(server)(
    'GET',
    `${DEFINITIONS}/crontabs.stable.example.com`,
    'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
  )
  assert.deepEqual(
    definition.body,
    (await server.call('GET', `${DEFINITIONS}/crontabs.stable.example.com`)).body,
  )
})

test('CBOR serves and takes what JSON does, patches by apply and watches as a sequence', async () => {
  const server = makeServer()
  const call = cborCaller(server)
  assert.equal((await call('POST', maps, configMap('a', { k: '1' }))).status, 201)
  const unknown = await call('POST', `${maps}?fieldValidation=Strict`, {
    ...configMap('b', {}),
    colour: 'red',
  })
  assert.deepEqual([unknown.status, unknown.body.kind], [400, 'Status'])
  assert.match(unknown.body.message, /strict decoding error: unknown field "colour"/)
  const config = { ...configMap('a', { own: 'yes' }), metadata: { name: 'a', namespace: 'default' } }
  const applied = await call('PATCH', `${maps}/a?fieldManager=me`, config, 'application/apply-patch+cbor')
  assert.deepEqual([applied.status, applied.body.data], [200, { k: '1', own: 'yes' }])
  const noObject = await call('PATCH', `${maps}/a?fieldManager=me`, [1], 'application/apply-patch+cbor')
  assert.equal(noObject.status, 400)
  const list = await call('GET', maps)
  assert.deepEqual(list.body, (await server.call('GET', maps)).body)
  const abort = new AbortController()
  const reply = await server.raw('GET', `${maps}?watch=1`, {
    headers: { accept: 'application/cbor-seq' },
    signal: abort.signal,
  })
  assert.equal(reply.headers['content-type'], 'application/cbor-seq')
  const chunks = (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  const first = await chunks.next()
  const event = decodeCbor(Buffer.from(first.value)) as { type: string; object: { data: object } }
  assert.deepEqual([event.type, event.object.data], ['ADDED', { k: '1', own: 'yes' }])
  abort.abort()
})

test('broken bodies in protobuf and CBOR are refused and change nothing', async () => {
  const server = makeServer()
  const random = seededRandom(11)
  const whole = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  const bodies = [
    { type: PROTOBUF, body: inEnvelope('v1', 'Pod', codec.encode(`${CORE}.Pod`, whole)) },
    { type: CBOR, body: encodeCbor({ apiVersion: 'v1', kind: 'Pod', ...whole }) },
  ]
  const path = '/api/v1/namespaces/default/pods'
  for (let round = 0; round < 600; round++) {
    for (const { type, body } of bodies) {
      const broken = Buffer.from(body.subarray(0, Math.floor(random() * (body.length + 1))))
      for (let change = 0; change < 4 && broken.length > 0; change++) {
        broken[Math.floor(random() * broken.length)] = Math.floor(random() * 256)
      }
      const before = server.store.revision
      const { status } = await server.raw('POST', path, { headers: { 'content-type': type }, body: broken })
      assert.ok(status === 201 || (status >= 400 && status < 500), `${status} for ${broken.toString('hex')}`)
      assert.ok(status === 201 || server.store.revision === before, broken.toString('hex'))
    }
  }
  const deep = Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(2_000_000, 0x12)])
  assert.equal(
    (await server.raw('POST', path, { headers: { 'content-type': PROTOBUF }, body: deep })).status,
    400,
  )
})
