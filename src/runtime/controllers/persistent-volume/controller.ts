/**
 * Binds claims and persistent volumes to each other, and says on both how that stands. One loop over keys of both
 * sorts; a write that lost against another one is refused by its resource version and planned anew.
 */
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import {
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  STORAGE_CLASSES,
} from '../../../client/resources.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatTime } from '../../../kube/time.ts'
import type { PersistentVolume, PersistentVolumeClaim, Pod, StorageClass } from '../../../kube/types.ts'
import {
  BETA_STORAGE_PROVISIONER,
  claimsOf,
  defaultClass,
  hasNoClass,
  STORAGE_PROVISIONER,
} from '../../../kube/volumes/claims.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom, type Source } from '../shared/keyed-controller.ts'
import { boundClaim, claimFor, unboundClaim, volumeFor, volumeInPhase } from './binding.ts'
import { type ClaimPlan, planClaim, type Said } from './plan-claim.ts'
import { planVolume, unbound } from './plan-volume.ts'

const SERVICE_ACCOUNT = 'persistent-volume-binder'
const COMPONENT = 'persistentvolume-controller'
const CLAIM_INDEX = 'claim'
const USED_INDEX = 'claims'
const PHASE_INDEX = 'phase'
const VOLUME_INDEX = 'volume'

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly claims: Informer<PersistentVolumeClaim>
  readonly volumes: Informer<PersistentVolume>
  readonly classes: Informer<StorageClass>
  readonly pods: Informer<Pod>
}

const claimKey = (claim: PersistentVolumeClaim): string => `claim:${keyOf(claim)}`
const volumeKey = (name: string): string => `volume:${name}`

export function createPersistentVolumeBinder(context: ControllerContext): Controller {
  const { informers } = context
  const parts: Parts = {
    context,
    client: context.client(SERVICE_ACCOUNT),
    events: context.events({ component: COMPONENT, serviceAccount: SERVICE_ACCOUNT }),
    claims: informers.informer(PERSISTENT_VOLUME_CLAIMS),
    volumes: informers.informer(PERSISTENT_VOLUMES),
    classes: informers.informer(STORAGE_CLASSES),
    pods: informers.informer(PODS),
  }
  parts.volumes.addIndex(CLAIM_INDEX, ({ spec }) =>
    spec?.claimRef ? [`${spec.claimRef.namespace}/${spec.claimRef.name}`] : [],
  )
  parts.claims.addIndex(PHASE_INDEX, claim => [claim.status?.phase ?? 'Pending'])
  parts.claims.addIndex(VOLUME_INDEX, ({ spec }) => (spec?.volumeName ? [spec.volumeName] : []))
  parts.pods.addIndex(USED_INDEX, keysOfUsed)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: sourcesOf(parts),
    reconcile: async (key, signal) => {
      const at = key.indexOf(':')
      const name = key.slice(at + 1)
      if (key.startsWith('claim')) await reconcileClaim(parts, name, signal)
      else await reconcileVolume(parts, name, signal)
      return undefined
    },
  })
}

const keysOfUsed = (pod: Pod): string[] =>
  claimsOf(pod).map(({ name }) => `${pod.metadata.namespace ?? ''}/${name}`)

function sourcesOf(parts: Parts): Source[] {
  const { claims, volumes, classes, pods } = parts
  const pending = () => claims.byIndex(PHASE_INDEX, 'Pending').map(claimKey)
  return [
    keysFrom(claims, claim => [
      claimKey(claim),
      ...volumes.byIndex(CLAIM_INDEX, keyOf(claim)).map(({ metadata }) => volumeKey(metadata.name ?? '')),
      ...(claim.spec?.volumeName ? [volumeKey(claim.spec.volumeName)] : []),
    ]),
    keysFrom(volumes, volume => {
      const { claimRef } = volume.spec ?? {}
      const own = claimRef ? [`claim:${claimRef.namespace}/${claimRef.name}`] : []
      const { name = '' } = volume.metadata
      const named = claims.byIndex(VOLUME_INDEX, name).map(claimKey)
      const free = volume.status?.phase === 'Available' ? pending() : []
      return [volumeKey(name), ...own, ...named, ...free]
    }),
    keysFrom(classes, () => pending()),
    // Whom a claim waits for is told on it.
    keysFrom(pods, pod => (pod.spec?.nodeName ? [] : keysOfUsed(pod).map(key => `claim:${key}`))),
  ]
}

async function reconcileClaim(parts: Parts, key: string, signal: AbortSignal): Promise<void> {
  const claim = parts.claims.get(key)
  if (claim === undefined) return
  const classes = parts.classes.list()
  const waiting = parts.pods.byIndex(USED_INDEX, key).filter(pod => !pod.spec?.nodeName)
  const plan = planClaim(claim, {
    volumes: parts.volumes.list(),
    classes,
    defaultClass: hasNoClass(claim) ? defaultClass(classes) : undefined,
    waitingPods: waiting.map(({ metadata }) => metadata.name ?? ''),
  })
  await carryOut(parts, claim, plan, signal)
}

