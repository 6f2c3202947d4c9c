/**
 * ResourceQuotas: what a write adds to or takes from its namespace's quotas goes into the write's own transaction,
 * so that writers that race cannot exceed a quota together, and a write that fails has used nothing.
 */
import type { KubeObject } from '../../../kube/object.ts'
import { compareQuantities, formatQuantity, parseQuantity, type Quantity } from '../../../kube/quantity.ts'
import { missingAmounts, usageIn } from '../../../kube/quota-scopes.ts'
import { forbidden } from '../../../kube/status.ts'
import type { Pod, ResourceQuota } from '../../../kube/types.ts'
import { type Compare, type KeyValue, type Operation, prefixEnd } from '../../store/store.ts'
import type { ApiContext } from '../context.ts'
import { decodeValue, encodeValue } from '../storage/encoding.ts'
import { collectionPrefix, type ServedResource } from '../storage/served-resource.ts'
import { limitProblem } from './limited-resources.ts'

export interface QuotaChange {
  readonly resource: ServedResource
  readonly key: string
  readonly previous: KubeObject | null
  readonly object: KubeObject | null
}

export interface QuotaPlan {
  readonly compares: readonly Compare[]
  readonly operations: readonly Operation[]
}

const nothing: QuotaPlan = { compares: [], operations: [] }

/** Throws 403 when a quota has to be there that is not. */
export function checkLimits(context: ApiContext, change: QuotaChange): void {
  const { limitedResources = [], countsQuotas } = context
  const { resource, object, previous } = change
  if (countsQuotas === false || limitedResources.length === 0 || object === null || previous !== null) return
  const served = context.resources.stored('', 'resourcequotas')
  if (served === undefined || !resource.info.namespaced) return
  const quotas = quotaEntries(context, object.metadata.namespace ?? '').map(
    kv => decodeValue(served, kv) as unknown as ResourceQuota,
  )
  const problem = limitProblem(limitedResources, quotas, resource.info.storage, object)
  if (problem !== null) throw refusal(change, problem)
}

/** The namespace whose quotas count the object; empty when none does. */
export function quotaNamespace(context: ApiContext, change: QuotaChange): string {
  if (context.countsQuotas === false) return ''
  if (!change.resource.info.namespaced || change.resource.info.resource === 'events') return ''
  const namespace = (change.object ?? change.previous)?.metadata.namespace ?? ''
  return quotaEntries(context, namespace).length === 0 ? '' : namespace
}

/** What to add to the object's transaction. Throws 403 when a quota would be exceeded. */
export function planQuotas(context: ApiContext, namespace: string, change: QuotaChange): QuotaPlan {
  if (namespace === '') return nothing
  const served = context.resources.stored('', 'resourcequotas')
  if (served === undefined) return nothing
  const compares: Compare[] = []
  const operations: Operation[] = []
  for (const kv of quotaEntries(context, namespace)) {
    if (kv.key === change.key) continue
    const quota = decodeValue(served, kv) as unknown as ResourceQuota
    const used = charge(quota, change)
    if (used === null) continue
    const next = { ...quota, status: { ...quota.status, used } } as unknown as KubeObject
    compares.push({ key: kv.key, target: 'mod-revision', equals: kv.modRevision })
    operations.push({ type: 'put', key: kv.key, value: encodeValue(served, next) })
  }
  return { compares, operations }
}

function quotaEntries(context: ApiContext, namespace: string): readonly KeyValue[] {
  const served = context.resources.stored('', 'resourcequotas')
  if (served === undefined || namespace === '') return []
  const start = collectionPrefix(served, namespace)
  return context.store.range({ start, end: prefixEnd(start) }).entries
}

const ZERO = parseQuantity('0')

/** The quota's new `status.used`; null when the change does not touch it. */
function charge(quota: ResourceQuota, change: QuotaChange): Record<string, string> | null {
  const { group, resource } = change.resource.info.storage
  const counted = { group, resource }
  const before = usageIn(quota, counted, change.previous)
  const after = usageIn(quota, counted, change.object)
  const hard = quota.status?.hard ?? {}
  const used = { ...quota.status?.used }
  const names = Object.keys(hard).filter(name => before.has(name) || after.has(name))
  if (change.previous === null && after.size > 0) checkSaid(quota, change)
  const raised = new Map<string, Quantity>()
  let touched = false
  for (const name of names) {
    const step = (after.get(name)?.nano ?? 0n) - (before.get(name)?.nano ?? 0n)
    if (step === 0n) continue
    touched = true
    const { format } = after.get(name) ?? before.get(name) ?? ZERO
    if (step > 0n) raised.set(name, { nano: step, format })
    if (used[name] !== undefined) used[name] = moved(used[name], step, format)
  }
  checkRoom(quota, change, raised)
  return touched ? used : null
}

function moved(used: string, step: bigint, format: Quantity['format']): string {
  const before = parseQuantity(used)
  const nano = before.nano + step
  return formatQuantity({
    nano: nano < 0n ? 0n : nano,
    format: before.nano === 0n ? format : before.format,
  })
}

/** Where CPU or memory is bounded, every container of a new pod has to say how much it wants. */
function checkSaid(quota: ResourceQuota, change: QuotaChange): void {
  const { info } = change.resource
  if (info.group !== '' || info.resource !== 'pods') return
  const missing = missingAmounts(Object.keys(quota.status?.hard ?? {}), change.object as unknown as Pod)
  if (missing !== null) throw refusal(change, `failed quota: ${quota.metadata.name}: ${missing}`)
}

function checkRoom(quota: ResourceQuota, change: QuotaChange, raised: ReadonlyMap<string, Quantity>): void {
  const { hard = {}, used = {} } = quota.status ?? {}
  const { name: quotaName } = quota.metadata
  const names = [...raised.keys()].sort()
  const unknown = names.filter(name => used[name] === undefined)
  if (unknown.length > 0) {
    throw refusal(change, `status unknown for quota: ${quotaName}, resources: ${unknown.join(',')}`)
  }
  const exceeded = names.filter(name => {
    const sum = parseQuantity(used[name] ?? '0').nano + (raised.get(name) ?? ZERO).nano
    return compareQuantities({ nano: sum, format: 'DecimalSI' }, parseQuantity(hard[name] ?? '0')) > 0
  })
  if (exceeded.length === 0) return
  const list = (textOf: (name: string) => string) => exceeded.map(name => `${name}=${textOf(name)}`).join(',')
  const requested = list(name => formatQuantity(raised.get(name) ?? ZERO))
  const taken = list(name => used[name] ?? '0')
  const limited = list(name => hard[name] ?? '0')
  throw refusal(
    change,
    `exceeded quota: ${quotaName}, requested: ${requested}, used: ${taken}, limited: ${limited}`,
  )
}

const refusal = ({ resource, object, previous }: QuotaChange, why: string) =>
  forbidden(resource.info, (object ?? previous)?.metadata.name ?? '', why)
