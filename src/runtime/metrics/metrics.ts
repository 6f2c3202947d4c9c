/** Figures of the datastore for Prometheus: under etcd's names where they mean the same, else under ours. Pure. */

interface MetricName {
  readonly name: string
  readonly help: string
  readonly labels?: Readonly<Record<string, string>>
}

export type Metric =
  | (MetricName & { readonly type: 'counter' | 'gauge'; readonly value: number })
  | (MetricName & { readonly type: 'histogram'; readonly histogram: Histogram })

export interface Histogram {
  /** Upper bounds of all buckets but the last, which has none. */
  readonly bounds: readonly number[]
  /** How often in each bucket; not cumulative. */
  readonly counts: readonly number[]
  readonly sum: number
}

/** The text format, version 0.0.4. Metrics of one name, with different labels, stand together. */
export function renderMetrics(metrics: readonly Metric[]): string {
  return metrics
    .map((metric, at) => {
      const { name, help, type } = metric
      const head = metrics[at - 1]?.name === name ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
      return head + samplesOf(metric)
    })
    .join('')
}

function samplesOf(metric: Metric): string {
  const { name, labels = {} } = metric
  if (metric.type !== 'histogram') return sample(name, labels, metric.value)
  const { bounds, counts, sum } = metric.histogram
  let seen = 0
  const buckets = counts.map((count, at) => {
    seen += count
    return sample(`${name}_bucket`, { ...labels, le: at < bounds.length ? String(bounds[at]) : '+Inf' }, seen)
  })
  return buckets.join('') + sample(`${name}_sum`, labels, sum) + sample(`${name}_count`, labels, seen)
}

function sample(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`
}

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

export interface DatastoreFigures {
  readonly memberId: number
  /** 0 when none is known. */
  readonly leaderMemberId: number
  readonly leader: boolean
  readonly membership: { readonly voters: readonly number[]; readonly learners: readonly number[] }
  /** Of the other members; empty on a member that does not lead. */
  readonly progress: readonly {
    readonly member: number
    readonly match: number
    readonly silentMs: number | null
  }[]
  readonly timing: { readonly roundTripMs: number; readonly heartbeatMs: number; readonly electionMs: number }
  readonly flushes: Histogram
  readonly leaderChanges: number
  readonly term: number
  readonly commit: number
  readonly lastIndex: number
  readonly applied: number
  readonly durable: number
  readonly revision: number
  readonly compactedRevision: number
  readonly keys: number
  readonly leases: number
  readonly logBytes: number
  readonly databaseBytes: number
  readonly residentBytes: number
}

const gauge = (name: string, help: string, value: number): Metric => ({ name, help, type: 'gauge', value })
const is = (fact: boolean): number => (fact ? 1 : 0)
const hex = (id: number): string => id.toString(16)

export function datastoreMetrics(figures: DatastoreFigures): Metric[] {
  return [
    ...leadershipMetrics(figures),
    ...logMetrics(figures),
    ...stateMetrics(figures),
    ...memberMetrics(figures),
    gauge('process_resident_memory_bytes', 'Resident memory of the daemon.', figures.residentBytes),
  ]
}

function leadershipMetrics(figures: DatastoreFigures): Metric[] {
  const { memberId, membership, timing } = figures
  return [
    gauge('etcd_server_has_leader', 'Whether a leader is known.', is(figures.leaderMemberId !== 0)),
    gauge('etcd_server_is_leader', 'Whether this member leads.', is(figures.leader)),
    gauge(
      'etcd_server_is_learner',
      'Whether this member does not vote.',
      is(membership.learners.includes(memberId)),
    ),
    {
      ...gauge('etcd_server_id', 'The id of this member, in hexadecimal.', 1),
      labels: { server_id: hex(memberId) },
    },
    {
      name: 'etcd_server_leader_changes_seen_total',
      help: 'How often another leader was seen since this member started.',
      type: 'counter',
      value: figures.leaderChanges,
    },
    gauge('mk8s_datastore_term', 'The term of the leader.', figures.term),
    gauge(
      'mk8s_datastore_heartbeat_interval_seconds',
      'How often a leader lets others hear of it.',
      timing.heartbeatMs / 1000,
    ),
    gauge(
      'mk8s_datastore_election_timeout_seconds',
      'An election begins after one to two times this without a leader; adapts to disk and network.',
      timing.electionMs / 1000,
    ),
  ]
}

function logMetrics(figures: DatastoreFigures): Metric[] {
  const { commit, lastIndex } = figures
  return [
    gauge('etcd_server_proposals_committed_total', 'Index of the last committed entry.', commit),
    gauge('etcd_server_proposals_applied_total', 'Index of the last applied entry.', figures.applied),
    gauge(
      'etcd_server_proposals_pending',
      'Entries in the log that are not committed yet.',
      Math.max(0, lastIndex - commit),
    ),
    {
      name: 'etcd_disk_wal_fsync_duration_seconds',
      help: 'How long the log takes to write a frame and flush it.',
      type: 'histogram',
      histogram: figures.flushes,
    },
    gauge('mk8s_datastore_durable_index', 'The last entry that a checkpoint has flushed.', figures.durable),
    gauge('mk8s_datastore_log_bytes', 'Size of the write-ahead log in use.', figures.logBytes),
  ]
}

function stateMetrics(figures: DatastoreFigures): Metric[] {
  const { databaseBytes, revision } = figures
  return [
    gauge('etcd_mvcc_db_total_size_in_bytes', 'Size of the database and its own log on disk.', databaseBytes),
    gauge('etcd_debugging_mvcc_keys_total', 'How many keys there are.', figures.keys),
    gauge('etcd_debugging_mvcc_current_revision', 'The revision of the last transaction.', revision),
    gauge(
      'etcd_debugging_mvcc_compact_revision',
      'The revision up to which history is forgotten.',
      figures.compactedRevision,
    ),
    gauge('mk8s_datastore_leases', 'How many leases there are.', figures.leases),
  ]
}

/** What a leader knows of the others. */
function memberMetrics({ progress, lastIndex, timing }: DatastoreFigures): Metric[] {
  const lag = progress.map(({ member, match }) => ({
    ...gauge('mk8s_datastore_member_lag_entries', 'Entries that a member has yet to make durable.', 0),
    type: 'gauge' as const,
    value: Math.max(0, lastIndex - match),
    labels: { member: hex(member) },
  }))
  const silent = progress.flatMap(({ member, silentMs }) =>
    silentMs === null
      ? []
      : {
          ...gauge('mk8s_datastore_member_silent_seconds', 'Since when a member was not heard of.', 0),
          type: 'gauge' as const,
          value: silentMs / 1000,
          labels: { member: hex(member) },
        },
  )
  const roundTrip = 'A slow answer of the slowest member that is needed for a majority; 0 where nobody leads.'
  return [gauge('mk8s_datastore_round_trip_seconds', roundTrip, timing.roundTripMs / 1000), ...lag, ...silent]
}
