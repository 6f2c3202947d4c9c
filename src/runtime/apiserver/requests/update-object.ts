/**
 * Updates an object: read, change, admission, preparation, validation, compare and put; again on a lost race
 * unless the caller insisted on a revision. What takes away the last finalizer of a dying object deletes it.
 */
import { cloneJson } from '../../../kube/clone.ts'
import { equalJson } from '../../../kube/equality.ts'
import { invalid as invalidField } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { conflict, invalid, notFound, preconditionFailed } from '../../../kube/status.ts'
import type { KeyValue } from '../../store/store.ts'
import type { ApiContext } from '../context.ts'
import { objectKey, type ServedResource } from '../storage/served-resource.ts'
import { admitMutating, admitValidating } from './admit.ts'
import { type Caller, commit, readCurrent, type Written } from './commit.ts'
import { type FieldTracker, sameManagers, setManagers } from './field-tracking.ts'
import { settled } from './settled.ts'
import { validateChanged, warnOf } from './validate.ts'

/** Attempts of a request that does not insist on a revision. From the second one on they take turns. */
const TRIES_MAX = 50

export interface UpdateRequest {
  /** The stored form of the resource. */
  readonly resource: ServedResource
  readonly namespace: string
  readonly name: string
  readonly subresource: string
  readonly caller: Caller
  /** Absent: the change is the server's own, and everybody keeps what they own. */
  readonly tracker?: FieldTracker
  /** For callers inside this process, which write over what is there whatever the kind asks of clients. */
  readonly mayOmitRevision?: boolean
  /** Another uid is a change that is not allowed, rather than another object that is meant. */
  readonly isPatch?: true
  /** Admission is asked in another way, of what the client sent (a Binding, a Scale). */
  readonly isAdmitted?: true
  /** The validating half of it, with what will be stored. */
  readonly admitResult?: (next: KubeObject) => Promise<void>
  /** The new object out of a copy of the present one; null leaves it as it is. */
  readonly change: (current: KubeObject) => KubeObject | null | Promise<KubeObject | null>
}

interface Current {
  readonly kv: KeyValue
  readonly object: KubeObject
}

/** Throws 404 when the object is absent, 409 on a conflict that may not be tried again, 422 when invalid. */
export async function updateObject(context: ApiContext, request: UpdateRequest): Promise<Written> {
  const key = objectKey(request.resource, request.namespace, request.name)
  const first = await attemptUpdate(context, request, key, 1)
  if (first !== 'lost') return first
  const endTurn = await context.turns.take(key)
  try {
    for (let attempt = 2; attempt <= TRIES_MAX; attempt++) {
      const written = await attemptUpdate(context, request, key, attempt)
      if (written !== 'lost') return written
    }
    throw conflict(request.resource.info, request.name)
  } finally {
    endTurn()
  }
}

async function attemptUpdate(
  context: ApiContext,
  request: UpdateRequest,
  key: string,
  attempt: number,
): Promise<Written | 'lost'> {
  const current = await freshCurrent(context, request, key, attempt)
  const next = await request.change(cloneJson(current.object))
  if (next === null) return current
  const { uid } = next.metadata
  if (uid && uid !== current.object.metadata.uid && request.isPatch !== true) {
    throw preconditionFailed(request.resource.info, request.name, {
      field: 'UID',
      wanted: uid,
      found: current.object.metadata.uid ?? '',
    })
  }
  const wanted = next.metadata.resourceVersion ?? ''
  const unconditional = wanted === '' || wanted === '0'
  if (!unconditional && wanted !== String(current.kv.modRevision)) {
    if (attempt === 1 && (await behind(context, request, key, wanted))) return 'lost'
    throw conflict(request.resource.info, request.name)
  }
  return updateOnce(context, request, { key, current, next, unconditional })
}

async function freshCurrent(
  context: ApiContext,
  request: UpdateRequest,
  key: string,
  attempt: number,
): Promise<Current> {
  let current = await readCurrent(context, request.resource, key)
  if (current === null && attempt === 1) {
    await context.store.barrier(request.caller.signal)
    current = await readCurrent(context, request.resource, key)
  }
  if (current === null) throw notFound(request.resource.info, request.name)
  return current
}

/** True when only this member had not caught up with the revision that the client saw. */
async function behind(
  context: ApiContext,
  request: UpdateRequest,
  key: string,
  wanted: string,
): Promise<boolean> {
  await context.store.barrier(request.caller.signal)
  return String(context.store.get(key)?.modRevision ?? 0) === wanted
}

interface UpdateStep {
  readonly key: string
  readonly current: Current
  readonly next: KubeObject
  readonly unconditional: boolean
}

