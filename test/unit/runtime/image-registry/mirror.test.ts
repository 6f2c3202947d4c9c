/** A registry that mirrors another one: what is missing comes from there, checked, once, and stays. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { must } from '../../../../src/base/assert.ts'
import { sha256, startRegistry as startMirror } from '../../../support/image-registry.ts'
import { type RegistryOptions, sampleImage, startRegistry } from '../../../support/registry.ts'

const LAYER_BYTES = 300_000

async function mirrorOf(t: TestContext, options: RegistryOptions = {}, bytesMax = 1024 ** 3) {
  const image = sampleImage('app', LAYER_BYTES)
  const upstream = await startRegistry({ 'team/app': image }, options)
  t.after(() => upstream.close())
  const login = options.login ?? null
  const mirror = await startMirror(t, { mirror: { server: upstream.url, login }, bytesMax })
  const [layer, content] = must(
    [...image.blobs].find(([, { length }]) => length > LAYER_BYTES),
    'a layer',
  )
  const get = (path: string) => fetch(`${mirror.url}/v2/team/app/${path}`)
  return { image, upstream, mirror, layer, content, get }
}

test('images come through, once each, and stay when the other registry is gone', async t => {
  const login = { username: 'ann', password: 'secret' }
  const { image, upstream, get, layer, content } = await mirrorOf(t, { login })
  const all = async () => {
    const manifest = await get('manifests/v1')
    assert.equal(manifest.headers.get('docker-content-digest'), image.digest)
    assert.equal(sha256(await manifest.text()), image.digest)
    const blobs = await Promise.all([get(`blobs/${layer}`), get(`blobs/${layer}`), get(`blobs/${layer}`)])
    for (const blob of blobs) assert.ok(content.equals(Buffer.from(await blob.arrayBuffer())))
  }
  await all()
  const asked = upstream.asked.filter(({ path, authorization }) => path.endsWith(layer) && authorization)
  assert.equal(asked.length, 1)
  await upstream.close()
  await all()
  assert.equal((await get('manifests/v2')).status, 503)
  assert.equal((await get(`blobs/${sha256('other')}`)).status, 503)
})

test('what the other registry does not have is not there', async t => {
  const { get } = await mirrorOf(t)
  assert.equal((await get(`blobs/${sha256('nothing')}`)).status, 404)
  assert.equal((await get(`manifests/${sha256('nothing')}`)).status, 404)
})

test('a blob that is not what its digest says is never kept, and whoever waits for it notices', async t => {
  const { get, layer } = await mirrorOf(t, { damages: true })
  for (let tries = 0; tries < 2; tries++) {
    await assert.rejects(async () => {
      const blob = await get(`blobs/${layer}`)
      await blob.arrayBuffer()
    })
  }
})

test('a mirror takes no pushes', async t => {
  const { mirror } = await mirrorOf(t)
  const begun = await fetch(`${mirror.url}/v2/team/app/blobs/uploads/`, { method: 'POST' })
  assert.equal(begun.status, 405)
})
