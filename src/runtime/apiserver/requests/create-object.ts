/** Creates an object: admission, system fields, preparation, validation, claims, and one transaction. */
import { cloneJson } from '../../../kube/clone.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { alreadyExists, badRequest, conflict, generateNameConflict, invalid } from '../../../kube/status.ts'
import { formatTime } from '../../../kube/time.ts'
import type { ApiContext } from '../context.ts'
import { objectKey, type ServedResource } from '../storage/served-resource.ts'
import { admitMutating, admitValidating } from './admit.ts'
import { type Caller, commit, type Written } from './commit.ts'
import { fellBehind } from './fell-behind.ts'
import { type FieldTracker, setManagers } from './field-tracking.ts'
import { settled } from './settled.ts'
import { validateNew, warnOf } from './validate.ts'

/** As upstream: so many names are tried for a generateName. */
const GENERATED_NAMES_MAX = 8
/** A claim lost to somebody else is chosen again so often. */
const CLAIM_TRIES_MAX = 20
const GENERATED_BASE_LENGTH_MAX = 58
const SUFFIX_LENGTH = 5
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'

export const OTHER_NAMESPACE =
  'the namespace of the provided object does not match the namespace sent on the request'

export interface CreateRequest {
  /** The stored form of the resource; `object` is in its version, decoded and with defaults. */
  readonly resource: ServedResource
  readonly object: KubeObject
  readonly caller: Caller
  readonly tracker: FieldTracker
}

export async function createObject(context: ApiContext, request: CreateRequest): Promise<Written> {
  const { resource, object, caller } = request
  if (object.metadata.resourceVersion) {
    throw badRequest('resourceVersion should not be set on objects to be created')
  }
  const namespace = object.metadata.namespace ?? ''
  const subject = {
    operation: 'CREATE' as const,
    resource,
    subresource: '',
    namespace,
    name: object.metadata.name ?? '',
    caller,
    object,
    oldObject: null,
  }
  const managers = await settled(() => request.tracker.created(object))
  setManagers(object, managers)
  await admitMutating(context, subject)
  stayInNamespace(object, resource, namespace)
  setManagers(object, managers)
  const generate = !object.metadata.name && !!object.metadata.generateName
  for (let attempt = 1; ; attempt++) {
    const candidate = cloneJson(object)
    if (generate) candidate.metadata.name = generatedName(context, object.metadata.generateName ?? '')
    const written = await createOnce(context, request, candidate, subject)
    if (written !== 'exists') return written
    const name = candidate.metadata.name ?? ''
    if (!generate) throw alreadyExists(resource.info, name)
    if (attempt === GENERATED_NAMES_MAX) throw generateNameConflict(resource.info, name)
  }
}

/** Who may change an object on its way must not put it where nobody has asked whether it may be. */
function stayInNamespace({ metadata }: KubeObject, { info }: ServedResource, namespace: string): void {
  if (!info.namespaced) return
  if (metadata.namespace !== undefined && metadata.namespace !== namespace) throw badRequest(OTHER_NAMESPACE)
  metadata.namespace = namespace
}

async function createOnce(
  context: ApiContext,
  request: CreateRequest,
  object: KubeObject,
  subject: Parameters<typeof admitValidating>[1],
): Promise<Written | 'exists'> {
  const { resource, caller } = request
  fillSystemFields(context, object)
  resource.strategy.prepareForCreate?.(object, context.strategyContext(caller.user))
  const errors = validateNew(resource, object, context.settings)
  const name = object.metadata.name ?? ''
  if (errors.length > 0) throw invalid(resource.info, name, errors)
  warnOf(resource, caller, object, null)
  await admitValidating(context, { ...subject, name, object })
  const key = objectKey(resource, object.metadata.namespace ?? '', name)
  for (let attempt = 0; attempt < CLAIM_TRIES_MAX; attempt++) {
    if (await isTaken(context, key, caller)) return 'exists'
    const candidate = resource.strategy.claim === undefined ? object : cloneJson(object)
    const written = await commit(context, { resource, key, previous: null, object: candidate }, caller)
    if (written !== 'lost') return written
  }
  throw conflict(resource.info, name)
}

/** An object that was deleted through another server a moment ago may still be in this one's memory. */
async function isTaken({ store }: ApiContext, key: string, { signal }: Caller): Promise<boolean> {
  if (store.get(key) === null) return false
  await fellBehind(store, signal)
  return store.get(key) !== null
}

function fillSystemFields(context: ApiContext, object: KubeObject): void {
  const { metadata } = object
  metadata.uid = context.random.uuid()
  metadata.creationTimestamp = formatTime(context.clock.now())
  delete metadata.deletionTimestamp
  delete metadata.deletionGracePeriodSeconds
  delete metadata.generation
  delete metadata.selfLink
}

function generatedName(context: ApiContext, base: string): string {
  let name = base.slice(0, GENERATED_BASE_LENGTH_MAX)
  for (let i = 0; i < SUFFIX_LENGTH; i++) {
    name += SUFFIX_ALPHABET[Math.floor(context.random.float() * SUFFIX_ALPHABET.length)]
  }
  return name
}
