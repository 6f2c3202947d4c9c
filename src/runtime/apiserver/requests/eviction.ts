/** pods/eviction: a deletion that asks the pod's disruption budget first. */
import type { KubeResponse } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, conflict, notFound, StatusError, tooManyRequests } from '../../../kube/status.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Pod, PodDisruptionBudget } from '../../../kube/types.ts'
import type { ApiContext } from '../context.ts'
import { admitBody } from './admit-body.ts'
import { callerOf, placeInNamespace } from './create.ts'
import { decodeBody, internalResource } from './decode-body.ts'
import { deleteObject } from './delete-object.ts'
import { type DeleteOptions, parseDeleteOptions } from './delete-options.ts'
import { budgetsOf, ignoresBudgets, isSparedByBudget, withDisruption, withTarget } from './disruption.ts'
import { valueResponse } from './respond.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { updateObject } from './update-object.ts'
import { parseWriteOptions } from './write-options.ts'

const BUDGET_GROUP = 'policy'
const BUDGET_RESOURCE = 'poddisruptionbudgets'
const RETRY_AFTER_SECONDS = 10
/** A pod that changes so often while its eviction is decided is left to another attempt of the client. */
const TRIES_MAX = 20

export async function evict(scope: RequestScope): Promise<KubeResponse> {
  const { encoding } = negotiated(scope)
  const { info } = scope
  const writeOptions = parseWriteOptions(scope.query, 'CreateOptions')
  const eviction = decodeBody(scope, { fieldValidation: writeOptions.fieldValidation })
  placeInNamespace(scope, eviction)
  const { name = '' } = eviction.metadata
  if (name !== info.name) throw badRequest('name in URL does not match name in Eviction object')
  const deleteOptions = (eviction['deleteOptions'] ?? null) as KubeObject | null
  const options = parseDeleteOptions(new URLSearchParams(), deleteOptions)
  const dryRun = writeOptions.dryRun || options.dryRun
  await podOf(scope)
  await admitBody(scope, eviction, dryRun)
  await evictPod(scope, options, dryRun)
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  return valueResponse(201, status, encoding)
}

/** The latest: this server's cache may be behind, and so may what it has of budgets. */
async function podOf({ context, resource, info, signal }: RequestScope): Promise<Pod> {
  await context.store.barrier(signal)
  const pod = context.objects.get('', 'pods', info.namespace, info.name) as Pod | null
  if (pod === null) throw notFound(resource.info, info.name)
  return pod
}

async function evictPod(scope: RequestScope, options: DeleteOptions, dryRun: boolean): Promise<void> {
  const insists = options.preconditions.resourceVersion !== undefined
  for (let tries = 1; ; tries++) {
    const pod = await podOf(scope)
    checkPreconditions(pod, options.preconditions)
    if (!ignoresBudgets(pod)) return evictGuarded(scope, pod, { options, dryRun })
    // A pod that starts may have become one that a budget counts.
    const isPending = pod.status?.phase === 'Pending' && pod.metadata.deletionTimestamp === undefined
    try {
      return await end(scope, isPending && !insists ? unchanged(options, pod) : options, dryRun)
    } catch (error) {
      if (insists || !isConflict(error) || tries >= TRIES_MAX) throw error
    }
  }
}

const isConflict = (error: unknown): boolean => error instanceof StatusError && error.code === 409

const unchanged = (options: DeleteOptions, { metadata }: Pod): DeleteOptions => {
  const { resourceVersion } = metadata
  if (resourceVersion === undefined) return options
  return { ...options, preconditions: { ...options.preconditions, resourceVersion } }
}

interface EvictionOptions {
  readonly options: DeleteOptions
  readonly dryRun: boolean
}

async function evictGuarded(
  scope: RequestScope,
  pod: Pod,
  { options, dryRun }: EvictionOptions,
): Promise<void> {
  const { context, info } = scope
  const budgets = context.objects.list(BUDGET_GROUP, BUDGET_RESOURCE, info.namespace)
  const [budget, ...more] = budgetsOf(pod, budgets as PodDisruptionBudget[])
  if (more.length > 0) throw tooManyBudgets()
  if (budget === undefined) return end(scope, options, dryRun)
  if (!isSparedByBudget(pod, budget)) {
    await takeDisruption(scope, budget.metadata.name ?? '', dryRun)
    return end(scope, options, dryRun)
  }
  try {
    await end(scope, unchanged(options, pod), dryRun)
  } catch (error) {
    if (!isConflict(error) || options.preconditions.resourceVersion !== undefined) throw error
    const message = "Cannot evict pod as it would violate the pod's disruption budget."
    throw tooManyRequests(message, RETRY_AFTER_SECONDS)
  }
}

function tooManyBudgets(): StatusError {
  const message =
    'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.'
  return new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    code: 500,
  })
}

/** Takes one allowed disruption in a compare and put, so that no two evictions take the same; 429 without one. */
async function takeDisruption(scope: RequestScope, name: string, dryRun: boolean): Promise<void> {
  const { context, info } = scope
  const resource = context.resources.stored(BUDGET_GROUP, BUDGET_RESOURCE)
  if (resource === undefined) return
  const now = formatTime(context.clock.now())
  await updateObject(context, {
    resource,
    namespace: info.namespace,
    name,
    subresource: 'status',
    caller: callerOf(scope, dryRun),
    change: current => withDisruption(current as PodDisruptionBudget, info.name, now),
  })
}

/** Says on the pod why it goes, and deletes it. */
async function end(scope: RequestScope, options: DeleteOptions, dryRun: boolean): Promise<void> {
  const { context, info } = scope
  const resourceVersion = dryRun ? undefined : await markTarget(scope, context, options)
  const insists = options.preconditions.resourceVersion !== undefined && resourceVersion !== undefined
  await deleteObject(context, {
    resource: internalResource(scope),
    namespace: info.namespace,
    name: info.name,
    options: insists ? { ...options, preconditions: { ...options.preconditions, resourceVersion } } : options,
    caller: callerOf(scope, dryRun),
    isAdmitted: true,
  })
}

async function markTarget(
  scope: RequestScope,
  context: ApiContext,
  { preconditions }: DeleteOptions,
): Promise<string | undefined> {
  const { info } = scope
  const now = formatTime(context.clock.now())
  const { object } = await updateObject(context, {
    resource: internalResource(scope),
    namespace: info.namespace,
    name: info.name,
    subresource: 'status',
    caller: callerOf(scope, false),
    mayOmitRevision: true,
    isAdmitted: true,
    change(current) {
      checkPreconditions(current, preconditions)
      return withTarget(current as Pod, now)
    },
  })
  return object.metadata.resourceVersion
}

function checkPreconditions(
  { metadata }: KubeObject,
  { uid, resourceVersion }: DeleteOptions['preconditions'],
): void {
  const target = { group: '', resource: 'Pod' }
  const refuse = (what: string, wanted: string, found: string | undefined, why: string) =>
    conflict(
      target,
      metadata.name ?? '',
      `the ${what} in the precondition (${wanted}) does not match the ${what} in record (${found}). ${why}`,
    )
  if (uid && uid !== metadata.uid) {
    throw refuse('UID', uid, metadata.uid, 'The object might have been deleted and then recreated')
  }
  if (resourceVersion && resourceVersion !== metadata.resourceVersion) {
    throw refuse(
      'ResourceVersion',
      resourceVersion,
      metadata.resourceVersion,
      'The object might have been modified',
    )
  }
}
