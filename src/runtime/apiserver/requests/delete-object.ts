/**
 * Deletes an object: preconditions, admission, grace, propagation finalizers. What still has finalizers or grace
 * gets a deletionTimestamp; what has neither is gone in this transaction.
 */
import { cloneJson } from '../../../kube/clone.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { conflict, notFound, preconditionFailed } from '../../../kube/status.ts'
import { formatTime, parseTime } from '../../../kube/time.ts'
import type { KeyValue } from '../../store/store.ts'
import type { ApiContext } from '../context.ts'
import { objectKey, type ServedResource } from '../storage/served-resource.ts'
import { admitMutating, admitValidating } from './admit.ts'
import { type Caller, commit, readCurrent, type Written } from './commit.ts'
import type { DeleteOptions } from './delete-options.ts'
import { fellBehind } from './fell-behind.ts'

/** From the second attempt on writers of the same object take turns. */
const TRIES_MAX = 50
const ORPHAN = 'orphan'
const FOREGROUND = 'foregroundDeletion'

export interface DeleteRequest {
  /** The stored form of the resource. */
  readonly resource: ServedResource
  readonly namespace: string
  readonly name: string
  readonly options: DeleteOptions
  readonly caller: Caller
  /** Admission has been asked in another way (an eviction). */
  readonly isAdmitted?: true
}

export interface Deleted extends Written {
  /** False when the object lives on with a deletionTimestamp. */
  readonly gone: boolean
}

interface Current {
  readonly kv: KeyValue
  readonly object: KubeObject
}

export async function deleteObject(context: ApiContext, request: DeleteRequest): Promise<Deleted> {
  const key = objectKey(request.resource, request.namespace, request.name)
  const first = await attemptDelete(context, request, key, true)
  if (first !== 'lost') return first
  const endTurn = await context.turns.take(key)
  try {
    for (let attempt = 2; attempt <= TRIES_MAX; attempt++) {
      const deleted = await attemptDelete(context, request, key, false)
      if (deleted !== 'lost') return deleted
    }
    throw conflict(request.resource.info, request.name)
  } finally {
    endTurn()
  }
}

async function attemptDelete(
  context: ApiContext,
  request: DeleteRequest,
  key: string,
  isFirst: boolean,
): Promise<Deleted | 'lost'> {
  const { resource, caller } = request
  let current = await readCurrent(context, resource, key)
  if (current === null && isFirst) {
    await context.store.barrier(caller.signal)
    current = await readCurrent(context, resource, key)
  }
  if (current === null) throw notFound(resource.info, request.name)
  try {
    checkPreconditions(request, current.object)
  } catch (error) {
    if (isFirst && (await fellBehind(context.store, caller.signal))) return 'lost'
    throw error
  }
  if (request.isAdmitted !== true) await admit(context, request, current.object)
  return deleteOnce(context, request, key, current)
}

function checkPreconditions(request: DeleteRequest, object: KubeObject): void {
  const { uid, resourceVersion } = request.options.preconditions
  const target = request.resource.info
  const { metadata } = object
  if (uid !== undefined && uid !== metadata.uid) {
    throw preconditionFailed(target, request.name, { field: 'UID', wanted: uid, found: metadata.uid ?? '' })
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw preconditionFailed(target, request.name, {
      field: 'ResourceVersion',
      wanted: resourceVersion,
      found: metadata.resourceVersion ?? '',
    })
  }
}

async function admit(context: ApiContext, request: DeleteRequest, oldObject: KubeObject): Promise<void> {
  const subject = {
    operation: 'DELETE' as const,
    resource: request.resource,
    subresource: '',
    namespace: request.namespace,
    name: request.caller.origin?.isCollection === true ? '' : request.name,
    caller: request.caller,
    object: null,
    oldObject,
  }
  await admitMutating(context, subject)
  await admitValidating(context, subject)
}

async function deleteOnce(
  context: ApiContext,
  request: DeleteRequest,
  key: string,
  current: Current,
): Promise<Deleted | 'lost'> {
  const { resource, caller } = request
  const next = planDeletion(context, request, current.object)
  if (next === 'nothing') return { ...current, gone: false }
  const written = await commit(context, { resource, key, previous: current, object: next }, caller)
  return written === 'lost' ? written : { ...written, gone: next === null }
}

/** What is stored instead of the object: null when it goes, `nothing` when it is dying already. */
function planDeletion(
  context: ApiContext,
  request: DeleteRequest,
  object: KubeObject,
): KubeObject | null | 'nothing' {
  const { resource, options, caller } = request
  const next = cloneJson(object)
  const finalizers = finalizersAfter(options, object.metadata.finalizers ?? [])
  const grace = graceOf(resource, object, options)
  const isHeldBack = resource.strategy.isHeldBack?.(object) === true
  if (finalizers.length === 0 && grace === 0 && !isHeldBack) return null
  if (finalizers.length > 0) next.metadata.finalizers = finalizers
  else delete next.metadata.finalizers
  markDying(next, grace, context.clock.now())
  resource.strategy.prepareForDelete?.(next, context.strategyContext(caller.user))
  return isSameDeath(next, object) ? 'nothing' : next
}

function graceOf(resource: ServedResource, object: KubeObject, options: DeleteOptions): number {
  const grace = resource.strategy.gracePeriodSeconds?.(object, options.gracePeriodSeconds) ?? 0
  const running = object.metadata.deletionGracePeriodSeconds
  // A deletion under way is shortened, never prolonged; without a wish it goes on as it is.
  if (object.metadata.deletionTimestamp === undefined || running === undefined) return Math.max(0, grace)
  return options.gracePeriodSeconds === null ? running : Math.min(running, Math.max(0, grace))
}

function markDying(next: KubeObject, grace: number, nowMs: number): void {
  const { metadata } = next
  const since = parseTime(metadata.deletionTimestamp ?? '')
  if (since === null) {
    metadata.deletionTimestamp = formatTime(nowMs + grace * 1000)
    if (metadata.generation !== undefined) metadata.generation += 1
  } else if (grace < (metadata.deletionGracePeriodSeconds ?? 0)) {
    const started = since - (metadata.deletionGracePeriodSeconds ?? 0) * 1000
    metadata.deletionTimestamp = formatTime(started + grace * 1000)
  }
  metadata.deletionGracePeriodSeconds = grace
}

function isSameDeath(next: KubeObject, object: KubeObject): boolean {
  const a = next.metadata
  const b = object.metadata
  return (
    a.deletionTimestamp === b.deletionTimestamp &&
    a.deletionGracePeriodSeconds === b.deletionGracePeriodSeconds &&
    (a.finalizers ?? []).join('\n') === (b.finalizers ?? []).join('\n')
  )
}

/** Propagation is a finalizer that the garbage collector takes away when it has done its part. */
function finalizersAfter(options: DeleteOptions, present: readonly string[]): string[] {
  const { propagation } = options
  if (propagation === null) return [...present]
  const others = present.filter(one => one !== ORPHAN && one !== FOREGROUND)
  if (propagation === 'Orphan') return [...others, ORPHAN]
  return propagation === 'Foreground' ? [...others, FOREGROUND] : others
}
