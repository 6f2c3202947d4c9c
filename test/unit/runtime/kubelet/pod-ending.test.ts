/** How a pod ends: which grace its containers get when it is deleted again, and that what it held is freed once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../../../src/base/log.ts'
import type { Pod } from '../../../../src/kube/types.ts'
import type { PodContext } from '../../../../src/runtime/kubelet/pod-context.ts'
import { PodEnding, type PodEndingParts } from '../../../../src/runtime/kubelet/pod-ending.ts'
import type { ContainerStatus } from '../../../../src/runtime/kubelet/runtime/runtime.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { until } from '../../../support/until.ts'

const podWith = (deletionGracePeriodSeconds?: number, phase = 'Running'): Pod => ({
  ...{ apiVersion: 'v1', kind: 'Pod' },
  metadata: {
    ...{ name: 'p', namespace: 'd', uid: 'u' },
    ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
  },
  spec: { containers: [{ name: 'c', image: 'i' }], terminationGracePeriodSeconds: 40 },
  status: { phase },
})

/** With one container that ends when the test says so. */
function setUp(first: Pod) {
  let pod = first
  let state: ContainerStatus['state'] = 'running'
  const graces: number[] = []
  const done: string[] = []
  const exited = Promise.withResolvers<void>()
  const runtime = {
    listContainers: async () => [{ id: 'x', name: 'c', state }],
    listSandboxes: async () => [],
    async stopContainer(_id: string, graceMs: number) {
      graces.push(graceMs)
      await exited.promise
      state = 'exited'
    },
  }
  const ending = new PodEnding({
    context: {
      ...{ runtime, clock: new ManualClock(), log: silentLog, directories: { logs: '/nowhere' } },
      recorder: { recordReference() {} },
      reportedAs: () => null,
      claims: { unprepare: async () => done.push('claims') },
      userRanges: { forget: () => done.push('users') },
      objects: { forget() {} },
      client: { delete: async () => done.push('deleted') },
      onFreed: () => done.push('freed'),
    } as unknown as PodContext,
    retry: { baseMs: 1, maxMs: 1 },
    probes: { keepReadiness() {}, retain() {}, stop() {} },
    reporter: { report: async () => {}, flush: async () => {} } as unknown as PodEndingParts['reporter'],
    volumes: { remove: async () => done.push('volumes') } as unknown as PodEndingParts['volumes'],
    view: () => ({ pod, isVanished: false, isStopped: false }),
    report: async () => {},
    tellEnding: async () => {},
    onEvent() {},
  })
  const become = (next: Pod) => {
    pod = next
  }
  return { ending, graces, done, exit: exited.resolve, become }
}

test('a pod that is deleted again has the least of the graces, and the first deletion waits for its turn', async () => {
  const { ending, graces, done, exit, become } = setUp(podWith(30))
  ending.hasten({ isStarting: false })
  const ended = ending.end()
  await until('the container is being stopped', () => graces.length === 1)
  become(podWith(60))
  ending.hasten({ isStarting: false })
  become(podWith(5))
  ending.hasten({ isStarting: false })
  await until('it is stopped again', () => graces.length === 2)
  assert.deepEqual(graces, [30_000, 5_000])
  exit()
  await ended
  assert.deepEqual(done, ['claims', 'volumes', 'deleted'])
})

test('a deletion reaches a container that is just being started', async () => {
  const { ending, graces, exit } = setUp(podWith(1))
  ending.hasten({ isStarting: true })
  await until('the container is being stopped', () => graces.length === 1)
  assert.deepEqual(graces, [1_000])
  exit()
})

test('a pod that is over stays, and what it held is freed once, when the API has heard of it', async () => {
  const { ending, graces, done, exit, become } = setUp(podWith())
  exit()
  ending.finishWithin(7_000)
  await ending.finish()
  assert.deepEqual(graces, [7_000])
  assert.deepEqual(done, ['claims', 'volumes', 'users'])
  become(podWith(undefined, 'Failed'))
  await ending.finish()
  await ending.finish()
  assert.equal(done.filter(each => each === 'freed').length, 1)
  assert.ok(!done.includes('deleted'))
})
