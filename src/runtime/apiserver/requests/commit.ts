/** The one place where objects are written: compare, put or delete, with the object's claims, in one transaction. */
import { must } from '../../../base/assert.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { invalid } from '../../../kube/status.ts'
import type { KeyValue, Operation, TransactionOptions } from '../../store/store.ts'
import type { ApiContext } from '../context.ts'
import { decodeValue, encodeValue, prepareEntries } from '../storage/encoding.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import type { UserInfo } from '../user.ts'
import { isHeldBack, planAddressObjects, serviceNetworksIn } from './address-objects.ts'
import { planClaims } from './claims.ts'
import { checkLimits, planQuotas, type QuotaPlan, quotaNamespace } from './quotas.ts'

export interface Caller {
  readonly user: UserInfo
  readonly dryRun: boolean
  readonly term: number | undefined
  readonly signal: AbortSignal | undefined
  /** The request behind it; absent when the server itself writes. */
  readonly origin?: RequestOrigin
}

/** What admission tells of the request that a write belongs to. */
export interface RequestOrigin {
  /** In the version that the client asked for. */
  readonly resource: ServedResource
  /** Its objects are deleted together, so that admission is not told their names. */
  readonly isCollection: boolean
  /** The options of the request, as those of this operation. */
  options(operation: string): KubeObject
  warn(text: string): void
  annotate(key: string, value: string): void
  /** For others, so many milliseconds. */
  waited(ms: number): void
}

/** An object as it is stored now, in the storage version; no entry when the write was a dry run. */
export interface Written {
  readonly object: KubeObject
  readonly kv: KeyValue | null
}

export interface Change {
  /** In the storage version's served form. */
  readonly resource: ServedResource
  readonly key: string
  readonly previous: { readonly kv: KeyValue; readonly object: KubeObject } | null
  /** Null deletes. */
  readonly object: KubeObject | null
}

/** `lost`: somebody else changed the object or a quota, or took a claim first. */
export async function commit(context: ApiContext, change: Change, caller: Caller): Promise<Written | 'lost'> {
  const counted = { ...change, previous: change.previous?.object ?? null }
  checkLimits(context, counted)
  const namespace = quotaNamespace(context, counted)
  const plan = () => planQuotas(context, namespace, counted)
  if (namespace === '' || plan().compares.length === 0) {
    return commitCounted(context, change, caller, nothingCounted)
  }
  // Those who change the quotas of a namespace take turns, so that each of them finds them as it read them.
  const endTurn = await context.turns.take(`quotas of ${namespace}`)
  try {
    return await commitCounted(context, change, caller, plan)
  } finally {
    endTurn()
  }
}

const nothingCounted = (): QuotaPlan => ({ compares: [], operations: [] })

async function commitCounted(
  context: ApiContext,
  change: Change,
  caller: Caller,
  planCounted: () => QuotaPlan,
): Promise<Written | 'lost'> {
  const { resource, key, previous, object } = change
  const holder = (object ?? previous?.object)?.metadata ?? {}
  const claims = planClaims(context.store, {
    strategy: resource.strategy,
    key,
    object,
    previous: previous?.object ?? null,
    context: context.strategyContext(caller.user),
    isHeldBack: claim => isHeldBack(context, holder, claim),
    serviceNetworks: () => serviceNetworksIn(context),
  })
  const addresses = planAddressObjects(context, holder, claims)
  const shown = object ?? must(previous, 'what is deleted exists').object
  if (claims.errors.length > 0) throw invalid(resource.info, shown.metadata.name ?? '', claims.errors)
  const quotas = planCounted()
  if (caller.dryRun) return { object: shown, kv: null }
  const options: TransactionOptions = {
    ...(caller.term === undefined ? {} : { term: caller.term }),
    ...(caller.signal === undefined ? {} : { signal: caller.signal }),
  }
  const own = await ownOperation(context, resource, key, object)
  const result = await context.store.transact(
    {
      compares: [
        { key, target: 'mod-revision', equals: previous?.kv.modRevision ?? 0 },
        ...claims.compares,
        ...addresses.compares,
        ...quotas.compares,
      ],
      operations: [own, ...claims.operations, ...addresses.operations, ...quotas.operations],
    },
    options,
  )
  if (!result.succeeded) return 'lost'
  if (object === null) return { object: withRevision(shown, result.revision), kv: null }
  const kv = must(result.put[0], 'a put returns its entry')
  await prepareEntries(resource, [kv])
  return { object: withRevision(shown, kv.modRevision), kv }
}

/** Waits for nothing but, once a minute, a lease for events. */
async function ownOperation(
  context: ApiContext,
  resource: ServedResource,
  key: string,
  object: KubeObject | null,
): Promise<Operation> {
  if (object === null) return { type: 'delete', key }
  const stored = resource.custom === undefined ? object : await resource.custom.codec.toStored(object)
  const value = encodeValue(resource, stored)
  const lease = context.eventLeases.leaseFor(resource, value.length)
  return lease === 0 ? { type: 'put', key, value } : { type: 'put', key, value, lease: await lease }
}

const withRevision = (object: KubeObject, revision: number): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: String(revision) },
})

/** The present object, parsed. */
export async function readCurrent(
  context: ApiContext,
  resource: ServedResource,
  key: string,
): Promise<{ readonly kv: KeyValue; readonly object: KubeObject } | null> {
  const kv = context.store.get(key)
  if (kv === null) return null
  await prepareEntries(resource, [kv])
  return { kv, object: decodeValue(resource, kv) }
}
