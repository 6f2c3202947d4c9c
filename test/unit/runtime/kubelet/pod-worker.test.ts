/** The worker of a pod that is over or gone already: nothing is started, and what is left of it ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../../../src/base/log.ts'
import type { Pod } from '../../../../src/kube/types.ts'
import type { PodContext } from '../../../../src/runtime/kubelet/pod-context.ts'
import { orphanOf } from '../../../../src/runtime/kubelet/pod-states.ts'
import { PodWorker } from '../../../../src/runtime/kubelet/pod-worker.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { until } from '../../../support/until.ts'

function setUp(pod: Pod) {
  const done: string[] = []
  let isGone = false
  let state = 'running'
  const runtime = {
    listContainers: async () => [{ id: 'x', name: 'c', state }],
    listSandboxes: async () => [{ id: 's', metadata: { uid: 'u' }, state: 'ready', addresses: [] }],
    async stopContainer(_id: string, graceMs: number) {
      done.push(`stopped within ${graceMs}`)
      state = 'exited'
    },
    stopSandbox: async () => done.push('sandbox stopped'),
    removeSandbox: async () => done.push('sandbox removed'),
  }
  const context = {
    ...{ runtime, clock: new ManualClock(), log: silentLog },
    directories: { pods: '/nowhere/pods', logs: '/nowhere/logs' },
    recorder: { recordReference() {} },
    reportedAs: () => null,
    networks: { release: async () => {} },
    claims: { unprepare: async () => {} },
    userRanges: { forget() {} },
    objects: { forget() {} },
    tokens: { forget() {} },
    onFreed: () => done.push('freed'),
  } as unknown as PodContext
  const worker = new PodWorker({
    ...{ context, pod },
    onGone: () => {
      isGone = true
    },
  })
  return { worker, done, isGone: () => isGone }
}

test('a pod that has left the API ends with all that is left of it', async () => {
  const { worker, done, isGone } = setUp(orphanOf({ name: 'p', namespace: 'd', uid: 'u' }))
  worker.vanish()
  await until('it is gone', isGone)
  assert.deepEqual(done, ['stopped within 5000', 'sandbox stopped', 'sandbox removed'])
})

test('a pod that was over before this daemon runs no more, and stays', async () => {
  const pod = orphanOf({ name: 'p', namespace: 'd', uid: 'u' })
  const { worker, done, isGone } = setUp({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'd', uid: 'u' } },
    ...{
      spec: { ...pod.spec, containers: [], terminationGracePeriodSeconds: 3 },
      status: { phase: 'Failed' },
    },
  })
  worker.wake()
  await until('what it held is free', () => done.includes('freed'))
  assert.deepEqual(done, ['stopped within 3000', 'sandbox stopped', 'freed'])
  assert.equal(isGone(), false)
  await worker.stop()
})
