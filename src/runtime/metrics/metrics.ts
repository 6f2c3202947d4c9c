/** Figures of the datastore for Prometheus: under etcd's names where they mean the same, else under ours. Pure. */

export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

/** The text format, version 0.0.4. */
export function renderMetrics(metrics: readonly Metric[]): string {
  return metrics
    .map(({ name, help, type, value, labels = {} }) => {
      const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
      const set = pairs.length === 0 ? '' : `{${pairs.join(',')}}`
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${set} ${value}\n`
    })
    .join('')
}

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

export interface DatastoreFigures {
  readonly memberId: number
  /** 0 when none is known. */
  readonly leaderMemberId: number
  readonly leader: boolean
  readonly leaderChanges: number
  readonly term: number
  readonly commit: number
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

export function datastoreMetrics(figures: DatastoreFigures): Metric[] {
  const is = (fact: boolean) => (fact ? 1 : 0)
  const { databaseBytes, memberId } = figures
  return [
    gauge('etcd_server_has_leader', 'Whether a leader is known.', is(figures.leaderMemberId !== 0)),
    gauge('etcd_server_is_leader', 'Whether this member leads.', is(figures.leader)),
    {
      ...gauge('etcd_server_id', 'The id of this member, in hexadecimal.', 1),
      labels: { server_id: memberId.toString(16) },
    },
    {
      name: 'etcd_server_leader_changes_seen_total',
      help: 'How often this member became the leader since it started.',
      type: 'counter',
      value: figures.leaderChanges,
    },
    gauge('etcd_server_proposals_committed_total', 'Index of the last committed entry.', figures.commit),
    gauge('etcd_server_proposals_applied_total', 'Index of the last applied entry.', figures.applied),
    gauge('etcd_mvcc_db_total_size_in_bytes', 'Size of the database and its own log on disk.', databaseBytes),
    gauge('etcd_debugging_mvcc_keys_total', 'How many keys there are.', figures.keys),
    gauge('etcd_debugging_mvcc_current_revision', 'The revision of the last transaction.', figures.revision),
    gauge(
      'etcd_debugging_mvcc_compact_revision',
      'The revision up to which history is forgotten.',
      figures.compactedRevision,
    ),
    gauge('mk8s_datastore_term', 'The term of the leader.', figures.term),
    gauge('mk8s_datastore_durable_index', 'The last entry that a checkpoint has flushed.', figures.durable),
    gauge('mk8s_datastore_log_bytes', 'Size of the write-ahead log in use.', figures.logBytes),
    gauge('mk8s_datastore_leases', 'How many leases there are.', figures.leases),
    gauge('process_resident_memory_bytes', 'Resident memory of the daemon.', figures.residentBytes),
  ]
}
