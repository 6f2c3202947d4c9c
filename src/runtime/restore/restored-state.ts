/** In what a restored state differs from the backup: who its servers are, and what only the present cluster knows. Pure. */
import type { NodeConfig } from '../../config/node-config.ts'
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import { PRESENCE_PREFIX } from '../apiserver/bootstrap/server-presence.ts'
import {
  REQUESTS_PREFIX,
  restoredState,
  SCHEDULES_PREFIX,
  STATES_PREFIX,
} from '../backup/schedule/schedule-record.ts'
import { decode, prefixOf } from '../backup/state-contents.ts'
import { TOKENS_PREFIX } from '../join/tokens.ts'
import { encodeMember, MEMBERS_PREFIX, type MemberRecord, memberKey } from '../members/member-record.ts'
import { removedNodeKey } from '../members/removed-nodes.ts'
import { ownRecord } from '../recovery/generation.ts'
import { KEY_ROTATIONS_PREFIX } from '../rotation/key-rings.ts'
import { ROTATION_KEY } from '../rotation/rotation-record.ts'
import { type KeyValue, type Operation, prefixEnd } from '../store/store.ts'

export interface StateReader {
  get(key: string): KeyValue | null
  /** All keys of [start, end) in order. */
  range(start: string, end: string): Iterable<KeyValue>
}

export interface RestoredStateParts {
  readonly backup: StateReader
  /** Null: there is none, or none that can be read. */
  readonly present: StateReader | null
  readonly config: NodeConfig
  /** The other servers that come along. */
  readonly others: readonly MemberRecord[]
  /** The authorities come from the backup, and with them what it says of their replacement. */
  readonly keysFromBackup: boolean
  readonly now: Date
}

/** What the present cluster knows better: what is in the backup under these keys goes. */
const OF_THE_PRESENT = [TOKENS_PREFIX, removedNodeKey('')]
const NODES_PREFIX = prefixOf({ group: '', resource: 'nodes' })
const FORMAT_PLAIN = 1

export function operationsOnBackup(parts: RestoredStateParts): readonly Operation[] {
  const { backup, present, keysFromBackup, now } = parts
  const changes = new Map<string, Operation>()
  const put = (key: string, value: Buffer) => changes.set(key, { type: 'put', key, value })
  const ofPresent = [...OF_THE_PRESENT, ...(keysFromBackup ? [] : [ROTATION_KEY, KEY_ROTATIONS_PREFIX])]
  for (const prefix of [...ofPresent, MEMBERS_PREFIX, PRESENCE_PREFIX, REQUESTS_PREFIX]) {
    for (const { key } of under(backup, prefix)) changes.set(key, { type: 'delete', key })
  }
  for (const prefix of present === null ? [] : ofPresent) {
    for (const { key, value } of under(present, prefix)) put(key, value)
  }
  for (const kv of under(backup, STATES_PREFIX)) put(kv.key, restoredState(kv, now.getTime()))
  for (const record of membersOf(parts)) put(memberKey(record.id), encodeMember(record))
  for (const { key, value } of nodesOf(parts)) put(key, value)
  return [...changes.values()]
}

/** Names of the schedules of backups that go on in the restored cluster. */
export const schedulesIn = (backup: StateReader): readonly string[] =>
  [...under(backup, SCHEDULES_PREFIX)].map(({ key }) => key.slice(SCHEDULES_PREFIX.length))

const under = (state: StateReader | null, prefix: string): Iterable<KeyValue> =>
  state?.range(prefix, prefixEnd(prefix)) ?? []

/** The server that restores votes; the others come in as those that replicate, and get their roles as ever. */
function membersOf({ config, others, now }: RestoredStateParts): readonly MemberRecord[] {
  const rest = others.map(
    ({ stopped: _, ...record }) => ({ ...record, role: 'standby', leaving: false }) as const,
  )
  return [ownRecord(config, now, undefined), ...rest]
}

type Written = Pick<KeyValue, 'key' | 'value'>

/**
 * Machines that are in the cluster now stay so, with the pod addresses that they use; of a Node that both know, the
 * backup has the rest. A Node of the backup whose machine is not here stays, not Ready and
 * without addresses that others use.
 */
function nodesOf({ backup, present }: RestoredStateParts): readonly Written[] {
  const here = new Map([...under(present, NODES_PREFIX)].map(kv => [kv.key, kv]))
  const used = new Set([...here.values()].flatMap(kv => rangeOf(decode(kv.value)) ?? []))
  const saved = [...under(backup, NODES_PREFIX)]
  const changed = saved.flatMap(({ key, value }): Written[] => {
    const object = decode(value)
    if (object === null) return []
    const now = decode(here.get(key)?.value ?? Buffer.of())
    if (now !== null) return [{ key, value: encode(withMachine(object, now)) }]
    const free = used.has(rangeOf(object) ?? '') ? withoutRange(object) : object
    return [{ key, value: encode(notReady(free)) }]
  })
  const known = new Set(saved.map(({ key }) => key))
  return [...changed, ...[...here.values()].filter(({ key }) => !known.has(key))]
}

const specOf = (node: JsonMap | null): JsonMap => (isMap(node?.['spec']) ? node['spec'] : {})

function rangeOf(node: JsonMap | null): string | undefined {
  const range = specOf(node)['podCIDR']
  return typeof range === 'string' ? range : undefined
}

function withoutRange(node: JsonMap): JsonMap {
  const { podCIDR: _, podCIDRs: __, ...spec } = specOf(node)
  return { ...node, spec }
}

/** Until the machine itself says otherwise, if it is there. */
function notReady(node: JsonMap): JsonMap {
  const status = isMap(node['status']) ? node['status'] : {}
  const conditions = Array.isArray(status['conditions']) ? status['conditions'] : []
  const reason = { reason: 'NodeStatusUnknown', message: 'The cluster was restored from a backup.' }
  const unknown = conditions.map((condition: JsonMap) =>
    condition['type'] === 'Ready' ? { ...condition, status: 'Unknown', ...reason } : condition,
  )
  return { ...node, status: { ...status, conditions: unknown } }
}

function withMachine(saved: JsonMap, now: JsonMap): JsonMap {
  const { podCIDR, podCIDRs } = specOf(now)
  const spec = { ...specOf(withoutRange(saved)), ...(podCIDR !== undefined && { podCIDR, podCIDRs }) }
  return { ...saved, spec, status: now['status'] ?? saved['status'] }
}

const encode = (object: JsonMap): Buffer =>
  Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(object))])