async function carryOut(
  parts: Parts,
  claim: PersistentVolumeClaim,
  plan: ClaimPlan,
  signal: AbortSignal,
): Promise<void> {
  switch (plan.kind) {
    case 'bind':
      return bind(parts, claim, plan.volume, signal)
    case 'give-class': {
      const spec = { ...claim.spec, storageClassName: plan.name }
      await write(parts, parts.claims, claim, { ...claim, spec }, { signal })
      return
    }
    case 'provision': {
      const { provisioner, event } = plan
      const { annotations } = claim.metadata
      const marks = { [BETA_STORAGE_PROVISIONER]: provisioner, [STORAGE_PROVISIONER]: provisioner }
      const isTold = annotations?.[STORAGE_PROVISIONER] === provisioner
      const told = { ...claim, metadata: { ...claim.metadata, annotations: { ...annotations, ...marks } } }
      const current = isTold ? claim : await write(parts, parts.claims, claim, told, { signal })
      if (!isTold) say(parts, current, event)
      await writeClaimStatus(parts, current, 'Pending', signal)
      return
    }
    case 'pending':
      say(parts, claim, plan.event)
      await writeClaimStatus(parts, claim, 'Pending', signal)
      return
    case 'lost':
      if (claim.status?.phase !== 'Lost') say(parts, claim, plan.event)
      await writeClaimStatus(parts, claim, 'Lost', signal)
  }
}

const say = ({ events }: Parts, about: KubeObject, event: Said | undefined): void => {
  if (event !== undefined) events.record(about, event.type, event.reason, event.message)
}

const writeClaimStatus = (
  parts: Parts,
  claim: PersistentVolumeClaim,
  phase: 'Pending' | 'Lost',
  signal: AbortSignal,
) => write(parts, parts.claims, claim, unboundClaim(claim, phase), { signal, subresource: 'status' })

/** The volume first, so that nobody else takes it; each step stands alone when the next one fails. */
async function bind(
  parts: Parts,
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
  signal: AbortSignal,
): Promise<void> {
  const { claims, volumes, context } = parts
  const status = { signal, subresource: 'status' }
  const time = formatTime(context.clock.now())
  const taken = await write(parts, volumes, volume, volumeFor(volume, claim), { signal })
  await write(parts, volumes, taken, volumeInPhase(taken, { phase: 'Bound', time }), status)
  const named = await write(parts, claims, claim, claimFor(claim, taken), { signal })
  await write(parts, claims, named, boundClaim(named, taken), status)
}

/** Nothing is written when `next` is `current` itself. Returns the object as it is then, once the cache has it. */
async function write<T extends KubeObject>(
  { client }: Parts,
  informer: Informer<T>,
  current: T,
  next: T,
  options: { readonly signal: AbortSignal; readonly subresource?: string },
): Promise<T> {
  if (next === current) return current
  const { subresource, signal } = options
  const written = await client.update<T>(informer.resource, next, { subresource })
  await informer.caughtUp(written.metadata.resourceVersion, signal)
  return written
}

async function reconcileVolume(parts: Parts, name: string, signal: AbortSignal): Promise<void> {
  const volume = parts.volumes.get(name)
  if (volume === undefined) return
  const claim = await claimOf(parts, volume)
  const plan = planVolume(volume, claim)
  switch (plan.kind) {
    case 'phase': {
      const time = formatTime(parts.context.clock.now())
      const next = volumeInPhase(volume, { phase: plan.phase, message: plan.message, time })
      if (next === volume) return
      await write(parts, parts.volumes, volume, next, { signal, subresource: 'status' })
      return say(parts, volume, plan.event)
    }
    case 'unbind':
      await write(parts, parts.volumes, volume, unbound(volume), { signal })
      return
    case 'ask-claim':
      say(parts, volume, plan.event)
      if (claim === null) return
      say(parts, claim, plan.event)
      return reconcileClaim(parts, keyOf(claim), signal)
  }
}

/** A claim that the cache does not know is asked for, since data may depend on it. */
async function claimOf(parts: Parts, { spec }: PersistentVolume): Promise<PersistentVolumeClaim | null> {
  const reference = spec?.claimRef
  if (!reference?.uid) return null
  const { namespace = '', name = '', uid } = reference
  const cached = parts.claims.get(`${namespace}/${name}`)
  if (cached?.metadata.uid === uid) return cached
  try {
    const found = await parts.client.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, { namespace, name })
    return found.metadata.uid === uid ? found : null
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}
