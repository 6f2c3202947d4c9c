/** Images between nodes with containerd: a real one gets blobs from another node, and tags from the registry only. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { createLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { NO_REGISTRIES } from '../../../src/kube/registries/registries.ts'
import { importArchive } from '../../../src/runtime/images/import-archive.ts'
import { PAUSE_IMAGE, pauseImage } from '../../../src/runtime/images/pause-image.ts'
import { ImageDistribution } from '../../../src/runtime/kubelet/image-distribution.ts'
import { containerdPaths } from '../../../src/runtime/kubelet/runtime/cri/containerd-config.ts'
import { containerdContent } from '../../../src/runtime/kubelet/runtime/cri/containerd-content.ts'
import { readContainerdFacts } from '../../../src/runtime/kubelet/runtime/cri/containerd-programs.ts'
import { CriRuntime } from '../../../src/runtime/kubelet/runtime/cri/cri-runtime.ts'
import { endContainerd } from '../../../src/runtime/kubelet/runtime/cri/end-containerd.ts'
import { ManagedContainerd } from '../../../src/runtime/kubelet/runtime/cri/managed-containerd.ts'
import { PeerMirror } from '../../../src/runtime/kubelet/runtime/cri/peer-mirror.ts'
import {
  renderRegistryHosts,
  writeRegistryHosts,
} from '../../../src/runtime/kubelet/runtime/cri/registry-hosts.ts'
import type { PeerNode } from '../../../src/runtime/kubelet/runtime/runtime.ts'
import { architecture, whyNoContainers } from '../../support/containerd.ts'
import { createTestPki } from '../../support/kubelet-pki.ts'
import { sampleImage, startRegistry, type TestRegistry } from '../../support/registry.ts'

const blobsAsked = ({ asked }: TestRegistry) => asked.filter(({ path }) => path.includes('/blobs/')).length

describe('images between nodes with containerd', { skip: whyNoContainers() ?? false }, () => {
  const image = sampleImage('web', 200_000)
  const closing: (() => unknown)[] = []
  const peers: PeerNode[] = []
  /** What the other node has, by file; it is no containerd that has to run. */
  let otherRoot = ''
  let runtime: CriRuntime
  let registry: TestRegistry
  let mirror: PeerMirror

  const blobPath = (digest: string) => {
    const directory = join(otherRoot, 'io.containerd.content.v1.content/blobs/sha256')
    mkdirSync(directory, { recursive: true })
    return join(directory, digest.slice('sha256:'.length))
  }

  before(async () => {
    const directory = mkdtempSync(join(tmpdir(), 'mk8s-mirror-'))
    otherRoot = join(directory, 'other')
    const { server: certificates } = await createTestPki()
    const { client, clientAuthority: authority, certificate, key } = certificates
    const distribution = new ImageDistribution(containerdContent(otherRoot))
    const tls = { cert: certificate, key, ca: authority, requestCert: true, rejectUnauthorized: true }
    const server = createServer(tls, (request, response) => {
      void distribution.answer(request, response, new URL(request.url ?? '', 'https://node'))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    peers.push({ nodeName: 'dead', host: '127.0.0.1:1', images: [] })
    peers.push({ nodeName: 'n2', host: `127.0.0.1:${(server.address() as AddressInfo).port}`, images: [] })
    mirror = new PeerMirror({
      peers: { nodeName: 'n1', nodes: async () => peers, identity: () => ({ ...client, authority }) },
      ...{ directory: join(directory, 'mirror'), clock: systemClock, random: systemRandom },
    })
    await mirror.start()
    const shared = { dataDir: directory, sharedDirectories: [join(directory, 'pods')], clock: systemClock }
    const log = createLog({ level: 'error', now: Date.now, write: line => void process.stderr.write(line) })
    const containerd = new ManagedContainerd({
      ...{ ...shared, log },
      podRange: { cidrs: [], onChange: () => () => {} },
      facts: () => readContainerdFacts(PAUSE_IMAGE),
      importSandboxImage: async socketPath => {
        await importArchive(socketPath, { archive: pauseImage(architecture()) })
      },
    })
    await containerd.start(new AbortController().signal)
    const { registries, root } = containerdPaths(directory)
    writeRegistryHosts(registries, renderRegistryHosts(NO_REGISTRIES, registries, mirror.url))
    const nodeId = basename(directory)
    runtime = new CriRuntime({ socketPath: containerd.socketPath, nodeId, root, clock: systemClock, log })
    await runtime.start(() => {})
    registry = await startRegistry({ 'team/web': image })
    closing.push(
      () => registry.close(),
      () => runtime.stop(),
      () => containerd.stop(),
      () => endContainerd({ ...shared, nodeId }),
      () => mirror.stop(),
      () => server.close(),
      () => server.closeAllConnections(),
      () => rmSync(directory, { recursive: true, force: true }),
    )
  })
  after(async () => {
    for (const close of closing) await close()
  })

  test('what no node has, and what a node has other bytes of, comes from the registry', async () => {
    const [layer = ''] = [...image.blobs.keys()].filter(
      digest => digest !== image.digest && digest !== image.configDigest,
    )
    writeFileSync(blobPath(layer), 'something else')
    await assert.rejects(runtime.ensureImage(`${registry.host}/team/none:1`), /not found/)
    await runtime.ensureImage(`${registry.host}/team/web:1`)
    assert.equal(blobsAsked(registry), 2)
    assert.deepEqual(readdirSync(join(otherRoot, '../mirror')), [])
    const found = await runtime.content?.find({
      ...{ registry: '', repository: 'team/web', reference: layer, architecture: '', waits: false },
    })
    assert.equal(found?.sizeBytes, image.blobs.get(layer)?.length)
  })

  test('what a node has is not asked of the registry', async () => {
    const fresh = sampleImage('fresh', 300_000)
    for (const [digest, bytes] of fresh.blobs) writeFileSync(blobPath(digest), bytes)
    const another = await startRegistry({ 'team/fresh': fresh })
    try {
      await runtime.ensureImage(`${another.host}/team/fresh:1`)
      assert.equal(blobsAsked(another), 0, JSON.stringify(another.asked))
      assert.ok(another.asked.some(({ path }) => path.endsWith('/manifests/1')))
    } finally {
      await another.close()
    }
  })

  test('nobody without its secret gets anything from the mirror', async () => {
    const url = new URL(mirror.url ?? '')
    const [digest = ''] = image.blobs.keys()
    const ask = async (path: string) => (await fetch(`${url.origin}${path}`)).status
    assert.equal(await ask(`/v2/team/web/blobs/${digest}`), 404)
    assert.equal(await ask(`/${'0'.repeat(32)}/v2/team/web/blobs/${digest}`), 404)
    assert.equal(await ask(`${url.pathname}/team/web/manifests/1`), 404)
  })
})
