import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../../../src/kube/types.ts'
import { planPod } from '../../../../src/runtime/kubelet/plan-pod.ts'
import { containerPath } from '../../../../src/runtime/kubelet/pod-containers.ts'
import type { ContainerStatus, SandboxStatus } from '../../../../src/runtime/kubelet/runtime/runtime.ts'

const pod = (over: Partial<Pod> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', uid: 'u' },
  spec: {
    containers: [{ name: 'main', image: 'i' }],
    ephemeralContainers: [{ name: 'debug', image: 'i' }],
  },
  ...over,
})
const metadata = { name: 'web', namespace: 'default', uid: 'u', attempt: 0 }
const sandbox: SandboxStatus = { id: 's', metadata, state: 'ready', createdAt: 1, addresses: [] }
const container = (name: string, state: 'running' | 'exited') =>
  ({
    id: name,
    sandboxId: 's',
    podUid: 'u',
    name,
    attempt: 0,
    state,
    exitCode: 1,
    annotations: {},
  }) as ContainerStatus
const plan = (over: { pod?: Pod; containers: readonly ContainerStatus[] }) =>
  planPod({
    pod: over.pod ?? pod(),
    sandboxes: [sandbox],
    containers: over.containers,
    nowMs: 0,
    startup: () => 'success',
    liveness: () => 'success',
    backoff: () => undefined,
  })

test('an ephemeral container is started once beside what runs', () => {
  const [action] = plan({ containers: [container('main', 'running')] })
  assert.deepEqual(action, { kind: 'start-container', name: 'debug', attempt: 0 })
})

test('one that has ended, or of which only the status tells, is not started again', () => {
  const main = container('main', 'running')
  assert.deepEqual(plan({ containers: [main, container('debug', 'exited')] }), [])
  const status = {
    name: 'debug',
    image: 'i',
    imageID: '',
    ready: false,
    restartCount: 0,
    containerID: 'x://1',
  }
  const told = pod({ status: { ephemeralContainerStatuses: [status] } })
  assert.deepEqual(plan({ pod: told, containers: [main] }), [])
})

test('events say which kind of container they are about', () => {
  assert.equal(containerPath(pod(), 'debug'), 'spec.ephemeralContainers{debug}')
  assert.equal(containerPath(pod(), 'main'), 'spec.containers{main}')
})
