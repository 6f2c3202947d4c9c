/** Images over mirrors, TLS of a server's own and broken connections, from little registries on loopback. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../../../../../../../src/base/clock.ts'
import { mergeRegistries } from '../../../../../../../src/kube/registries/registries.ts'
import { ImageStore } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/image-store.ts'
import { ImagePuller } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/pull-image.ts'
import { createTestPki } from '../../../../../../support/kubelet-pki.ts'
import { sampleImage, startRegistry } from '../../../../../../support/registry.ts'

const skip = process.geteuid?.() === 0 ? false : 'files get the owners that an image says, which takes root'
const image = sampleImage('web', 300_000)
let directory = ''
let count = 0

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mk8s-mirror-'))
})
after(() => rm(directory, { recursive: true, force: true }))

async function pullerWith(document: object) {
  const store = new ImageStore(join(directory, String(++count)))
  await store.prepare()
  const { registries, problems } = mergeRegistries({ 'registries.yaml': JSON.stringify(document) }, {})
  assert.deepEqual(problems, [])
  return new ImagePuller({ store, clock: systemClock, registries: async () => registries })
}

test('a mirror is asked first, under the rewritten name, with the credentials of the cluster', {
  skip,
}, async () => {
  const login = { username: 'ann', password: 'secret' }
  const mirror = await startRegistry({ 'hub/web': image }, { login })
  const puller = await pullerWith({
    mirrors: { 'docker.io': { endpoint: [mirror.url], rewrite: { '^library/(.*)': 'hub/$1' } } },
    configs: { [mirror.host]: { auth: login } },
  })
  const found = await puller.pull('web:1', [])
  assert.equal(found.name, 'docker.io/library/web:1')
  assert.equal(found.repoDigest, `docker.io/library/web@${image.digest}`)
  await mirror.close()
})

test("a pod's credentials for the registry are not shown to its mirror", { skip }, async () => {
  const mirror = await startRegistry({}, { login: { username: 'x', password: 'y' } })
  const own = await startRegistry({ 'team/web': image }, { login: { username: 'ann', password: 'secret' } })
  const puller = await pullerWith({ mirrors: { [own.host]: { endpoint: [mirror.url] } } })
  await puller.pull(`${own.host}/team/web:1`, [{ server: own.host, username: 'ann', password: 'secret' }])
  assert.deepEqual(
    mirror.asked.filter(({ authorization }) => authorization !== undefined),
    [],
  )
  await Promise.all([mirror.close(), own.close()])
})

test('a server with a certificate of its own is believed when its authority is configured, or checks are off', {
  skip,
}, async () => {
  const { server } = await createTestPki()
  const mirror = await startRegistry(
    { 'team/web': image },
    { tls: { cert: server.certificate, key: server.key } },
  )
  const name = 'registry.invalid/team/web:1'
  const mirrors = { 'registry.invalid': { endpoint: [mirror.url] } }
  for (const tls of [{ ca: server.clientAuthority }, { insecure_skip_verify: true }]) {
    const puller = await pullerWith({ mirrors, configs: { [mirror.host]: { tls } } })
    assert.equal((await puller.pull(name, [])).name, name)
  }
  const puller = await pullerWith({ mirrors })
  await assert.rejects(puller.pull(name, []), { message: /failed to do request/ })
  await mirror.close()
})

test('a transfer that breaks goes on where it was, at the next one that has it', { skip }, async () => {
  const broken = await startRegistry({ 'team/web': image }, { breaksAfterBytes: 100_000 })
  const whole = await startRegistry({ 'team/web': image })
  const puller = await pullerWith({
    mirrors: { 'registry.invalid': { endpoint: [broken.url, whole.url] } },
  })
  await puller.pull('registry.invalid/team/web:1', [])
  const ranges = whole.asked.flatMap(({ range }) => range ?? [])
  assert.equal(ranges.length, 1)
  assert.match(ranges[0] ?? '', /^bytes=[1-9]\d*-$/)
  await Promise.all([broken.close(), whole.close()])
})

test('a transfer that breaks again and again comes to its end at one registry too', { skip }, async () => {
  const broken = await startRegistry({ 'team/web': image }, { breaksAfterBytes: 150_000 })
  const puller = await pullerWith({})
  await puller.pull(`${broken.host}/team/web:1`, [])
  assert.ok(broken.asked.filter(({ range }) => range !== undefined).length > 0)
  await broken.close()
})

test('bytes of another content are not taken, and the next one is asked for all of them', {
  skip,
}, async () => {
  const damaged = await startRegistry({ 'team/web': image }, { damages: true })
  const whole = await startRegistry({ 'team/web': image })
  const puller = await pullerWith({
    mirrors: { 'registry.invalid': { endpoint: [damaged.url, whole.url] } },
  })
  assert.equal((await puller.pull('registry.invalid/team/web:1', [])).id, image.configDigest)
  await Promise.all([damaged.close(), whole.close()])
})

test('what is no image is refused by what it is', async () => {
  const chart = sampleImage('chart', 10, { configType: 'application/vnd.cncf.helm.config.v1+json' })
  const registry = await startRegistry({ 'team/chart': chart })
  const puller = await pullerWith({})
  await assert.rejects(puller.pull(`${registry.host}/team/chart:1`, []), {
    message: /an artifact of type application\/vnd\.cncf\.helm\.config\.v1\+json, and no container image/,
  })
  await registry.close()
})
