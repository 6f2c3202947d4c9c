import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { configMap, makeServer, pod, type Server, watchReader } from './harness.ts'

const maps = '/api/v1/namespaces/default/configmaps'
const pods = '/api/v1/namespaces/default/pods'

async function makeMaps(server: Server, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const made = await server.call(
      'POST',
      maps,
      configMap(`m${i}`, { metadata: { name: `m${i}`, labels: { n: String(i % 2) } } }),
    )
    assert.equal(made.status, 201)
  }
}

const namesOf = (list: { items: { metadata: { name: string } }[] }) =>
  list.items.map(item => item.metadata.name)

test('a list holds the kind, a revision and every object in the order of names', async () => {
  const server = makeServer()
  await makeMaps(server, 3)
  const { body } = await server.call('GET', maps)
  assert.equal(body.kind, 'ConfigMapList')
  assert.equal(body.metadata.resourceVersion, String(server.store.revision))
  assert.deepEqual(namesOf(body), ['m0', 'm1', 'm2'])
  const one = await server.call('GET', `${maps}/m0`)
  const { apiVersion, kind, ...item } = one.body
  assert.deepEqual([apiVersion, kind], ['v1', 'ConfigMap'])
  assert.deepEqual(body.items[0], item)
})

test('a chunked list goes on in the snapshot it began with', async () => {
  const server = makeServer()
  await makeMaps(server, 5)
  const first = await server.call('GET', `${maps}?limit=2`)
  assert.equal(first.body.metadata.remainingItemCount, 3)
  await server.call('POST', maps, configMap('m25'))
  await server.call('DELETE', `${maps}/m4`)
  const token = encodeURIComponent(first.body.metadata.continue)
  const second = await server.call('GET', `${maps}?limit=2&continue=${token}`)
  assert.deepEqual(namesOf(second.body), ['m2', 'm3'])
  assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion)
  const last = await server.call(
    'GET',
    `${maps}?limit=2&continue=${encodeURIComponent(second.body.metadata.continue)}`,
  )
  assert.deepEqual(namesOf(last.body), ['m4'])
  assert.equal(last.body.metadata.continue, undefined)
})

test('an expired continue token is 410 with a token that goes on in the present state', async () => {
  const server = makeServer()
  await makeMaps(server, 4)
  const first = await server.call('GET', `${maps}?limit=2`)
  await server.call('POST', maps, configMap('m9'))
  await server.store.compact(server.store.revision)
  const token = encodeURIComponent(first.body.metadata.continue)
  const expired = await server.call('GET', `${maps}?limit=10&continue=${token}`)
  assert.equal(expired.status, 410)
  assert.equal(expired.body.reason, 'Expired')
  const again = encodeURIComponent(expired.body.metadata.continue)
  const rest = await server.call('GET', `${maps}?limit=10&continue=${again}`)
  assert.deepEqual(namesOf(rest.body), ['m2', 'm3', 'm9'])
})

test('broken continue tokens and senseless combinations are refused', async () => {
  const server = makeServer()
  for (const [token, why] of [
    ['a~b', 'illegal base64 data at input byte 1'],
    ['abcd', "invalid character 'i' looking for beginning of value"],
    ['bnVsbA', 'server does not recognize this encoded version'],
  ]) {
    const { status, body } = await server.call('GET', `${maps}?limit=1&continue=${token}`)
    assert.deepEqual([status, body.message], [400, `continue key is not valid: ${why}`])
  }
  await makeMaps(server, 1)
  assert.equal((await server.call('GET', `${maps}?continue=zzz`)).status, 400)
  assert.equal((await server.call('GET', `${maps}?resourceVersion=abc`)).status, 400)
  assert.equal((await server.call('GET', `${maps}?limit=abc`)).status, 400)
  assert.equal((await server.call('GET', `${maps}?resourceVersionMatch=Exact`)).status, 422)
  assert.equal((await server.call('GET', `${maps}?resourceVersionMatch=Exact&resourceVersion=0`)).status, 422)
  assert.equal((await server.call('GET', `${maps}?labelSelector=a==b==c`)).status, 400)
  assert.equal((await server.call('GET', `${maps}?fieldSelector=data.key=x`)).status, 400)
})

test('an exact list shows the past', async () => {
  const server = makeServer()
  await makeMaps(server, 1)
  const then = String(server.store.revision)
  await server.call('POST', maps, configMap('later'))
  const past = await server.call('GET', `${maps}?resourceVersion=${then}&resourceVersionMatch=Exact`)
  assert.deepEqual(namesOf(past.body), ['m0'])
  assert.equal(past.body.metadata.resourceVersion, then)
})

