/** Keeps the status of disruption budgets, and takes back disruption targets that nobody acted on. */
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isConflict, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { POD_DISRUPTION_BUDGETS, PODS } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { formatLabelSelector, requirementsOf, selects } from '../../../kube/labels.ts'
import type { OwnerReference } from '../../../kube/object.ts'
import { observedGeneration } from '../../../kube/observed-generation.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Pod, PodDisruptionBudget, PodDisruptionBudgetStatus } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import { needsScales, planBudget, planFailure, staleTargetMs } from './plan.ts'
import { PodScales, ScaleProblem } from './pod-scales.ts'

const SERVICE_ACCOUNT = 'disruption-controller'
const COMPONENT = 'controllermanager'
const NAMESPACE_INDEX = 'namespace'

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly budgets: Informer<PodDisruptionBudget>
  readonly pods: Informer<Pod>
  readonly scales: PodScales
}

export function createDisruptionController(context: ControllerContext): Controller {
  const budgets = context.informers.informer<PodDisruptionBudget>(POD_DISRUPTION_BUDGETS)
  const pods = context.informers.informer<Pod>(PODS)
  budgets.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  pods.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: COMPONENT, serviceAccount: SERVICE_ACCOUNT })
  const parts: Parts = { context, client, events, budgets, pods, scales: new PodScales(context, client) }
  const counting = keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(budgets, budget => [keyOf(budget)]), keysFrom(pods, pod => budgetsOf(parts, pod))],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
  const stale = keyedController({
    name: `${SERVICE_ACCOUNT}-stale-targets`,
    context,
    sources: [keysFrom(pods, pod => (staleTargetMs(pod, 0) === undefined ? [] : [keyOf(pod)]))],
    reconcile: key => takeBack(parts, key),
  })
  return {
    name: SERVICE_ACCOUNT,
    start() {
      counting.start()
      stale.start()
    },
    async stop() {
      await Promise.all([counting.stop(), stale.stop()])
    },
  }
}

function budgetsOf({ budgets, events }: Parts, pod: Pod): string[] {
  const { namespace = '', name } = pod.metadata
  const found = budgets
    .byIndex(NAMESPACE_INDEX, namespace)
    .filter(budget => selects(budget.spec?.selector, pod.metadata.labels))
  const [first] = found
  if (first !== undefined && found.length > 1) {
    const text = `Pod "${namespace}"/"${name}" matches multiple PodDisruptionBudgets.  Chose "${first.metadata.name}" arbitrarily.`
    events.record(pod, 'Warning', 'MultiplePodDisruptionBudgets', text)
  }
  return found.map(keyOf)
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const budget = parts.budgets.get(key)
  if (budget === undefined) return undefined
  try {
    return await count(parts, budget, signal)
  } catch (error) {
    if (!(error instanceof ScaleProblem)) throw error
    const status = planFailure(budget, error.message, parts.context.clock.now())
    await writeStatus(parts, budget, status, signal)
    // What the API server could not answer now is asked again; the rest waits for the pods to change.
    if (error.cause !== undefined) throw error
    return undefined
  }
}

async function count(
  parts: Parts,
  budget: PodDisruptionBudget,
  signal: AbortSignal,
): Promise<number | undefined> {
  const pods = parts.pods
    .byIndex(NAMESPACE_INDEX, budget.metadata.namespace ?? '')
    .filter(pod => selects(budget.spec?.selector, pod.metadata.labels))
  if (pods.length === 0) parts.events.record(budget, 'Normal', 'NoPods', 'No matching pods found')
  const scales = needsScales(budget) ? await scalesOf(parts, budget, pods) : new Map<string, number>()
  const plan = planBudget(budget, { pods, scales, nowMs: parts.context.clock.now() })
  if (plan.unmanaged.length > 0)
    parts.events.record(budget, 'Warning', 'UnmanagedPods', unmanagedText(budget))
  for (const pod of plan.notDeleted) {
    const text = `Pod was expected by PDB ${keyOf(budget)} to be deleted but it wasn't`
    parts.events.record(pod, 'Warning', 'NotDeleted', text)
  }
  await writeStatus(parts, budget, plan.status, signal)
  return plan.againMs
}

function unmanagedText({ spec }: PodDisruptionBudget): string {
  const selector = formatLabelSelector(requirementsOf(spec?.selector) ?? [])
  return (
    `Pods selected by this PodDisruptionBudget (selector: ${selector}) were found to be unmanaged. ` +
    'As a result, the status of the PDB cannot be calculated correctly, which may result in undefined ' +
    'behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
  )
}

/** What the pods' controllers want, by uid of who decides. */
async function scalesOf(
  parts: Parts,
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
): Promise<Map<string, number>> {
  const scales = new Map<string, number>()
  const asked = new Set<string>()
  for (const pod of pods) {
    const owner: OwnerReference | undefined = controllerOf(pod)
    if (owner === undefined || asked.has(owner.uid)) continue
    asked.add(owner.uid)
    try {
      const found = await parts.scales.find(owner, pod.metadata.namespace ?? '')
      if (found === undefined) throw new ScaleProblem(`found no controllers for pod "${pod.metadata.name}"`)
      scales.set(found.uid, found.replicas)
    } catch (error) {
      if (error instanceof ScaleProblem) {
        const text = `Failed to calculate the number of expected pods: ${error.message}`
        parts.events.record(budget, 'Warning', 'CalculateExpectedPodCountFailed', text)
      }
      throw error
    }
  }
  return scales
}

async function writeStatus(
  parts: Parts,
  budget: PodDisruptionBudget,
  status: PodDisruptionBudgetStatus,
  signal: AbortSignal,
): Promise<void> {
  if (semanticEqual(status, budget.status)) return
  const next = { ...budget, status }
  const updated = await parts.client.update(POD_DISRUPTION_BUDGETS, next, { subresource: 'status' })
  await parts.budgets.caughtUp(updated.metadata.resourceVersion, signal)
}

async function takeBack(parts: Parts, key: string): Promise<number | undefined> {
  const pod = parts.pods.get(key)
  const leftMs = pod === undefined ? undefined : staleTargetMs(pod, parts.context.clock.now())
  if (pod === undefined || leftMs === undefined || leftMs > 0) return leftMs
  const { namespace, name = '', uid } = pod.metadata
  const condition = {
    type: 'DisruptionTarget',
    ...observedGeneration(pod),
    status: 'False',
    reason: '',
    message: '',
    lastTransitionTime: formatTime(parts.context.clock.now()),
  }
  const patch = { metadata: { uid }, status: { conditions: [condition] } }
  try {
    await parts.client.patch(PODS, { namespace, name, subresource: 'status', type: 'strategic', patch })
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
  return undefined
}
