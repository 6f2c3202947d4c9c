/** Images from other nodes, over the kubelet's distribution of them, with node certificates on loopback. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../../../../../../../src/base/clock.ts'
import { ImageDistribution } from '../../../../../../../src/runtime/kubelet/image-distribution.ts'
import type { KubeletCertificates } from '../../../../../../../src/runtime/kubelet/kubelet-parts.ts'
import { imageContent } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/image-content.ts'
import { ImageStore } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/image-store.ts'
import { ImagePuller } from '../../../../../../../src/runtime/kubelet/runtime/oci/images/pull-image.ts'
import type { PeerNode } from '../../../../../../../src/runtime/kubelet/runtime/runtime.ts'
import { createTestPki } from '../../../../../../support/kubelet-pki.ts'
import { sampleImage, startRegistry } from '../../../../../../support/registry.ts'

const skip = process.geteuid?.() === 0 ? false : 'files get the owners that an image says, which takes root'
const image = sampleImage('web', 200_000)
const login = { username: 'ann', password: 'secret' }
let certificates: KubeletCertificates
let directory = ''
let count = 0
const peers: PeerNode[] = []
const closing: (() => void)[] = []

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mk8s-peers-'))
  certificates = (await createTestPki()).server
})
after(async () => {
  for (const close of closing) close()
  await rm(directory, { recursive: true, force: true })
})

/** A node's images, which serves them as its kubelet does. `diesAfter`: each connection ends after so many bytes. */
async function startNode(nodeName: string, diesAfter = Number.POSITIVE_INFINITY) {
  const store = new ImageStore(join(directory, String(++count)))
  await store.prepare()
  const { client, clientAuthority: authority, certificate, key } = certificates
  const puller = new ImagePuller({
    ...{ store, clock: systemClock },
    peers: {
      nodeName,
      nodes: async () => peers.filter(peer => peer.nodeName !== nodeName),
      identity: () => ({ ...client, authority }),
    },
  })
  const content = imageContent({ store, coming: digest => puller.coming(digest), clock: systemClock })
  const distribution = new ImageDistribution(content)
  const asked: string[] = []
  const tls = { cert: certificate, key, ca: authority, requestCert: true, rejectUnauthorized: true }
  const server = createServer(tls, (request, response) => {
    const url = new URL(request.url ?? '', 'https://node')
    asked.push(`${url.pathname} ${request.headers.range ?? ''}`)
    const { socket } = request
    const look = setInterval(() => {
      if (socket.bytesWritten > diesAfter) socket.destroy()
    }, 1)
    socket.once('close', () => clearInterval(look))
    void distribution.answer(request, response, url)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  peers.push({ nodeName, host: `127.0.0.1:${(server.address() as AddressInfo).port}`, images: [] })
  return { store, puller, asked }
}

test('a node gets blobs from the one that has them, after the registry has said what the tag is', {
  skip,
}, async () => {
  peers.length = 0
  const registry = await startRegistry({ 'team/web': image }, { login })
  const name = `${registry.host}/team/web:1`
  const credentials = [{ server: registry.host, ...login }]
  const [first, second] = [await startNode('n1'), await startNode('n2')]
  await first.puller.pull(name, credentials)
  registry.asked.length = 0
  const found = await second.puller.pull(name, credentials)
  assert.equal(found.repoDigest, `${registry.host}/team/web@${image.digest}`)
  assert.deepEqual(
    registry.asked.filter(({ path }) => path.includes('/blobs/')),
    [],
  )
  assert.equal(first.asked.filter(path => path.includes('/blobs/')).length, 2)
  await registry.close()
  // The registry alone says who may have an image that it has given for credentials.
  const third = await startNode('n3')
  await assert.rejects(third.puller.pull(name, []), { message: /failed to do request/ })
})

test('who has no credentials gets no image, although a node has it', { skip }, async () => {
  peers.length = 0
  const registry = await startRegistry({ 'team/web': image }, { login })
  const name = `${registry.host}/team/web:1`
  const [first, second] = [await startNode('n1'), await startNode('n2')]
  await first.puller.pull(name, [{ server: registry.host, ...login }])
  await assert.rejects(second.puller.pull(name, []), { message: /pull access denied/ })
  assert.deepEqual(first.asked, [])
  await registry.close()
})

test('where the registry does not answer, a node that has an open image gives its tag too', {
  skip,
}, async () => {
  peers.length = 0
  const registry = await startRegistry({ 'team/web': image })
  const name = `${registry.host}/team/web:1`
  const [first, second] = [await startNode('n1'), await startNode('n2')]
  await first.puller.pull(name, [])
  await registry.close()
  assert.equal((await second.puller.pull(name, [])).id, image.configDigest)
})

test('a node with other bytes, and one that is gone, are left for the registry', { skip }, async () => {
  peers.length = 0
  const registry = await startRegistry({ 'team/web': image })
  const name = `${registry.host}/team/web:1`
  const damaged = sampleImage('other', 1_000)
  const [first, second] = [await startNode('n1'), await startNode('n2')]
  await first.puller.pull(name, [])
  // What lies on its disk is not what it was.
  const { writeFile } = await import('node:fs/promises')
  for (const digest of image.blobs.keys()) {
    if (digest === image.digest) continue
    const path = join(directory, String(count - 1), 'blobs/sha256', digest.slice('sha256:'.length))
    await writeFile(path, [...damaged.blobs.values()][2] ?? '')
  }
  peers.unshift({ nodeName: 'n0', host: '127.0.0.1:1', images: [name] })
  assert.equal((await second.puller.pull(name, [])).id, image.configDigest)
  await registry.close()
})

test('of two that pull at once, one waits for the blobs that the other is getting', { skip }, async () => {
  peers.length = 0
  const slow = sampleImage('slow', 400_000)
  const registry = await startRegistry({ 'team/slow': slow }, { blobDelayMs: 400 })
  const name = `${registry.host}/team/slow:1`
  const [first, second] = [await startNode('n1'), await startNode('n2')]
  const begun = first.puller.pull(name, [])
  while (!registry.asked.some(({ path }) => path.includes('/blobs/'))) {
    await new Promise(resolve => setImmediate(resolve))
  }
  await Promise.all([begun, second.puller.pull(name, [])])
  assert.equal(registry.asked.filter(({ path }) => path.includes('/blobs/')).length, 2)
  await registry.close()
})

test('a node that dies in the middle is followed by the registry, from there on', { skip }, async () => {
  peers.length = 0
  const large = sampleImage('large', 30_000_000)
  const registry = await startRegistry({ 'team/large': large })
  const name = `${registry.host}/team/large:1`
  const first = await startNode('n1', 1_000_000)
  const second = await startNode('n2')
  await first.puller.pull(name, [])
  registry.asked.length = 0
  assert.equal((await second.puller.pull(name, [])).id, large.configDigest)
  assert.ok(registry.asked.some(({ range }) => /^bytes=[1-9]/.test(range ?? '')))
  await registry.close()
})
