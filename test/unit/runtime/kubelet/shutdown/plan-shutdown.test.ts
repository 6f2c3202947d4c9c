import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../../../../src/kube/types.ts'
import { parseShutdownSignal } from '../../../../../src/runtime/kubelet/shutdown/logind.ts'
import {
  parseShutdownSteps,
  planShutdown,
  shutdownMs,
  shutdownSteps,
} from '../../../../../src/runtime/kubelet/shutdown/plan-shutdown.ts'

const pod = (name: string, priority?: number, graceSeconds?: number): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    containers: [],
    ...(priority === undefined ? {} : { priority }),
    ...(graceSeconds === undefined ? {} : { terminationGracePeriodSeconds: graceSeconds }),
  },
})
const shown = (pods: readonly Pod[], steps: ReturnType<typeof shutdownSteps>) =>
  planShutdown(pods, steps).map(group => [
    group.graceMs / 1_000,
    ...group.pods.map(each => `${each.pod.metadata.name} ${(each.failure.graceMs ?? 0) / 1_000}s`),
  ])

test('critical pods get the last part of the time, and nobody more than it asks for', () => {
  const steps = shutdownSteps('30s', '10s')
  assert.equal(shutdownMs(steps), 30_000)
  const pods = [pod('critical', 2_000_001_000, 60), pod('web'), pod('quick', 5, 3), pod('low', -10)]
  assert.deepEqual(shown(pods, steps), [
    [20, 'web 20s', 'quick 3s', 'low 20s'],
    [10, 'critical 10s'],
  ])
  assert.deepEqual(shown([pod('critical', 2_000_000_000)], steps), [[10, 'critical 10s']])
})

test('without a time nothing is planned, and critical pods never get more than there is', () => {
  assert.deepEqual(shutdownSteps('0s', '10s'), [])
  assert.deepEqual(shutdownSteps(undefined, undefined), [])
  assert.deepEqual(
    shutdownSteps('5s', '10s').map(({ graceMs }) => graceMs),
    [0, 5_000],
  )
})

test('steps by priority are in their order, and what cannot be read is refused', () => {
  const steps = parseShutdownSteps('100000=10s,0=1m,1000=20s') ?? []
  assert.deepEqual(shown([pod('a', 999), pod('b', 1000), pod('c', 99_999), pod('d', 5_000_000)], steps), [
    [60, 'a 30s'],
    [20, 'b 20s', 'c 20s'],
    [10, 'd 10s'],
  ])
  for (const text of ['', '0', '0=', 'x=1s', '0=1s,0=2s']) assert.equal(parseShutdownSteps(text), null)
})

test('what logind says of a shutdown is read out of busctl', () => {
  const line = (member: string, data: unknown) =>
    JSON.stringify({ type: 'signal', member, payload: { type: 'b', data } })
  assert.equal(parseShutdownSignal(line('PrepareForShutdown', [true])), true)
  assert.equal(parseShutdownSignal(line('PrepareForShutdown', [false])), false)
  assert.equal(parseShutdownSignal(line('PrepareForSleep', [true])), null)
  assert.equal(parseShutdownSignal('Monitoring bus message stream.'), null)
})
