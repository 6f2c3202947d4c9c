/** pods/eviction: a deletion that asks the pod's disruption budget first. */
import type { KubeResponse } from '../../../client/transport.ts'
import { selects } from '../../../kube/labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { internalError, notFound, tooManyRequests } from '../../../kube/status.ts'
import { formatTime } from '../../../kube/time.ts'
import type { LabelSelector } from '../../../kube/types.ts'
import { admitBody } from './admit-body.ts'
import { callerOf, placeInNamespace } from './create.ts'
import { decodeBody, internalResource } from './decode-body.ts'
import { deleteObject } from './delete-object.ts'
import { parseDeleteOptions } from './delete-options.ts'
import { valueResponse } from './respond.ts'
import { negotiated, type RequestScope } from './scope.ts'
import { updateObject } from './update-object.ts'
import { parseWriteOptions } from './write-options.ts'

const BUDGET_GROUP = 'policy'
const BUDGET_RESOURCE = 'poddisruptionbudgets'
const RETRY_AFTER_SECONDS = 10

interface BudgetStatus {
  disruptionsAllowed?: number
  disruptedPods?: Record<string, string>
  observedGeneration?: number
}

export async function evict(scope: RequestScope): Promise<KubeResponse> {
  const { encoding } = negotiated(scope)
  const { context, info } = scope
  const writeOptions = parseWriteOptions(scope.query, 'CreateOptions')
  const eviction = decodeBody(scope, { fieldValidation: writeOptions.fieldValidation })
  placeInNamespace(scope, eviction)
  const deleteOptions = (eviction['deleteOptions'] ?? null) as KubeObject | null
  const options = parseDeleteOptions(new URLSearchParams(), deleteOptions)
  const dryRun = writeOptions.dryRun || options.dryRun
  const pod = context.objects.get('', 'pods', info.namespace, info.name)
  if (pod === null) throw notFound(scope.resource.info, info.name)
  await admitBody(scope, eviction, dryRun)
  if (mustAsk(pod)) await askBudget(scope, pod, dryRun)
  await deleteObject(context, {
    resource: internalResource(scope),
    namespace: info.namespace,
    name: info.name,
    options,
    caller: callerOf(scope, dryRun),
    isAdmitted: true,
  })
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }
  return valueResponse(201, status, encoding)
}

/** Pods that do not run, or that are on their way out, disturb nobody. */
function mustAsk(pod: KubeObject): boolean {
  const { phase } = (pod['status'] ?? {}) as { phase?: string }
  return (
    pod.metadata.deletionTimestamp === undefined && !['Succeeded', 'Failed', 'Pending'].includes(phase ?? '')
  )
}

async function askBudget(scope: RequestScope, pod: KubeObject, dryRun: boolean): Promise<void> {
  const { context, info } = scope
  const budgets = context.objects
    .list(BUDGET_GROUP, BUDGET_RESOURCE, info.namespace)
    .filter(one => selects((one['spec'] as { selector?: LabelSelector }).selector, pod.metadata.labels))
  const [budget] = budgets
  if (budget === undefined) return
  if (budgets.length > 1) {
    throw internalError(
      new Error(
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
      ),
    )
  }
  const resource = context.resources.stored(BUDGET_GROUP, BUDGET_RESOURCE)
  if (resource === undefined) return
  await updateObject(context, {
    resource,
    namespace: info.namespace,
    name: budget.metadata.name ?? '',
    subresource: 'status',
    caller: callerOf(scope, dryRun),
    change: current => withDisruption(current, info.name, formatTime(context.clock.now())),
  })
}

/** Takes one allowed disruption; throws 429 when none is left. */
function withDisruption(budget: KubeObject, podName: string, now: string): KubeObject {
  const status = (budget['status'] ?? {}) as BudgetStatus
  const allowed = status.disruptionsAllowed ?? 0
  const isStale = (status.observedGeneration ?? 0) < (budget.metadata.generation ?? 0)
  if (isStale || allowed <= 0) {
    throw tooManyRequests(
      "Cannot evict pod as it would violate the pod's disruption budget.",
      RETRY_AFTER_SECONDS,
    )
  }
  return {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: allowed - 1,
      disruptedPods: { ...status.disruptedPods, [podName]: now },
    },
  }
}
