import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../../../src/base/log.ts'
import { renderNodeStatus } from '../../../../src/runtime/kubelet/render-node.ts'
import { conditionProblem } from '../../../../src/runtime/kubelet/runtime/cri/parse-cri.ts'
import { RuntimeWatch } from '../../../../src/runtime/kubelet/runtime-watch.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

test('a runtime that stays silent is down after half a minute, and up with its first answer', async () => {
  const clock = new ManualClock()
  let answer = async () => ''
  const told: string[] = []
  const aborter = new AbortController()
  const watch = new RuntimeWatch({
    runtime: { problem: () => answer() },
    clock,
    log: silentLog,
    onChange: problem => void told.push(problem),
  })
  const done = watch.run(aborter.signal)
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      clock.advance(1_000)
      await new Promise(setImmediate)
    }
  }
  await pass(60)
  assert.deepEqual(told, [])
  answer = () => Promise.reject(new Error('no socket'))
  await pass(25)
  assert.deepEqual(told, [])
  await pass(10)
  assert.deepEqual(told, ['container runtime is down'])
  answer = async () => ''
  await pass(5)
  assert.deepEqual(told, ['container runtime is down', ''])
  aborter.abort()
  await done
})

test('conditions of the runtime are told in the words of a kubelet', () => {
  const ready = { type: 'RuntimeReady', status: true, reason: '', message: '' }
  const network = {
    type: 'NetworkReady',
    status: false,
    reason: 'NetworkPluginNotReady',
    message: 'Network plugin returns error: cni plugin not initialized',
  }
  assert.equal(conditionProblem([ready, { ...network, status: true }]), '')
  assert.equal(
    conditionProblem([ready, network]),
    'container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady ' +
      'message:Network plugin returns error: cni plugin not initialized',
  )
})

test('a node whose runtime is down is not ready and says so', () => {
  const host = {
    architecture: 'amd64',
    bootId: 'b',
    cpuCount: 2,
    diskBytes: 1,
    hostname: 'n',
    kernelVersion: '6',
    machineId: 'm',
    memoryBytes: 1,
    operatingSystem: 'linux',
    osImage: 'x',
  }
  const runtime = { name: 'containerd', version: '2' }
  const own = { nodeName: 'n', nodeAddress: '127.0.0.1', kubeletPort: 1, volumesDirectory: '/v' }
  const facts = { ...own, host, version: 'v1', runtime }
  const readyOf = (problem?: string) => {
    const input = { nowMs: 0, previous: undefined, ...(problem === undefined ? {} : { problem }) }
    return renderNodeStatus(facts, input).conditions?.find(({ type }) => type === 'Ready')
  }
  const told = readyOf('container runtime is down')
  assert.equal(told?.status, 'False')
  assert.equal(told?.reason, 'KubeletNotReady')
  assert.equal(told?.message, 'container runtime is down')
  assert.equal(readyOf()?.status, 'True')
})
