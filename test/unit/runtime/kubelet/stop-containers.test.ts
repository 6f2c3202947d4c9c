/** How containers that are being stopped are made to end sooner. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../../../src/base/log.ts'
import type { ContainerStatus, Runtime } from '../../../../src/runtime/kubelet/runtime/runtime.ts'
import { hastenStop } from '../../../../src/runtime/kubelet/stop-containers.ts'

test('what runs of a pod ends sooner, and a runtime that is away breaks nothing', async () => {
  const stopped: [string, number][] = []
  const states = ['running', 'exited', 'created'] as const
  const runtime = {
    listContainers: async () => states.map(state => ({ id: state, state }) as ContainerStatus),
    async stopContainer(id: string, graceMs: number) {
      stopped.push([id, graceMs])
    },
  } as unknown as Runtime
  await hastenStop('uid', 1_000, { runtime, log: silentLog })
  assert.deepEqual(stopped, [['running', 1_000]])
  const away = { ...runtime, listContainers: () => Promise.reject(new Error('the runtime is away')) }
  await hastenStop('uid', 0, { runtime: away, log: silentLog })
})
