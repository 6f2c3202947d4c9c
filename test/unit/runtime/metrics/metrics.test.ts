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
    lastIndex: 110,
    membership: { voters: [1, 2], learners: [0xabc] },
    progress: [
      { member: 1, match: 90, silentMs: 50 },
      { member: 2, match: 110, silentMs: null },
    ],
    timing: { roundTripMs: 2, heartbeatMs: 50, electionMs: 300 },
    flushes: { bounds: [0.001, 0.002], counts: [3, 2, 1], sum: 0.02 },
    leaderChanges: 3,
    leases: 4,
    logBytes: 5,
    databaseBytes: 6,
    residentBytes: 7,
  })
  const keyOf = ({ name, labels = {} }: (typeof metrics)[number]) => JSON.stringify([name, labels])
  assert.equal(new Set(metrics.map(keyOf)).size, metrics.length)
  const lines = renderMetrics(metrics).split('\n')
  const holds = (line: string) => assert.ok(lines.includes(line), line)
  holds('etcd_server_has_leader 0')
  holds('etcd_server_is_learner 1')
  holds('etcd_server_proposals_committed_total 101')
  holds('etcd_server_proposals_pending 9')
  holds('etcd_debugging_mvcc_keys_total 106')
  holds('etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 3')
  holds('etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 5')
  holds('etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 6')
  holds('etcd_disk_wal_fsync_duration_seconds_count 6')
  holds('etcd_disk_wal_fsync_duration_seconds_sum 0.02')
  holds('mk8s_datastore_election_timeout_seconds 0.3')
  holds('mk8s_datastore_member_lag_entries{member="1"} 20')
  holds('mk8s_datastore_member_lag_entries{member="2"} 0')
  holds('mk8s_datastore_member_silent_seconds{member="1"} 0.05')
  const types = lines.filter(line => line.startsWith('# TYPE '))
  assert.equal(new Set(types).size, types.length, 'each name is introduced once')
})