test('label and field selectors restrict lists, chunked ones too', async () => {
  const server = makeServer()
  await makeMaps(server, 6)
  const odd = await server.call('GET', `${maps}?labelSelector=n=1`)
  assert.deepEqual(namesOf(odd.body), ['m1', 'm3', 'm5'])
  const one = await server.call('GET', `${maps}?fieldSelector=metadata.name=m3`)
  assert.deepEqual(namesOf(one.body), ['m3'])
  const chunk = await server.call('GET', `${maps}?labelSelector=n=1&limit=2`)
  assert.deepEqual(namesOf(chunk.body), ['m1', 'm3'])
  const rest = await server.call(
    'GET',
    `${maps}?labelSelector=n=1&limit=2&continue=${chunk.body.metadata.continue}`,
  )
  assert.deepEqual(namesOf(rest.body), ['m5'])
})

test('a table has the columns of the kind and the metadata of each object', async () => {
  const server = makeServer()
  await makeMaps(server, 1)
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
  const { body } = await server.call('GET', maps, undefined, { accept })
  assert.equal(body.kind, 'Table')
  assert.equal(body.columnDefinitions[0].name, 'Name')
  assert.equal(body.rows[0].cells[0], 'm0')
  assert.equal(body.rows[0].object.kind, 'PartialObjectMetadata')
  const one = await server.call('GET', `${maps}/m0?includeObject=Object`, undefined, { accept })
  assert.equal(one.body.rows[0].object.data.key, 'value')
})

test('metadata of a list is asked for as a list', async () => {
  const { call } = makeServer()
  await call('POST', maps, configMap('one'))
  const accept = (as: string) => ({ accept: `application/json;as=${as};v=v1;g=meta.k8s.io` })
  const list = await call('GET', maps, undefined, accept('PartialObjectMetadata'))
  assert.deepEqual([list.status, list.body.reason], [406, 'NotAcceptable'])
  assert.match(
    list.body.message,
    /PartialObjectMetadata, but the requested object is a list \(\*core.ConfigMapList\)/,
  )
  const one = await call('GET', `${maps}/one`, undefined, accept('PartialObjectMetadataList'))
  assert.equal(one.status, 406)
})

test('PartialObjectMetadata holds metadata only', async () => {
  const server = makeServer()
  await makeMaps(server, 1)
  const accept = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'
  const { body } = await server.call('GET', maps, undefined, { accept })
  assert.equal(body.kind, 'PartialObjectMetadataList')
  assert.deepEqual(Object.keys(body.items[0]).sort(), ['apiVersion', 'kind', 'metadata'])
})

test('a large list comes in slices, compressed when the client asks', async () => {
  const server = makeServer()
  const data = { text: 'x'.repeat(100_000) }
  for (let i = 0; i < 12; i++) await server.call('POST', maps, configMap(`big${i}`, { data }))
  const plain = await server.call('GET', maps)
  assert.equal(plain.body.items.length, 12)
  const zipped = await server.raw('GET', maps, { headers: { 'accept-encoding': 'gzip' } })
  assert.equal(zipped.headers['content-encoding'], 'gzip')
  const pieces: Uint8Array[] = []
  for await (const piece of zipped.body as AsyncIterable<Uint8Array>) pieces.push(piece)
  assert.deepEqual(JSON.parse(gunzipSync(Buffer.concat(pieces)).toString('utf8')), plain.body)
})

test('deletecollection deletes what the selector selects', async () => {
  const server = makeServer()
  await makeMaps(server, 4)
  const { status } = await server.call('DELETE', `${maps}?labelSelector=n=0`)
  assert.equal(status, 200)
  assert.deepEqual(namesOf((await server.call('GET', maps)).body), ['m1', 'm3'])
})

test('a watch from a revision sees every later change in order', async () => {
  const server = makeServer()
  await makeMaps(server, 1)
  const start = server.store.revision
  await server.call('PUT', `${maps}/m0`, configMap('m0', { data: { a: 'b' } }))
  const reader = watchReader(await server.raw('GET', `${maps}?watch=1&resourceVersion=${start}`))
  const first = await reader.next()
  assert.equal(first?.type, 'MODIFIED')
  await server.call('POST', maps, configMap('new'))
  assert.equal((await reader.next())?.type, 'ADDED')
  await server.call('DELETE', `${maps}/new`)
  const deleted = await reader.next()
  assert.equal(deleted?.type, 'DELETED')
  assert.equal(deleted?.object.metadata.resourceVersion, String(server.store.revision))
  await reader.close()
})

test('a watch without a revision begins with what is there', async () => {
  const server = makeServer()
  await makeMaps(server, 2)
  for (const version of ['', '&resourceVersion=0']) {
    const reader = watchReader(await server.raw('GET', `${maps}?watch=true${version}`))
    assert.equal((await reader.next())?.object.metadata.name, 'm0')
    assert.equal((await reader.next())?.object.metadata.name, 'm1')
    await reader.close()
  }
})

test('a streaming list ends its initial events with an annotated bookmark', async () => {
  const server = makeServer()
  await makeMaps(server, 1)
  const query = 'watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan'
  const reader = watchReader(await server.raw('GET', `${maps}?${query}`))
  assert.equal((await reader.next())?.type, 'ADDED')
  const bookmark = await reader.next()
  assert.equal(bookmark?.type, 'BOOKMARK')
  assert.equal(bookmark?.object.metadata.annotations['k8s.io/initial-events-end'], 'true')
  assert.equal(bookmark?.object.metadata.resourceVersion, String(server.store.revision))
  await reader.close()
  assert.equal((await server.call('GET', `${maps}?watch=1&sendInitialEvents=true`)).status, 422)
})

