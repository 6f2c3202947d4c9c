/** The distribution specification 1.1, request by request, against the registry's thread. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { must } from '../../../../src/base/assert.ts'
import {
  imageManifest,
  pushBlob,
  pushImage,
  putManifest,
  sha256,
  startRegistry,
} from '../../../support/image-registry.ts'

const codeOf = async (response: Response): Promise<string> => {
  const { errors } = (await response.json()) as { errors: { code: string }[] }
  return `${response.status} ${errors[0]?.code}`
}

const begin = async (url: string, repository: string): Promise<string> => {
  const response = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' })
  assert.equal(response.status, 202)
  return `${url}${must(response.headers.get('location'), 'a location')}`
}

const chunk = (location: string, range: string, body: string) =>
  fetch(location, { method: 'PATCH', headers: { 'content-range': range }, body })

const listOf = async (response: Response, key: string): Promise<unknown> => {
  assert.equal(response.status, 200)
  return ((await response.json()) as Record<string, unknown>)[key]
}

test('an image is pulled by its tag and by its digest, with HEAD and GET', async t => {
  const { url } = await startRegistry(t)
  const { digest, layer } = await pushImage(url, 'team/app', 'v1')
  for (const reference of ['v1', digest]) {
    const head = await fetch(`${url}/v2/team/app/manifests/${reference}`, { method: 'HEAD' })
    const found = await fetch(`${url}/v2/team/app/manifests/${reference}`)
    const content = await found.text()
    assert.equal(found.headers.get('content-type'), 'application/vnd.oci.image.manifest.v1+json')
    assert.equal(found.headers.get('docker-content-digest'), digest)
    assert.equal(head.headers.get('docker-content-digest'), digest)
    assert.equal(head.headers.get('content-length'), String(content.length))
    assert.equal(sha256(content), digest)
  }
  const blob = await fetch(`${url}/v2/team/app/blobs/${layer}`)
  assert.equal(await blob.text(), 'layer of team/app:v1')
  assert.equal((await fetch(`${url}/v2/team/app/blobs/${layer}`, { method: 'HEAD' })).status, 200)
})

test('a blob comes in pieces that follow each other, and the state says how far it is', async t => {
  const { url } = await startRegistry(t)
  const location = await begin(url, 'pieces')
  assert.equal((await chunk(location, '0-4', 'hello')).headers.get('range'), '0-4')
  const gap = await chunk(location, '9-10', '!!')
  assert.equal(gap.status, 416)
  assert.equal(gap.headers.get('range'), '0-4')
  assert.equal((await chunk(location, '5-9', 'no')).status, 400)
  const state = await fetch(location)
  assert.equal(state.status, 204)
  assert.equal(state.headers.get('range'), '0-4')
  const second = await chunk(location, '5-10', ' world')
  assert.equal(second.status, 202)
  assert.equal(second.headers.get('range'), '0-10')
  const digest = sha256('hello world!')
  const done = await fetch(`${location}?digest=${digest}`, { method: 'PUT', body: '!' })
  assert.equal(done.status, 201)
  assert.equal(done.headers.get('docker-content-digest'), digest)
  assert.equal(await (await fetch(`${url}/v2/pieces/blobs/${digest}`)).text(), 'hello world!')
  assert.equal(await codeOf(await fetch(location)), '404 BLOB_UPLOAD_UNKNOWN')
})

test('a blob whose content is not what its digest says is refused, and gone', async t => {
  const { url } = await startRegistry(t)
  const location = await begin(url, 'wrong')
  const digest = sha256('something else')
  const put = await fetch(`${location}?digest=${digest}`, { method: 'PUT', body: 'content' })
  assert.equal(await codeOf(put), '400 DIGEST_INVALID')
  assert.equal(await codeOf(await fetch(`${url}/v2/wrong/blobs/${digest}`)), '404 BLOB_UNKNOWN')
  assert.equal(await codeOf(await fetch(location)), '404 BLOB_UPLOAD_UNKNOWN')
})

test('sha512 names blobs and manifests as well as sha256', async t => {
  const { url } = await startRegistry(t)
  const digestOf = (text: string) => `sha512:${createHash('sha512').update(text).digest('hex')}`
  const location = await begin(url, 'long')
  assert.equal((await fetch(location, { method: 'PATCH', body: 'con' })).status, 202)
  const put = await fetch(`${location}?digest=${digestOf('content')}`, { method: 'PUT', body: 'tent' })
  assert.equal(put.status, 201)
  assert.equal(await (await fetch(`${url}/v2/long/blobs/${digestOf('content')}`)).text(), 'content')
  await pushBlob(url, 'long', '{}')
  const manifest = imageManifest('{}', [])
  assert.equal((await putManifest(url, 'long', digestOf(manifest), manifest)).status, 201)
  const found = await fetch(`${url}/v2/long/manifests/${digestOf(manifest)}`)
  assert.equal(await found.text(), manifest)
  assert.equal(await codeOf(await putManifest(url, 'long', digestOf('x'), manifest)), '400 DIGEST_INVALID')
})

test('a part of a blob is served as the range says', async t => {
  const { url } = await startRegistry(t)
  const digest = await pushBlob(url, 'parts', '0123456789')
  const get = (range: string) => fetch(`${url}/v2/parts/blobs/${digest}`, { headers: { range } })
  for (const [range, text, where] of [
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=5-99', '56789', 'bytes 5-9/10'],
  ] as const) {
    const part = await get(range)
    assert.equal(part.status, 206)
    assert.equal(await part.text(), text)
    assert.equal(part.headers.get('content-range'), where)
  }
  assert.equal((await get('bytes=10-')).status, 416)
})

test('a blob is mounted from another repository, and an upload begins when that has none', async t => {
  const { url } = await startRegistry(t)
  const digest = await pushBlob(url, 'one', 'shared')
  const mount = (name: string, from: string) =>
    fetch(`${url}/v2/${name}/blobs/uploads/?mount=${digest}&from=${from}`, { method: 'POST' })
  assert.equal((await fetch(`${url}/v2/two/blobs/${digest}`)).status, 404)
  const mounted = await mount('two', 'one')
  assert.equal(mounted.status, 201)
  assert.equal(mounted.headers.get('location'), `/v2/two/blobs/${digest}`)
  assert.equal(await (await fetch(`${url}/v2/two/blobs/${digest}`)).text(), 'shared')
  assert.equal((await mount('three', 'four')).status, 202)
})

test('tags come in pages, in order', async t => {
  const { url } = await startRegistry(t)
  await pushImage(url, 'many', 'v1')
  const manifest = await (await fetch(`${url}/v2/many/manifests/v1`)).text()
  for (const tag of ['V2', 'alpha', 'v3', 'Beta']) await putManifest(url, 'many', tag, manifest)
  const all = await fetch(`${url}/v2/many/tags/list`)
  assert.deepEqual(await listOf(all, 'tags'), ['alpha', 'Beta', 'v1', 'V2', 'v3'])
  const first = await fetch(`${url}/v2/many/tags/list?n=2`)
  assert.deepEqual(await listOf(first, 'tags'), ['alpha', 'Beta'])
  assert.equal(first.headers.get('link'), '</v2/many/tags/list?n=2&last=Beta>; rel="next"')
  const rest = await fetch(`${url}/v2/many/tags/list?n=9&last=Beta`)
  assert.deepEqual(await listOf(rest, 'tags'), ['v1', 'V2', 'v3'])
  assert.equal(rest.headers.get('link'), null)
  assert.deepEqual(await listOf(await fetch(`${url}/v2/many/tags/list?n=0`), 'tags'), [])
  assert.equal(await codeOf(await fetch(`${url}/v2/none/tags/list`)), '404 NAME_UNKNOWN')
  await pushImage(url, 'a/deep/one', 'x')
  const catalog = await fetch(`${url}/v2/_catalog?n=1`)
  assert.deepEqual(await listOf(catalog, 'repositories'), ['a/deep/one'])
  assert.equal(catalog.headers.get('link'), '</v2/_catalog?n=1&last=a%2Fdeep%2Fone>; rel="next"')
})

test('a tag goes alone, a manifest with its tags, a blob from its repository', async t => {
  const { url } = await startRegistry(t)
  const { digest, layer } = await pushImage(url, 'gone', 'one')
  const manifest = await (await fetch(`${url}/v2/gone/manifests/one`)).text()
  await putManifest(url, 'gone', 'two', manifest)
  const remove = (path: string) => fetch(`${url}/v2/gone/${path}`, { method: 'DELETE' })
  assert.equal((await remove('manifests/one')).status, 202)
  assert.equal(await codeOf(await fetch(`${url}/v2/gone/manifests/one`)), '404 MANIFEST_UNKNOWN')
  assert.equal((await fetch(`${url}/v2/gone/manifests/two`)).status, 200)
  assert.equal((await remove(`manifests/${digest}`)).status, 202)
  assert.equal((await fetch(`${url}/v2/gone/manifests/two`)).status, 404)
  assert.equal((await remove(`manifests/${digest}`)).status, 404)
  assert.equal((await remove(`blobs/${layer}`)).status, 202)
  assert.equal(await codeOf(await remove(`blobs/${layer}`)), '404 BLOB_UNKNOWN')
})

test('what refers to a manifest is listed, also before that is there, and filtered by its type', async t => {
  const { url } = await startRegistry(t)
  await pushBlob(url, 'signed', '{}')
  await pushBlob(url, 'signed', '{"of":"app"}')
  const app = imageManifest('{"of":"app"}', [])
  const subject = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: sha256(app),
    size: app.length,
  }
  const artifacts = ['application/x.signature', 'application/x.sbom'].map(artifactType =>
    imageManifest('{}', [], { artifactType, subject, annotations: { of: artifactType } }),
  )
  const path = `${url}/v2/signed/referrers/${subject.digest}`
  assert.deepEqual(await listOf(await fetch(path), 'manifests'), [])
  for (const content of artifacts) {
    const put = await putManifest(url, 'signed', sha256(content), content)
    assert.equal(put.headers.get('oci-subject'), subject.digest)
  }
  assert.equal((await putManifest(url, 'signed', 'app', app)).status, 201)
  const all = await fetch(path)
  assert.equal(all.headers.get('content-type'), 'application/vnd.oci.image.index.v1+json')
  assert.equal(((await listOf(all, 'manifests')) as unknown[]).length, 2)
  const some = await fetch(`${path}?artifactType=application/x.sbom`)
  assert.equal(some.headers.get('oci-filters-applied'), 'artifactType')
  const sbom = artifacts[1] ?? ''
  assert.deepEqual(await listOf(some, 'manifests'), [
    {
      mediaType: subject.mediaType,
      digest: sha256(sbom),
      size: sbom.length,
      artifactType: 'application/x.sbom',
      annotations: { of: 'application/x.sbom' },
    },
  ])
  await fetch(`${url}/v2/signed/manifests/${sha256(sbom)}`, { method: 'DELETE' })
  assert.deepEqual(await listOf(await fetch(`${path}?artifactType=application/x.sbom`), 'manifests'), [])
})

test('manifests that cannot be used are refused in the words of the specification', async t => {
  const { url } = await startRegistry(t)
  await pushBlob(url, 'bad', '{}')
  const put = async (content: string) => codeOf(await putManifest(url, 'bad', 'v1', content))
  assert.equal(await put(imageManifest('{}', ['nobody pushed this'])), '404 MANIFEST_BLOB_UNKNOWN')
  assert.equal(await put(imageManifest('{}', [], { schemaVersion: 1 })), '400 MANIFEST_INVALID')
  assert.equal(await put(JSON.stringify({ mediaType: 'text/html' })), '400 MANIFEST_INVALID')
  const type = 'application/vnd.oci.image.index.v1+json'
  const child = { mediaType: type, digest: sha256('child'), size: 5 }
  const index = { schemaVersion: 2, mediaType: type, manifests: [child] }
  assert.equal(await put(JSON.stringify(index)), '404 MANIFEST_BLOB_UNKNOWN')
  const huge = imageManifest('{}', [], { annotations: { much: 'x'.repeat(4 * 1024 * 1024) } })
  assert.equal(await put(huge), '413 SIZE_INVALID')
  const broken = await fetch(`${url}/v2/bad/manifests/v1`, { method: 'PUT', body: '{' })
  assert.equal(await codeOf(broken), '400 MANIFEST_INVALID')
})

test('what is not in the specification is refused with a code', async t => {
  const { url } = await startRegistry(t)
  const asked = async (path: string, method = 'GET') => codeOf(await fetch(`${url}${path}`, { method }))
  assert.equal((await fetch(`${url}/v2/`)).status, 200)
  assert.equal(await asked('/v2/UPPER/tags/list'), '400 NAME_INVALID')
  assert.equal(await asked(`/v2/${'a/'.repeat(128)}b/tags/list`), '400 NAME_INVALID')
  assert.equal(await asked('/v2/x/blobs/md5:00'), '400 DIGEST_INVALID')
  assert.equal(await asked('/v2/x/manifests/nothing'), '404 MANIFEST_UNKNOWN')
  assert.equal(await asked('/v2/x/tags/list', 'POST'), '405 UNSUPPORTED')
  assert.equal(await asked('/v1/x'), '404 UNSUPPORTED')
  assert.equal(await asked('/v2/%2e%2e%2f%2e%2e/blobs/uploads/', 'POST'), '400 NAME_INVALID')
  assert.equal(await asked('/v2/%zz/tags/list'), '400 NAME_INVALID')
})

test('more than the volume may have is refused with 507, and what is there stays', async t => {
  const { url, collect } = await startRegistry(t, { bytesMax: 100_000 })
  const { layer } = await pushImage(url, 'full', 'v1', 'x'.repeat(50_000))
  const location = await begin(url, 'full')
  const declared = await fetch(location, { method: 'PATCH', body: 'y'.repeat(90_000) })
  assert.equal(await codeOf(declared), '507 DENIED')
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.alloc(90_000))
      controller.close()
    },
  })
  const chunked = await fetch(location, { method: 'PATCH', body: stream, duplex: 'half' } as RequestInit)
  assert.equal(await codeOf(chunked), '507 DENIED')
  assert.equal((await fetch(`${url}/v2/full/blobs/${layer}`)).status, 200)
  assert.equal((await fetch(`${url}/v2/full/manifests/v1`, { method: 'DELETE' })).status, 202)
  await collect({ graceMs: 0, untagged: true })
  assert.equal((await fetch(location, { method: 'PATCH', body: 'y'.repeat(90_000) })).status, 202)
})

test('garbage is what no manifest refers to and is not young', async t => {
  const { url, collect } = await startRegistry(t)
  const kept = await pushImage(url, 'kept', 'v1')
  const gone = await pushImage(url, 'gone', 'v1')
  const orphan = await pushBlob(url, 'kept', 'nobody refers to this')
  await fetch(`${url}/v2/gone/manifests/${gone.digest}`, { method: 'DELETE' })
  const young = await collect({ graceMs: 60_000, untagged: false })
  assert.deepEqual(young, { manifests: 0, blobs: 0, bytes: 0, uploads: 0 })
  const all = await collect({ graceMs: 0, untagged: false })
  assert.equal(all.blobs, 4)
  assert.equal((await fetch(`${url}/v2/kept/blobs/${orphan}`)).status, 404)
  assert.equal((await fetch(`${url}/v2/kept/blobs/${kept.layer}`)).status, 200)
  assert.deepEqual(await listOf(await fetch(`${url}/v2/_catalog`), 'repositories'), ['kept'])
  await fetch(`${url}/v2/kept/manifests/v1`, { method: 'DELETE' })
  assert.equal((await collect({ graceMs: 0, untagged: false })).manifests, 0)
  assert.equal((await fetch(`${url}/v2/kept/manifests/${kept.digest}`)).status, 200)
  assert.equal((await collect({ graceMs: 0, untagged: true })).manifests, 1)
  assert.equal((await fetch(`${url}/v2/kept/manifests/${kept.digest}`)).status, 404)
})

test('pushes beside a collection of garbage keep what they refer to', async t => {
  const { url, collect } = await startRegistry(t)
  let isDone = false
  const collecting = (async () => {
    while (!isDone) await collect({ graceMs: 0, untagged: false })
  })()
  let pushed = 0
  for (let attempt = 0; pushed < 10 && attempt < 2_000; attempt++) {
    const tag = `v${attempt}`
    // A collection may take a blob between its push and the manifest's; then the push says so.
    const done = await pushImage(url, 'busy', tag).then(
      () => true,
      error => {
        assert.match(String(error), /MANIFEST_BLOB_UNKNOWN/)
        return false
      },
    )
    if (!done) continue
    pushed++
    const found = await fetch(`${url}/v2/busy/manifests/${tag}`)
    assert.equal(found.status, 200, await found.clone().text())
    const { layers } = (await found.json()) as { layers: { digest: string }[] }
    assert.equal((await fetch(`${url}/v2/busy/blobs/${layers[0]?.digest}`)).status, 200)
  }
  isDone = true
  await collecting
  assert.equal(pushed, 10)
})
