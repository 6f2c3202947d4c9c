import assert from 'node:assert/strict'
import { test } from 'node:test'
import { datastoreMetrics, renderMetrics } from '../../../../src/runtime/metrics/metrics.ts'

test('figures are rendered as Prometheus reads them', () => {
  const text = renderMetrics([
    { name: 'a', help: 'Of a.', type: 'gauge', value: 1.5 },
    { name: 'b', help: 'Of b.', type: 'counter', value: 2, labels: { x: 'say "\\"', y: 'z' } },
  ])
  const labels = '{x="say \\"\\\\\\"",y="z"}'
  assert.equal(
    text,
    `# HELP a Of a.\n# TYPE a gauge\na 1.5\n# HELP b Of b.\n# TYPE b counter\nb${labels} 2\n`,
  )
})

test('each figure of the datastore has its own name and value', () => {
  const names = ['term', 'commit', 'applied', 'durable', 'revision', 'compactedRevision', 'keys'] as const
  const numbers = Object.fromEntries(names.map((name, at) => [name, 100 + at])) as Record<
    (typeof names)[number],
    number
  >
  const metrics = datastoreMetrics({
    ...numbers,
    memberId: 0xabc,
    leaderMemberId: 0,
    leader: false,
    leaderChanges: 3,
    leases: 4,
    logBytes: 5,
    databaseBytes: 6,
    residentBytes: 7,
  })
  assert.equal(new Set(metrics.map(({ name }) => name)).size, metrics.length)
  const of = (name: string) => metrics.find(metric => metric.name === name)?.value
  assert.equal(of('etcd_server_has_leader'), 0)
  assert.equal(of('etcd_server_proposals_committed_total'), 101)
  assert.equal(of('etcd_debugging_mvcc_keys_total'), 106)
})
