/** Images from a registry on loopback that wants a token, into a store on disk. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { systemClock } from '../../../../../../../src/base/clock.ts'
import { renderTar } from '../../../../../../../src/base/tar.ts'
import { ImageStore } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/image-store.ts'
import { ImagePuller } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/pull-image.ts'

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const refer = (bytes: Buffer) => ({ digest: digestOf(bytes), size: bytes.length })
const json = (value: object) => Buffer.from(JSON.stringify(value))
const file = (name: string, content: string) =>
  renderTar([{ type: 'file', name, mode: 0o640, content: Buffer.from(content) }])

const tars = [file('etc/one', 'first'), file('etc/two', 'second')]
const layers = [gzipSync(tars[0] ?? ''), zstdCompressSync(tars[1] ?? '')]
const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const config = json({
  config: { Env: ['A=b'], User: 'web' },
  rootfs: { type: 'layers', diff_ids: tars.map(digestOf) },
})
const manifest = json({ schemaVersion: 2, config: refer(config), layers: layers.map(refer) })
const platform = { os: 'linux', architecture }
const index = json({
  manifests: [
    { ...refer(json({})), platform: { ...platform, architecture: 'other' } },
    { ...refer(manifest), platform },
  ],
})
const blobs = new Map([config, manifest, ...layers].map(bytes => [digestOf(bytes), bytes]))

let server: Server
let directory = ''
let store: ImageStore
let asked: string[] = []
let registry = ''
let isDamaged = false
const resolving = { now: 0, most: 0 }

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mk8s-pull-'))
  store = new ImageStore(directory)
  await store.prepare()
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://registry')
    asked.push(pathname)
    const login = `Basic ${Buffer.from('ann:secret').toString('base64')}`
    if (pathname === '/token') {
      if (request.headers.authorization !== login) response.writeHead(401).end()
      else response.end(JSON.stringify({ token: 'pass' }))
      return
    }
    if (request.headers.authorization !== 'Bearer pass') {
      const realm = `http://${registry}/token`
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="here"` }).end()
      return
    }
    if (pathname === '/v2/team/web/manifests/1') return void response.end(index)
    if (pathname.startsWith('/v2/many/web/manifests/') && !pathname.includes('sha256')) {
      resolving.most = Math.max(++resolving.now, resolving.most)
      setTimeout(() => {
        resolving.now--
        response.end(index)
      }, 20)
      return
    }
    const found = blobs.get(pathname.split('/').at(-1) ?? '')
    if (found === undefined) response.writeHead(404).end()
    else response.end(isDamaged ? Buffer.alloc(found.length) : found)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  registry = `127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(async () => {
  server.close()
  server.closeAllConnections()
  await rm(directory, { recursive: true, force: true })
})

const isRoot = process.geteuid?.() === 0
const skip = isRoot ? false : 'files get the owners that an image says, which takes root'
const credentials = () => [{ server: registry, username: 'ann', password: 'secret' }]

test('an image is refused without credentials, and one that is not there is not found', async () => {
  const puller = new ImagePuller({ store, clock: systemClock })
  await assert.rejects(puller.pull(`${registry}/team/web:1`, []), { message: /pull access denied/ })
  await assert.rejects(puller.pull(`${registry}/team/web:2`, credentials()), {
    message: /failed to resolve reference "\S+\/team\/web:2": \S+\/team\/web:2: not found$/,
  })
})

test('bytes that are not those of the digest are refused', async () => {
  isDamaged = true
  const puller = new ImagePuller({ store, clock: systemClock })
  await assert.rejects(puller.pull(`${registry}/team/web:1`, credentials()), { message: /cannot be used/ })
  isDamaged = false
})

test('two pulls at a time fetch once; the layers are unpacked, and the image has its digest', {
  skip,
}, async () => {
  asked = []
  const puller = new ImagePuller({ store, clock: systemClock })
  const image = `${registry}/team/web:1`
  const [first, second] = await Promise.all([
    puller.pull(image, credentials()),
    puller.pull(image, credentials()),
  ])
  assert.equal(first, second)
  assert.equal(new Set(asked.filter(path => path.includes('/blobs/'))).size, 3)
  assert.equal(asked.filter(path => path.includes('/blobs/')).length, 3)
  assert.equal(first.repoDigest, `${registry}/team/web@${digestOf(index)}`)
  assert.equal(first.config.User, 'web')
  const [top = '', bottom = ''] = first.layers.map(name => join(store.layersDirectory, name))
  assert.equal(await readFile(join(top, 'etc/two'), 'utf8'), 'second')
  assert.equal(await readFile(join(bottom, 'etc/one'), 'utf8'), 'first')
  assert.equal((await stat(join(bottom, 'etc/one'))).mode & 0o777, 0o640)
  asked = []
  await puller.pull(image, credentials())
  assert.deepEqual(
    asked.filter(path => path.includes('/blobs/')),
    [],
  )
})

test('an image that is removed leaves nothing behind but what containers stand on', { skip }, async () => {
  const found = await store.find(`${registry}/team/web:1`)
  const [kept = '', gone = ''] = found?.layers ?? []
  assert.deepEqual(await store.remove(found?.id ?? ''), [`${registry}/team/web:1`])
  const others = new ImageStore(directory)
  const used = async () => [kept]
  await others.gate.whileOpen(async () => assert.equal(await store.collect(used), false))
  await stat(join(store.layersDirectory, gone))
  await mkdir(join(directory, 'incoming/cut-short/etc'), { recursive: true })
  assert.equal(await store.collect(used), true)
  await stat(join(store.layersDirectory, kept))
  await assert.rejects(stat(join(store.layersDirectory, gone)), { code: 'ENOENT' })
  assert.deepEqual(await store.blobs.list(), [])
  assert.deepEqual(await readdir(join(directory, 'incoming')), [])
})

test('only so many images are pulled at once, and the others come after them', { skip }, async () => {
  const puller = new ImagePuller({ store, clock: systemClock })
  const tags = Array.from({ length: 12 }, (_, index) => `${registry}/many/web:${index}`)
  const pulled = await Promise.all(tags.map(tag => puller.pull(tag, credentials())))
  assert.deepEqual(
    pulled.map(({ name }) => name),
    tags,
  )
  assert.equal(resolving.most, 4)
})

test('the proxy that the environment names is asked for registries elsewhere, and not for this machine', async () => {
  const wanted: string[] = []
  const proxy = createServer().on('connect', (request, socket) => {
    wanted.push(request.url ?? '')
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const puller = new ImagePuller({ store, clock: systemClock, env: { HTTPS_PROXY: url, HTTP_PROXY: url } })
  await assert.rejects(puller.pull('registry.example/team/web:1', []), { message: /failed to do request/ })
  await assert.rejects(puller.pull(`${registry}/team/web:2`, credentials()), { message: /not found$/ })
  proxy.close()
  proxy.closeAllConnections()
  assert.deepEqual(wanted, ['registry.example:443'])
})
