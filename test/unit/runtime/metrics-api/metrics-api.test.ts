import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import type { KubeObject } from '../../../../src/kube/object.ts'
import { StatusError } from '../../../../src/kube/status.ts'
import { createMetricsApi } from '../../../../src/runtime/metrics-api/metrics-api.ts'

const time = '2026-01-01T00:00:00Z'
const usage = (nanoCores?: number) => ({
  cpu: { time, ...(nanoCores === undefined ? {} : { usageNanoCores: nanoCores }) },
  memory: { workingSetBytes: 2_048 },
})
const summary = {
  node: usage(5),
  pods: [{ podRef: { uid: 'u1' }, containers: [{ name: 'main', ...usage(7) }] }],
}
const pod = (name: string, uid: string, phase: string): KubeObject => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', uid, labels: { app: name } } },
  ...{ spec: { nodeName: 'n1' }, status: { phase } },
})
const objects = {
  nodes: [{ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } }] as KubeObject[],
  pods: [pod('web', 'u1', 'Running'), pod('over', 'u1', 'Succeeded'), pod('new', 'u2', 'Running')],
}

function open() {
  let nowMs = 0
  let asked = 0
  const api = createMetricsApi({
    list: resource => objects[resource],
    connect: () => ({
      async request() {
        asked += 1
        return { status: 200, headers: {}, body: Buffer.from(JSON.stringify(summary)) }
      },
    }),
    isOn: () => true,
    clock: { ...systemClock, monotonic: () => nowMs },
  })
  const get = async (path: string, query = '') => {
    const whole = `/apis/metrics.k8s.io/v1beta1${path}`
    const answer = await api.handle({ method: 'GET', path: whole, query: new URLSearchParams(query) })
    return JSON.parse(Buffer.from(answer.body as Uint8Array).toString())
  }
  return { get, asked: () => asked, pass: (ms: number) => (nowMs += ms) }
}

test('nodes and running pods have metrics in canonical quantities', async () => {
  const { get } = open()
  const node = await get('/nodes/n1')
  assert.deepEqual(node.usage, { cpu: '5n', memory: '2Ki' })
  const { kind, items } = await get('/pods')
  assert.equal(kind, 'PodMetricsList')
  assert.equal(items.length, 1)
  assert.deepEqual(items[0].containers, [{ name: 'main', usage: { cpu: '7n', memory: '2Ki' } }])
})

test('kubelets are asked once in fifteen seconds, however often metrics are', async () => {
  const { get, asked, pass } = open()
  await Promise.all([get('/nodes'), get('/pods')])
  pass(14_999)
  await get('/nodes')
  assert.equal(asked(), 1)
  pass(1)
  await get('/nodes')
  assert.equal(asked(), 2)
})

test('lists heed selectors and namespaces, and what is not known is not found', async () => {
  const { get } = open()
  assert.equal((await get('/namespaces/default/pods', 'labelSelector=app=web')).items.length, 1)
  assert.equal((await get('/namespaces/other/pods')).items.length, 0)
  await assert.rejects(
    get('/namespaces/default/pods/new'),
    (error: unknown) => error instanceof StatusError && error.code === 404,
  )
})
