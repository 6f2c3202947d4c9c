/** In what a restored state differs from its backup. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { NodeConfig } from '../../../../src/config/node-config.ts'
import { decode } from '../../../../src/runtime/backup/state-contents.ts'
import { TOKENS_PREFIX } from '../../../../src/runtime/join/tokens.ts'
import {
  decodeMember,
  encodeMember,
  type MemberRecord,
  memberKey,
} from '../../../../src/runtime/members/member-record.ts'
import { differencesOf } from '../../../../src/runtime/restore/difference.ts'
import {
  operationsOnBackup,
  type StateReader,
  schedulesIn,
} from '../../../../src/runtime/restore/restored-state.ts'
import { ROTATION_KEY } from '../../../../src/runtime/rotation/rotation-record.ts'
import type { Operation } from '../../../../src/runtime/store/store.ts'

const config: NodeConfig = {
  dataDir: '/data',
  clusterId: 'old',
  memberId: 10,
  role: 'server',
  failureDomain: '',
  nodeName: 'a',
  bindAddress: '192.0.2.10',
  ports: { api: 16443, join: 25000, raft: 19001, kubelet: 10250 },
  runtime: 'simulated',
  runtimeReason: '',
  criSocket: '',
  etcdListen: 'off',
  logLevel: 'info',
}

const record = (id: number, nodeName: string, over: Partial<MemberRecord> = {}): MemberRecord => {
  const at = (port: number) => ({ host: `192.0.2.${id}`, port })
  return {
    ...{ id, nodeName, peerAddresses: [at(19001)], apiAddress: at(16443), joinAddress: at(25000) },
    ...{
      failureDomain: '',
      role: 'voter',
      entryVersion: 3,
      joinedAt: '2026-01-01T00:00:00Z',
      leaving: false,
    },
    ...over,
  }
}

type Values = Readonly<Record<string, object | Buffer>>

const bytesOf = (value: object | Buffer): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.from(`\x01${JSON.stringify(value)}`)

function stateOf(values: Values): StateReader {
  const entries = Object.entries(values)
    .map(([key, value]) => ({
      ...{ key, value: bytesOf(value), createRevision: 1, modRevision: 1, version: 1, lease: 0 },
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
  return {
    get: key => entries.find(entry => entry.key === key) ?? null,
    range: (start, end) => entries.filter(({ key }) => key >= start && key < end),
  }
}

const node = (podCIDR: string, extra: object = {}, status: object = {}) => ({
  ...{
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {},
    spec: { podCIDR, podCIDRs: [podCIDR], ...extra },
    status,
  },
})
const nodeKey = (name: string) => `/registry/core/nodes/${name}`

function changes(
  backup: Values,
  present: Values | null,
  over: { others?: MemberRecord[]; keysFromBackup?: boolean } = {},
) {
  const operations = operationsOnBackup({
    ...{ backup: stateOf(backup), present: present && stateOf(present), config, now: new Date(0) },
    ...{ others: [], keysFromBackup: false, ...over },
  })
  const byKey = new Map(operations.map(operation => [operation.key, operation]))
  assert.equal(byKey.size, operations.length, 'each key once')
  return byKey
}

const writtenBy = (operation: Operation | undefined): Buffer => {
  assert.ok(operation?.type === 'put')
  return operation.value
}

test('the servers are those of the present, not those of the backup', () => {
  const backup = {
    [memberKey(10)]: encodeMember(record(10, 'a')),
    [memberKey(77)]: encodeMember(record(77, 'gone')),
    '/mk8s/api-servers/4d': {},
  }
  const others = [record(11, 'b', { stopped: true })]
  const result = changes(backup, null, { others })
  assert.equal(result.get(memberKey(77))?.type, 'delete')
  assert.equal(result.get('/mk8s/api-servers/4d')?.type, 'delete')
  const own = decodeMember({ key: '', value: writtenBy(result.get(memberKey(10))) })
  const other = decodeMember({ key: '', value: writtenBy(result.get(memberKey(11))) })
  assert.deepEqual([own.role, other.role, other.stopped], ['voter', 'standby', undefined])
})

test('tokens are those of the present, so that a used one is not good again', () => {
  const [used, given] = [`${TOKENS_PREFIX}used`, `${TOKENS_PREFIX}given`]
  const result = changes({ [used]: { a: 1 } }, { [given]: { a: 2 } })
  assert.equal(result.get(used)?.type, 'delete')
  assert.deepEqual(decode(writtenBy(result.get(given))), { a: 2 })
})

test('the replacement of an authority is told by whoever has the authorities', () => {
  const values = { [ROTATION_KEY]: { of: 'backup' } }
  assert.equal(changes(values, null, { keysFromBackup: true }).get(ROTATION_KEY), undefined)
  assert.equal(changes(values, null).get(ROTATION_KEY)?.type, 'delete')
  const kept = changes(values, { [ROTATION_KEY]: { of: 'present' } }).get(ROTATION_KEY)
  assert.deepEqual(decode(writtenBy(kept)), { of: 'present' })
})

test('machines that are here keep their addresses; a Node whose machine is not here must not have them', () => {
  const backup = {
    [nodeKey('a')]: node('10.1.0.0/24', { unschedulable: true }, { earlier: 1 }),
    [nodeKey('gone')]: node('10.1.5.0/24'),
    [nodeKey('far')]: node('10.1.9.0/24', {}, { conditions: [{ type: 'Ready', status: 'True' }] }),
  }
  const present = {
    [nodeKey('a')]: node('10.1.4.0/24', {}, { now: 1 }),
    [nodeKey('new')]: node('10.1.5.0/24'),
  }
  const result = changes(backup, present)
  const after = (name: string) => decode(writtenBy(result.get(nodeKey(name))))
  assert.deepEqual(after('a')?.['spec'], {
    unschedulable: true,
    podCIDR: '10.1.4.0/24',
    podCIDRs: ['10.1.4.0/24'],
  })
  assert.deepEqual(after('a')?.['status'], { now: 1 })
  assert.deepEqual(after('gone')?.['spec'], {})
  assert.deepEqual(after('new'), present[nodeKey('new')])
  const { spec, status } = after('far') ?? {}
  const { conditions } = status as { conditions: { status: string }[] }
  assert.deepEqual([spec, conditions[0]?.status], [backup[nodeKey('far')]?.spec, 'Unknown'])
})

test('what a restore would do is told per resource', () => {
  const at = (name: string) => `/registry/core/configmaps/default/${name}`
  const backup = stateOf({ [at('a')]: { v: 1 }, [at('b')]: { v: 1 }, [at('c')]: { v: 1 }, '/mk8s/x': {} })
  const present = stateOf({
    [at('b')]: { v: 1 },
    [at('c')]: { v: 2 },
    [at('d')]: {},
    '/registry/apps/deployments/x/y': {},
  })
  assert.deepEqual(differencesOf(backup, present), [
    { resource: 'configmaps', added: 1, changed: 1, removed: 1 },
    { resource: 'deployments.apps', added: 0, changed: 0, removed: 1 },
  ])
  assert.deepEqual(differencesOf(backup, null), [
    { resource: 'configmaps', added: 3, changed: 0, removed: 0 },
  ])
})

test('schedules of backups go on, without what was under way or asked for when the backup was made', () => {
  const schedule = { spec: { cron: '@daily' } }
  const state = {
    handledMs: 1_000,
    running: { file: 'itself' },
    retry: { failures: 1 },
    lastSuccess: null,
    runs: [{ file: 'a' }],
  }
  const backup = stateOf({
    '/mk8s/backup-schedules/nightly': schedule,
    '/mk8s/backup-states/nightly': state,
    '/mk8s/backup-requests/nightly': { id: 'x' },
  })
  const now = new Date(5_000)
  const operations = operationsOnBackup({
    backup,
    present: null,
    config,
    others: [],
    keysFromBackup: true,
    now,
  })
  assert.deepEqual(schedulesIn(backup), ['nightly'])
  const of = (key: string) => operations.find(operation => operation.key === key)
  assert.equal(of('/mk8s/backup-schedules/nightly'), undefined)
  assert.equal(of('/mk8s/backup-requests/nightly')?.type, 'delete')
  const put = of('/mk8s/backup-states/nightly')
  assert.ok(put?.type === 'put')
  assert.deepEqual(decode(put.value), { ...state, handledMs: 5_000, running: null, retry: null })
})