test('an object enters and leaves a selective watch as ADDED and DELETED', async () => {
  const server = makeServer()
  await server.call('POST', pods, pod('a', { tier: 'back' }))
  const start = server.store.revision
  const reader = watchReader(
    await server.raw('GET', `${pods}?watch=1&resourceVersion=${start}&labelSelector=tier=front`),
  )
  const merge = { 'content-type': 'application/merge-patch+json' }
  await server.call('PATCH', `${pods}/a`, { metadata: { labels: { tier: 'front' } } }, merge)
  await server.call('PATCH', `${pods}/a`, { metadata: { labels: { more: 'x' } } }, merge)
  await server.call('PATCH', `${pods}/a`, { metadata: { labels: { tier: 'back' } } }, merge)
  const seen = [await reader.next(), await reader.next(), await reader.next()]
  assert.deepEqual(
    seen.map(event => event?.type),
    ['ADDED', 'MODIFIED', 'DELETED'],
  )
  await reader.close()
})

test('a watch of pods of one node sees them come when they are bound', async () => {
  const server = makeServer()
  await server.call('POST', pods, pod('a'))
  const path = `/api/v1/pods?watch=1&resourceVersion=${server.store.revision}&fieldSelector=spec.nodeName=n1`
  const reader = watchReader(await server.raw('GET', path))
  const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'a' }, target: { name: 'n1' } }
  await server.call('POST', `${pods}/a/binding`, binding)
  const added = await reader.next()
  assert.equal(added?.type, 'ADDED')
  assert.equal(added?.object.spec.nodeName, 'n1')
  await reader.close()
})

test('a watch from a compacted revision gets one ERROR event with 410 and ends', async () => {
  const server = makeServer()
  await makeMaps(server, 3)
  await server.store.compact(2)
  const reader = watchReader(await server.raw('GET', `${maps}?watch=1&resourceVersion=1`))
  const event = await reader.next()
  assert.equal(event?.type, 'ERROR')
  assert.equal(event?.object.code, 410)
  assert.equal(event?.object.reason, 'Expired')
  assert.equal(await reader.next(), null)
})

test('a watch ends when its time is over, when it is aborted and when the server stops', async () => {
  const server = makeServer()
  const timed = watchReader(await server.raw('GET', `${maps}?watch=1&timeoutSeconds=1`))
  assert.equal(await timed.next(), null)
  const abort = new AbortController()
  const aborted = watchReader(await server.raw('GET', `${maps}?watch=1`, { signal: abort.signal }))
  abort.abort()
  assert.equal(await aborted.next(), null)
  const stopped = watchReader(await server.raw('GET', `${maps}?watch=1`))
  await server.api.stop()
  assert.equal(await stopped.next(), null)
  assert.equal((await server.call('GET', maps)).status, 503)
})

test('watchers of one form get the same bytes', async () => {
  const server = makeServer()
  const open = async () =>
    (await server.raw('GET', `${maps}?watch=1&resourceVersion=0`)).body as AsyncIterable<Uint8Array>
  const [a, b] = [(await open())[Symbol.asyncIterator](), (await open())[Symbol.asyncIterator]()]
  await server.call('POST', maps, configMap('one'))
  const [first, second] = [await a.next(), await b.next()]
  assert.deepEqual(first.value, second.value)
  await a.return?.()
  await b.return?.()
})

test('the name in a field selector is what authorization is asked about, and nothing that only looks like it', async () => {
  const asked: string[] = []
  const server = makeServer({
    authorizer: {
      authorize: ({ name }) => {
        asked.push(name)
        return { allowed: true, reason: '' }
      },
    },
  })
  await makeMaps(server, 2)
  asked.length = 0
  await server.call('GET', `${maps}?fieldSelector=metadata.name=m1`)
  await server.call(
    'GET',
    `${maps}?fieldSelector=${encodeURIComponent('metadata.namespace!=a\\,metadata.name\\=m1')}`,
  )
  assert.deepEqual(asked, ['m1', ''])
})

test('the old form of a watch of one object sees that object only', async () => {
  const server = makeServer()
  await makeMaps(server, 3)
  const reader = watchReader(
    await server.raw('GET', '/api/v1/watch/namespaces/default/configmaps/m1?timeoutSeconds=1'),
  )
  assert.equal((await reader.next())?.object.metadata.name, 'm1')
  assert.equal(await reader.next(), null)
})

test('a field that cannot be selected by is named as its kind names it', async () => {
  const { call } = makeServer()
  const messageOf = async (path: string) =>
    (await call('GET', `${path}?fieldSelector=foo%3Dbar`)).body.message
  assert.equal(await messageOf('/api/v1/pods'), 'field label not supported: foo')
  assert.equal(
    await messageOf('/api/v1/configmaps'),
    '"foo" is not a known field selector: only "metadata.name", "metadata.namespace"',
  )
})