async function updateOnce(
  context: ApiContext,
  request: UpdateRequest,
  step: UpdateStep,
): Promise<Written | 'lost'> {
  const { resource, caller, subresource, isAdmitted = false } = request
  const { key, current, next } = step
  const previous = current.object
  const { managedFields } = previous.metadata
  const { tracker } = request
  const managers =
    tracker === undefined ? managedFields : await settled(() => tracker.updated(previous, next))
  setManagers(next, managers)
  const subject = {
    operation: 'UPDATE' as const,
    resource,
    subresource,
    namespace: request.namespace,
    name: request.name,
    caller,
    object: next,
    oldObject: previous,
  }
  if (!isAdmitted) await admitMutating(context, subject)
  keepSystemFields(next, previous)
  const prepared = prepare(context, request, next, previous)
  prepared.metadata = { ...prepared.metadata }
  setManagers(prepared, managers)
  const errors = validateChanged(resource, prepared, previous, { subresource, settings: context.settings })
  if (step.unconditional && resource.strategy.allowUnconditionalUpdate === false && isPlainUpdate(request)) {
    errors.push(invalidField('metadata.resourceVersion', 0, 'must be specified for an update'))
  }
  if (errors.length > 0) throw invalid(resource.info, request.name, errors)
  warnOf(resource, caller, prepared, previous)
  if (!isAdmitted) await admitValidating(context, { ...subject, object: prepared })
  await request.admitResult?.(prepared)
  const object = isFinished(resource, prepared, previous) ? null : prepared
  if (object !== null && isUnchanged(object, previous)) return current
  if (object !== null) return commit(context, { resource, key, previous: current, object }, caller)
  const last = { kv: current.kv, object: { ...prepared, metadata: { ...prepared.metadata } } }
  return commit(context, { resource, key, previous: last, object: null }, caller)
}

const isPlainUpdate = (request: UpdateRequest): boolean =>
  request.subresource === '' && request.mayOmitRevision !== true

/** What the server keeps: identity and deletion are never a client's to change; validation sees differences. */
function keepSystemFields(next: KubeObject, previous: KubeObject): void {
  const { metadata } = next
  const kept = previous.metadata
  metadata.name ??= kept.name ?? ''
  if (kept.namespace !== undefined) metadata.namespace ??= kept.namespace
  if (!metadata.uid && kept.uid !== undefined) metadata.uid = kept.uid
  if (!metadata.creationTimestamp && kept.creationTimestamp !== undefined) {
    metadata.creationTimestamp = kept.creationTimestamp
  }
  restore(metadata, kept, 'deletionTimestamp')
  restore(metadata, kept, 'deletionGracePeriodSeconds')
  restore(metadata, kept, 'generation')
  restore(metadata, kept, 'generateName')
  delete metadata.selfLink
}

function restore<K extends keyof KubeObject['metadata']>(
  next: KubeObject['metadata'],
  kept: KubeObject['metadata'],
  field: K,
): void {
  if (kept[field] === undefined) delete next[field]
  else next[field] = kept[field]
}

function prepare(
  context: ApiContext,
  request: UpdateRequest,
  next: KubeObject,
  previous: KubeObject,
): KubeObject {
  const { resource, subresource } = request
  const { strategy } = resource
  const strategyContext = context.strategyContext(request.caller.user)
  if (subresource === '') {
    strategy.prepareForUpdate?.(next, previous, strategyContext)
    return next
  }
  if (subresource !== 'status') {
    strategy.subresources?.[subresource]?.prepareForUpdate(next, previous, strategyContext)
    return next
  }
  const prepared = statusOnly(next, previous)
  strategy.prepareForStatusUpdate?.(prepared, previous, strategyContext)
  return prepared
}

/** The status subresource changes the status and a client's part of metadata, and nothing else. */
function statusOnly(next: KubeObject, previous: KubeObject): KubeObject {
  const { status: _before, ...kept } = previous
  const object: KubeObject = {
    ...kept,
    apiVersion: previous.apiVersion,
    kind: previous.kind,
    metadata: next.metadata,
  }
  if (next['status'] !== undefined) object['status'] = next['status']
  return object
}

/** A dying object with no finalizer left and no grace to wait for goes with this update. */
function isFinished(resource: ServedResource, next: KubeObject, previous: KubeObject): boolean {
  if (previous.metadata.deletionTimestamp === undefined) return false
  if ((next.metadata.finalizers ?? []).length > 0) return false
  if (resource.strategy.isHeldBack?.(next) === true) return false
  return (previous.metadata.deletionGracePeriodSeconds ?? 0) === 0
}

function isUnchanged(object: KubeObject, previous: KubeObject): boolean {
  const { resourceVersion: _next, managedFields: managers, ...metadata } = object.metadata
  const { resourceVersion: _previous, managedFields: managersBefore, ...before } = previous.metadata
  const isEqual = equalJson({ ...object, metadata }, { ...previous, metadata: before })
  return isEqual && sameManagers(managers, managersBefore)
}
