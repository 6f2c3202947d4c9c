/**
 * Makes the claims that pods' templates call for, and takes reservations, allocations and claims away that no pod
 * needs any more. Devices are allocated by the scheduler.
 */
import { messageOf } from '../../../base/errors.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import {
  CLAIM_FINALIZER,
  claimNamesOf,
  isPodDone,
  owningPodOf,
  reservedFor,
} from '../../../kube/devices/pod-claims.ts'
import type { Pod, ResourceClaim, ResourceClaimTemplate } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteIfThere } from '../shared/deletion.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { type ConsumerState, claimStatuses, planClaim, planPodClaims, renderPodClaim } from './plan.ts'

const SERVICE_ACCOUNT = 'resource-claim-controller'
const NAME = 'resource_claim'
const OWNER_INDEX = 'owning-pod'
const TEMPLATE_INDEX = 'claim-template'
const POD_KEY = 'pod:'
const CLAIM_KEY = 'claim:'

interface Parts {
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly pods: Informer<Pod>
  readonly claims: Informer<ResourceClaim>
  readonly templates: Informer<ResourceClaimTemplate>
}

export function createResourceClaimController(context: ControllerContext): Controller {
  const parts: Parts = {
    client: context.client(SERVICE_ACCOUNT),
    events: context.events({ component: NAME, serviceAccount: SERVICE_ACCOUNT }),
    pods: context.informers.informer<Pod>(PODS),
    claims: context.informers.informer<ResourceClaim>(RESOURCE_CLAIMS),
    templates: context.informers.informer<ResourceClaimTemplate>(RESOURCE_CLAIM_TEMPLATES),
  }
  const { pods, claims, templates } = parts
  claims.addIndex(OWNER_INDEX, claim => [owningPodOf(claim)?.uid ?? ''])
  pods.addIndex(TEMPLATE_INDEX, ({ metadata, spec }) =>
    (spec?.resourceClaims ?? []).flatMap(({ resourceClaimTemplateName: name }) =>
      name === undefined ? [] : [`${metadata.namespace}/${name}`],
    ),
  )
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(pods, pod => (pod.spec?.resourceClaims?.length ? [`${POD_KEY}${keyOf(pod)}`] : [])),
      keysFrom(pods, pod => claimNamesOf(pod).map(name => `${CLAIM_KEY}${pod.metadata.namespace}/${name}`)),
      keysFrom(claims, claim => [`${CLAIM_KEY}${keyOf(claim)}`, ...podsOfClaim(claim)]),
      keysFrom(templates, template =>
        pods.byIndex(TEMPLATE_INDEX, keyOf(template)).map(pod => `${POD_KEY}${keyOf(pod)}`),
      ),
    ],
    async reconcile(key, signal) {
      if (key.startsWith(POD_KEY)) await syncPod(parts, key.slice(POD_KEY.length), signal)
      else await syncClaim(parts, key.slice(CLAIM_KEY.length), signal)
      return undefined
    },
  })
}

/** Whoever a claim was made for looks whether it is still there. */
function podsOfClaim(claim: ResourceClaim): string[] {
  const owner = owningPodOf(claim)
  return owner === null ? [] : [`${POD_KEY}${claim.metadata.namespace}/${owner.name}`]
}

async function syncPod(parts: Parts, key: string, signal: AbortSignal): Promise<void> {
  const { pods, claims, client, events } = parts
  const pod = pods.get(key)
  if (pod === undefined) return
  const { namespace = '', name = '', uid = '' } = pod.metadata
  const owned = claims.byIndex(OWNER_INDEX, uid)
  const plan = planPodClaims(pod, owned, each => claims.get(`${namespace}/${each}`))
  const found = new Map(plan.found)
  for (const { podClaim, template } of plan.create) {
    try {
      found.set(podClaim, await makeClaim(parts, pod, { podClaim, template }, signal))
    } catch (error) {
      if (isNamespaceTerminating(error)) return
      const message = `PodResourceClaim ${podClaim}: ${messageOf(error)}`
      events.record(pod, 'Warning', 'FailedResourceClaimCreation', message)
      throw error
    }
  }
  if (found.size > 0) {
    const patch = { metadata: { uid }, status: { resourceClaimStatuses: claimStatuses(pod, found) } }
    const target = { namespace, name, subresource: 'status', type: 'strategic', patch } as const
    const written = await unlessGone(() => client.patch<Pod>(PODS, target))
    await pods.caughtUp(written?.metadata.resourceVersion, signal)
  }
  for (const claim of plan.reserve) await writeStatus(parts, reservedFor(claim, pod), signal)
}

