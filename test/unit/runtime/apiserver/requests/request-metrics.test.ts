/** What is counted of requests. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { parseRequestInfo } from '../../../../../src/runtime/apiserver/requests/request-info.ts'
import { RequestMetrics } from '../../../../../src/runtime/apiserver/requests/request-metrics.ts'

const counted = (requests: readonly (readonly [method: string, path: string, code: number])[]) => {
  const metrics = new RequestMetrics(({ resource, subresource }) => `${resource}/${subresource}` === 'pods/')
  for (const [method, path, code] of requests) {
    const info = parseRequestInfo(method, path, new URLSearchParams())
    metrics.count({ info, isApply: false, isDryRun: false, code, seconds: 0.01, waitedSeconds: 0 })
  }
  return metrics
    .metrics()
    .flatMap(one =>
      one.name === 'apiserver_request_total' && one.type === 'counter'
        ? [`${one.labels['verb']} ${one.labels['resource']} ${one.labels['code']}: ${one.value}`]
        : [],
    )
}

test('requests are counted by verb, resource and status', () => {
  const pod = '/api/v1/namespaces/default/pods/one'
  const found = counted([
    ['GET', pod, 200],
    ['GET', pod, 200],
    ['GET', pod, 404],
    ['GET', '/api/v1/pods', 200],
    ['POST', '/api/v1/namespaces/default/pods', 201],
  ])
  assert.deepEqual(found, ['GET pods 200: 2', 'GET pods 404: 1', 'LIST pods 200: 1', 'POST pods 201: 1'])
})

test('names and methods that somebody makes up are no series of their own', () => {
  const madeUp = Array.from({ length: 9 }, (_, at) => [
    ['GET', `/api/v1/things${at}`, 404] as const,
    ['GET', `/api/v1/namespaces/default/pods/one/thing${at}`, 403] as const,
    [`THING${at}`, '/healthz', 403] as const,
  ]).flat()
  assert.deepEqual(counted(madeUp), ['other  403: 9'])
})

test('service levels are judged without what was waited for others', () => {
  const metrics = new RequestMetrics(() => true)
  for (const [isDryRun, waitedSeconds] of [
    [false, 0],
    [false, 0.9],
    [true, 0.98],
  ] as const) {
    const info = parseRequestInfo('POST', '/api/v1/namespaces/default/pods', new URLSearchParams())
    metrics.count({ info, isApply: false, isDryRun, code: 201, seconds: 1, waitedSeconds })
  }
  const found = metrics.metrics().filter(({ name }) => name === 'apiserver_request_sli_duration_seconds')
  const [{ labels, ...level } = assert.fail(), ...others] = found
  assert.deepEqual(others, [])
  assert.equal(labels['verb'], 'POST')
  assert.ok(!('dry_run' in labels))
  if (level.type !== 'histogram') assert.fail()
  const { bounds, counts, sum } = level.histogram
  const slowest = bounds.filter((_, at) => (counts[at] ?? 0) > 0)
  assert.deepEqual(slowest, [0.05, 0.1, 1])
  assert.ok(Math.abs(sum - 1.12) < 1e-9)
})
