import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderContainerStatus } from '../../../../src/runtime/kubelet/render-container-status.ts'
import type { ContainerStatus } from '../../../../src/runtime/kubelet/runtime/runtime.ts'

const failed: ContainerStatus = {
  id: 'c1',
  sandboxId: 's',
  podUid: 'u',
  name: 'main',
  attempt: 0,
  image: 'x',
  imageId: 'y',
  state: 'exited',
  createdAt: 1_000,
  startedAt: 0,
  finishedAt: 1_000,
  exitCode: 128,
  signal: 0,
  reason: 'StartError',
  message: 'no such file',
  logPath: '/x',
  labels: {},
  annotations: {},
}
const render = (restartPolicy: string) => {
  const container = { name: 'main', image: 'x' }
  return renderContainerStatus({
    pod: { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { restartPolicy, containers: [container] } },
    container,
    isInit: false,
    containers: [failed],
    facts: {
      runtimeName: 'containerd',
      waiting: () => ({ reason: 'RunContainerError', message: 'no such file' }),
      isReady: () => false,
      isStarted: () => false,
      terminationMessage: () => '',
    },
  })
}

test('a program that could not be started waits only where it is tried again', () => {
  assert.equal(render('Always').state?.waiting?.reason, 'RunContainerError')
  const ended = render('Never')
  assert.equal(ended.state?.waiting, undefined)
  assert.equal(ended.state?.terminated?.reason, 'StartError')
  assert.equal(ended.state?.terminated?.exitCode, 128)
})