async function makeClaim(
  { templates, claims, client }: Parts,
  pod: Pod,
  { podClaim, template: name }: { readonly podClaim: string; readonly template: string },
  signal: AbortSignal,
): Promise<string> {
  const template = templates.get(`${pod.metadata.namespace}/${name}`)
  if (template === undefined) {
    const why = `resourceclaimtemplate.resource.k8s.io "${name}" not found`
    throw new Error(`resource claim template ${JSON.stringify(name)}: ${why}`)
  }
  const made = await client
    .create<ResourceClaim>(RESOURCE_CLAIMS, renderPodClaim(pod, podClaim, template))
    .catch(error => {
      if (isNamespaceTerminating(error)) throw error
      throw new Error(`create ResourceClaim : ${messageOf(error)}`, { cause: error })
    })
  await claims.caughtUp(made.metadata.resourceVersion, signal)
  return made.metadata.name ?? ''
}

async function syncClaim(parts: Parts, key: string, signal: AbortSignal): Promise<void> {
  const { claims, pods, client } = parts
  const claim = claims.get(key)
  if (claim === undefined) return
  const { namespace = '' } = claim.metadata
  const asked = new Map<string, Pod | null>()
  const stateOf = (name: string, uid: string): ConsumerState => {
    const pod = pods.get(`${namespace}/${name}`) ?? asked.get(name)
    if (pod === undefined) return 'unknown'
    return pod === null || pod.metadata.uid !== uid || isPodDone(pod) ? 'done' : 'runs'
  }
  const owner = pods.get(`${namespace}/${owningPodOf(claim)?.name ?? ''}`)
  const first = planClaim(claim, stateOf, owner)
  // The cache may not know the pod yet, and its devices must not be given away.
  for (const name of first.ask)
    asked.set(name, (await unlessGone(() => client.get<Pod>(PODS, { namespace, name }))) ?? null)
  const plan = first.ask.length === 0 ? first : planClaim(claim, stateOf, owner)
  let current = claim
  if (plan.status !== undefined) current = await writeStatus(parts, { ...claim, status: plan.status }, signal)
  if (plan.removesFinalizer) await removeFinalizer(parts, current, signal)
  if (plan.deletes) await deleteIfThere(client, RESOURCE_CLAIMS, claim)
}

/** Fails when anything changed meanwhile. */
async function writeStatus(
  { client, claims }: Parts,
  next: ResourceClaim,
  signal: AbortSignal,
): Promise<ResourceClaim> {
  const written = await client.update<ResourceClaim>(RESOURCE_CLAIMS, next, { subresource: 'status' })
  await claims.caughtUp(written.metadata.resourceVersion, signal)
  return written
}

async function removeFinalizer(
  { client, claims }: Parts,
  claim: ResourceClaim,
  signal: AbortSignal,
): Promise<void> {
  const finalizers = (claim.metadata.finalizers ?? []).filter(each => each !== CLAIM_FINALIZER)
  const next = { ...claim, metadata: { ...claim.metadata, finalizers } }
  const written = await unlessGone(() => client.update<ResourceClaim>(RESOURCE_CLAIMS, next))
  // The last finalizer's removal is the deletion, whose revision is another one.
  if (claim.metadata.deletionTimestamp === undefined)
    await claims.caughtUp(written?.metadata.resourceVersion, signal)
}

async function unlessGone<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}
