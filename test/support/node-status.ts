/** A status as a healthy node of one member gives it. */
import type { DatastoreMember, NodeStatus } from '../../src/client/node-status.ts'

export function nodeStatus(over: Partial<NodeStatus> = {}): NodeStatus {
  return {
    version: '0.1.0',
    kubernetesVersion: 'v1.36.0+mk8s.0.1.0',
    clusterId: 'c',
    processId: process.pid,
    startedAt: '2026-01-01T00:00:00.000Z',
    uptimeSeconds: 5,
    ready: true,
    node: { name: 'a', address: '10.0.0.1', ready: true, reason: '' },
    datastore: {
      role: 'leader',
      leader: '10.0.0.1:19001',
      term: 1,
      revision: 7,
      members: [datastoreMember()],
      healthy: true,
      highAvailability: { enabled: false, state: 'no', why: 'one member' },
    },
    components: [{ name: 'store', ok: true, reason: '' }],
    addons: [{ name: 'dns', repository: 'core', description: 'CoreDNS', version: '1', enabled: true }],
    runtime: { name: 'process', why: 'chosen' },
    problems: [],
    backups: [],
    ...over,
  }
}

export function datastoreMember(over: Partial<DatastoreMember> = {}): DatastoreMember {
  return {
    id: 'a1',
    name: 'a',
    address: '10.0.0.1:19001',
    role: 'voter',
    leader: true,
    alive: true,
    silentMs: 0,
    lag: 0,
    failureDomain: '',
    version: '0.1.0',
    leaving: false,
    stopped: false,
    ...over,
  }
}
