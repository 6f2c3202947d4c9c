/** Claims of pods on a node with a driver that listens on real sockets; the API is a few objects in memory. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { createLog } from '../../../../../src/base/log.ts'
import type { KubeClient } from '../../../../../src/client/kube-client.ts'
import type { Pod, ResourceClaim, ResourceSlice } from '../../../../../src/kube/types.ts'
import { ClaimManager } from '../../../../../src/runtime/kubelet/resource-claims/claim-manager.ts'
import { DraPlugins } from '../../../../../src/runtime/kubelet/resource-claims/dra-plugins.ts'
import { startDraDriver, type TestDraDriver } from '../../../../support/dra-driver.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'
import { until } from '../../../../support/until.ts'

const NAME = 'gpu.example.com'
const log = createLog({ level: 'error', now: () => 0, write: () => {} })
const consumer = (name: string) => ({ resource: 'pods', name, uid: `${name}-uid` })
const claimOf = (uid: string, ...pods: readonly string[]): ResourceClaim => ({
  ...{ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', spec: {} },
  metadata: { name: 'gpus', namespace: 'd', uid },
  status: {
    allocation: { devices: { results: [{ request: 'r', driver: NAME, pool: 'p', device: 'g0' }] } },
    reservedFor: pods.map(consumer),
  },
})
const podOf = (name: string): Pod => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'd', uid: `${name}-uid` } },
  spec: {
    resourceClaims: [{ name: 'gpu', resourceClaimName: 'gpus' }],
    containers: [
      { name: 'whole', resources: { claims: [{ name: 'gpu' }] } },
      { name: 'one', resources: { claims: [{ name: 'gpu', request: 'r' }] } },
      { name: 'other', resources: { claims: [{ name: 'gpu', request: 's' }] } },
    ],
  },
})

describe('the claims on a node', () => {
  // Deadlines of calls are told to gRPC, which has a clock of its own.
  const clock = new ManualClock(Date.now() + 3_600_000)
  let directory = ''
  let driver: TestDraDriver
  let plugins: DraPlugins
  let told = 0
  let claim = claimOf('c1', 'a', 'b')
  let slices = ['gone.example.com', NAME].map(
    each => ({ metadata: { name: each }, spec: { driver: each, nodeName: 'n' } }) as unknown as ResourceSlice,
  )
  const deleted: string[] = []
  const client = {
    get: async () => claim,
    list: async () => ({ items: slices }),
    deleteCollection: async (_resource: object, { fieldSelector }: { fieldSelector: string }) => {
      deleted.push(fieldSelector)
      slices = slices.filter(({ spec }) => !fieldSelector.endsWith(`=${spec?.driver}`))
    },
  } as unknown as KubeClient
  const live = new Set<string>()
  const manager = () =>
    new ClaimManager({ client, plugins, path: join(directory, 'state'), livePods: () => live, log })
  let released: () => Promise<void> = async () => {}

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'mk8s-claims-'))
    driver = await startDraDriver({
      ...{ name: NAME, directory, registry: join(directory, 'registry') },
      devicesOf: async () => [{ request: 'r', pool: 'p', device: 'g0' }],
      cdi: join(directory, 'cdi'),
    })
    plugins = new DraPlugins({
      client,
      nodeName: 'n',
      clock,
      log,
      onDriver: () => {},
      onHealth: () => (told += 1),
    })
  })
  after(() => {
    plugins.stop()
    driver.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  test('wait for their driver, of which nothing is written down before', async () => {
    const first = manager()
    await assert.rejects(first.prepare(podOf('a')), /^Error: DRA driver gpu\.example\.com is not registered$/)
    assert.equal(first.uses('a-uid'), false)
    const info = { type: 'DRAPlugin', name: NAME, endpoint: join(directory, 'dra.sock') }
    await assert.rejects(plugins.take({ ...info, supportedVersions: ['v9.DRAPlugin'] }), /serves none of/)
    const taken = await plugins.take({ ...info, supportedVersions: ['v1beta1.DRAPlugin', 'v1.DRAPlugin'] })
    released = () => taken.release()
  })

  test('are prepared for pods that they are reserved for, and for no others', async () => {
    const stranger = manager().prepare(podOf('c'))
    await assert.rejects(stranger, /^Error: pod c \(c-uid\) is not allowed to use ResourceClaim gpus \(c1\)$/)
    const first = manager()
    await Promise.all([first.prepare(podOf('a')), first.prepare(podOf('b'))])
    assert.deepEqual(driver.calls, ['prepare gpus'])
    const [whole, one, other] = (podOf('a').spec?.containers ?? []).map(each =>
      first.cdiDevicesOf(podOf('a'), each),
    )
    assert.deepEqual([whole, one, other], [[`${NAME}/device=c1-g0`], [`${NAME}/device=c1-g0`], []])
  })

  test('have devices of whose health their driver tells', async () => {
    const next = manager()
    await next.prepare(podOf('a'))
    const [whole, one, other] = podOf('a').spec?.containers ?? []
    const statusOf = (container = whole) => next.healthOf(podOf('a'), must(container, 'the container'))
    const resourceID = `${NAME}/device=c1-g0`
    assert.deepEqual(statusOf(), [{ name: 'claim:gpu', resources: [{ resourceID, health: 'Unknown' }] }])
    driver.tellHealth([{ pool: 'p', device: 'g0', health: 'HEALTHY' }])
    await until('it is healthy', () => statusOf()[0]?.resources?.[0]?.health === 'Healthy')
    const before = told
    driver.tellHealth([{ pool: 'p', device: 'g0', health: 'UNHEALTHY', message: 'too hot' }])
    await until('somebody is told', () => told > before)
    const resources = [{ resourceID, health: 'Unhealthy', message: 'too hot' }]
    assert.deepEqual(statusOf(one), [{ name: 'claim:gpu/r', resources }])
    assert.deepEqual(statusOf(other), [])
    clock.advance(599_000)
    assert.deepEqual(statusOf(), [{ name: 'claim:gpu', resources }])
    clock.advance(2_000)
    assert.equal(statusOf()[0]?.resources?.[0]?.health, 'Unknown', 'nobody has said so for too long')
    assert.ok(told > before + 1, 'and pods say so')
  })

  test('are found by the extended resources that they stand for', async () => {
    const requestMappings = [{ containerName: 'plain', resourceName: 'example.com/gpu', requestName: 'r' }]
    const { metadata, ...rest } = podOf('a')
    const status = { extendedResourceClaimStatus: { resourceClaimName: 'gpus', requestMappings } }
    const pod = { ...rest, metadata, spec: { containers: [] }, status }
    const next = manager()
    await next.prepare(pod)
    assert.deepEqual(driver.calls, ['prepare gpus'])
    assert.deepEqual(next.cdiDevicesOf(pod, { name: 'plain' }), [`${NAME}/device=c1-g0`])
    assert.deepEqual(next.cdiDevicesOf(pod, { name: 'other' }), [])
  })

  test('are known to the next daemon, which undoes what it finds nobody using', async () => {
    const next = manager()
    await next.prepare(podOf('a'))
    assert.deepEqual(driver.calls, ['prepare gpus'])
    live.add('a-uid')
    await next.reconcile()
    assert.deepEqual([next.uses('a-uid'), next.uses('b-uid')], [true, false])
    assert.deepEqual(driver.calls, ['prepare gpus'])
    live.clear()
    await next.reconcile()
    assert.deepEqual(driver.calls, ['prepare gpus', 'unprepare gpus'])
    assert.equal(manager().uses('a-uid'), false)
  })

  test('are asked about again after a failure, and undone although they never succeeded', async () => {
    const first = manager()
    driver.failure = 'no'
    await assert.rejects(first.prepare(podOf('a')), /NodePrepareResources failed for ResourceClaim gpus: no$/)
    assert.equal(manager().uses('a-uid'), true)
    driver.failure = ''
    claim = claimOf('c2', 'a')
    const old = 'old ResourceClaim with same name gpus and different UID c1 still exists'
    await assert.rejects(first.prepare(podOf('a')), new RegExp(old))
    await first.unprepare('a-uid')
    await first.prepare(podOf('a'))
    await first.unprepare('a-uid')
    assert.deepEqual(driver.calls.slice(-3), ['unprepare gpus', 'prepare gpus', 'unprepare gpus'])
  })

  test('have no devices of drivers any more that stay away', async () => {
    plugins.start()
    const tick = () => {
      clock.advance(31_000)
      return deleted
    }
    await until('the slices of the driver that was never seen to go', () => tick().length === 1)
    assert.deepEqual(deleted, ['spec.nodeName=n,spec.driver=gone.example.com'])
    await released()
    await until('the slices of the driver that went to go', () => tick().length === 2)
    assert.equal(deleted[1], `spec.nodeName=n,spec.driver=${NAME}`)
  })
})
