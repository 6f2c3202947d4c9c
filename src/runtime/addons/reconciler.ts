/**
 * Brings one add-on to what its Addon says: applies its manifests and prunes what left them, puts back what somebody
 * deleted, takes everything away when it is disabled, and tells in the status how far it is. What has been made is
 * written down before it is made, so that whoever leads next can go on anywhere.
 */
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { isAlreadyExists, isNotFound, type KubeClient } from '../../client/kube-client.ts'
import type { ReconcileResult } from '../../client/reconcile-loop.ts'
import { CONFIG_MAPS, NODES, PODS } from '../../client/resources.ts'
import type { KubeObject } from '../../kube/object.ts'
import { formatTime, parseTime } from '../../kube/time.ts'
import type { ConfigMap, Node, Pod } from '../../kube/types.ts'
import {
  ADDONS,
  type Addon,
  type AddonStatus,
  BUNDLE_LABEL,
  CORE_REPOSITORY,
  type Correction,
  FINALIZER,
  type ObjectName,
  type ParameterValues,
} from './addon-object.ts'
import { writeStatus } from './addon-status.ts'
import { type AddonSource, BUNDLE_NAMESPACE, bundleMap, readBundle } from './bundle.ts'
import { withCorrections } from './drift.ts'
import {
  type Failing,
  failingPart,
  failingRule,
  firstFailing,
  missingDependencies,
  remarksOf,
  runningPart,
} from './judge-addon.ts'
import { ObjectKeeper } from './object-keeper.ts'
import type { ObjectStore } from './object-store.ts'
import { completeParameters } from './parameters.ts'
import { describe, fingerprintOf, inOrder, nameOf, planPrune, planRemoval, unionOf } from './plan-objects.ts'
import { podTrouble } from './readiness.ts'
import { CHART_PARAMETERS, type ClusterFacts, renderManifests } from './render-manifests.ts'

export interface ReconcilerParts {
  readonly client: KubeClient
  readonly objects: ObjectStore
  readonly builtIn: ReadonlyMap<string, AddonSource>
  readonly facts: ClusterFacts
  /** All that there are. */
  readonly addons: () => readonly Addon[]
  /** Objects of these kinds are made: to be watched from now on. */
  readonly onKinds: (names: readonly ObjectName[]) => Promise<void>
  readonly clock: Clock
}

const NOT_READY_MS = 500
/** What has long been waited for is looked at less and less often: a node may be away for days. */
const WAITED_SHARE = 0.25
const NOT_READY_MS_MAX = 30_000
/** Everything is looked at again so often, although changes are watched. */
const READY_MS = 60_000
const PODS_SHOWN_MAX = 50
const NEW_BUNDLE_MS = 120_000

interface Wanted {
  readonly source: AddonSource
  readonly parameters: ParameterValues
  readonly objects: readonly KubeObject[]
  readonly fingerprint: string
}

/** How long until something is looked at again that has been waited for so long. */
export const pauseAfterMs = (waitedMs: number): number =>
  Math.min(Math.max(NOT_READY_MS, waitedMs * WAITED_SHARE), NOT_READY_MS_MAX)

export class Reconciler {
  readonly #parts: ReconcilerParts
  /** What each add-on waits for, and since when. */
  readonly #waiting = new Map<string, { readonly object: string; readonly sinceMs: number }>()

  readonly #keeper: ObjectKeeper

  constructor(parts: ReconcilerParts) {
    this.#parts = parts
    this.#keeper = new ObjectKeeper(parts)
  }

  async reconcile(name: string): Promise<ReconcileResult> {
    const addon = await this.#read(name)
    if (addon === null) {
      this.#waiting.delete(name)
      return undefined
    }
    if (addon.metadata.deletionTimestamp !== undefined) return this.#finish(addon)
    if (!addon.metadata.finalizers?.includes(FINALIZER)) {
      await this.#setFinalizers(addon, [...(addon.metadata.finalizers ?? []), FINALIZER])
      return 0
    }
    return addon.spec?.enabled === false ? this.#disable(addon) : this.#enable(addon)
  }

  async #read(name: string): Promise<Addon | null> {
    try {
      return await this.#parts.client.get<Addon>(ADDONS, { name })
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }

  async #setFinalizers({ metadata }: Addon, finalizers: readonly string[]): Promise<void> {
    const { name = '', resourceVersion } = metadata
    const patch = { metadata: { resourceVersion, finalizers } }
    await this.#parts.client.patch(ADDONS, { name, type: 'merge', patch })
  }

  // ── enabled ──────────────────────────────────────────────────────────────────────────────────────────

  async #enable(addon: Addon): Promise<ReconcileResult> {
    if (addon.spec?.bundle === undefined) return this.#adopt(addon)
    let wanted: Wanted
    try {
      wanted = await this.#render(addon)
    } catch (error) {
      if (!(error instanceof Mk8sError)) throw error
      const message = [error.message, error.why].filter(Boolean).join(': ')
      await this.#say(addon, { phase: 'Failed', message, failing: '' })
      return READY_MS
    }
    const missing = missingDependencies(wanted.source.definition.dependencies, this.#parts.addons())
    if (missing.length > 0) {
      const failing = { object: `add-on ${missing[0]}`, reason: 'it is needed and not enabled' }
      return this.#waits(addon, wanted, failing)
    }
    const isCurrent = addon.status?.applied === wanted.fingerprint
    return isCurrent ? this.#repair(addon, wanted) : this.#applyAll(addon, wanted)
  }

  /** An Addon that somebody made by hand gets the built-in version of that name. */
  async #adopt(addon: Addon): Promise<ReconcileResult> {
    const name = addon.metadata.name ?? ''
    const source = this.#parts.builtIn.get(name)
    if (source === undefined) {
      const message = `there is no built-in add-on ${name}; mk8s enable ${name} knows those of repositories`
      await this.#say(addon, { phase: 'Failed', message, failing: '' })
      return undefined
    }
    const bundle = await keepBundle(this.#parts.client, source)
    const spec = { repository: CORE_REPOSITORY, version: source.definition.version, bundle }
    const { resourceVersion } = addon.metadata
    await this.#parts.client.patch(ADDONS, {
      name,
      type: 'merge',
      patch: { metadata: { resourceVersion }, spec },
    })
    return 0
  }

  async #render(addon: Addon): Promise<Wanted> {
    const name = addon.spec?.bundle ?? ''
    const source = readBundle(await this.#readBundle(name))
    const { definition, files } = source
    const parameters = completeParameters(definition, addon.spec?.parameters ?? {})
    const isOther = definition.chart !== null && files[CHART_PARAMETERS] !== fingerprintOf(parameters)
    if (isOther)
      throw new Mk8sError('config/invalid', 'the chart was rendered with other parameters', {
        why: `mk8s enable ${definition.name} renders it`,
      })
    const objects = inOrder(renderManifests({ definition, files, parameters, facts: this.#parts.facts }))
    return {
      source,
      parameters,
      objects,
      fingerprint: fingerprintOf([definition.version, parameters, objects]),
    }
  }

  async #readBundle(name: string): Promise<ConfigMap> {
    try {
      return await this.#parts.client.get<ConfigMap>(CONFIG_MAPS, { namespace: BUNDLE_NAMESPACE, name })
    } catch (error) {
      if (!isNotFound(error)) throw error
      throw new Mk8sError('config/invalid', `its manifests are gone: ConfigMap ${BUNDLE_NAMESPACE}/${name}`, {
        why: 'mk8s enable writes them again',
      })
    }
  }

  async #applyAll(addon: Addon, wanted: Wanted): Promise<ReconcileResult> {
    const { objects, onKinds } = this.#parts
    this.#keeper.forget(addon.status?.objects ?? [])
    const earlier = addon.status?.objects ?? []
    const intended = wanted.objects.map(nameOf)
    const { definition } = wanted.source
    const common = { version: definition.version, parts: definition.parts, parameters: wanted.parameters }
    const under = await this.#say(addon, {
      ...common,
      ...{ phase: 'Progressing', message: 'its objects are being applied', failing: '', applied: '' },
      objects: unionOf(earlier, intended),
    })
    const names: ObjectName[] = []
    for (const object of wanted.objects) {
      names.push(await this.#telling(under, wanted, object, () => this.#keeper.apply(object)))
    }
    for (const name of planPrune(unionOf(earlier, intended), names)) await objects.remove(name)
    await onKinds(names)
    const applied = await this.#say(under, { ...common, applied: wanted.fingerprint, objects: names })
    await this.#forgetBundles(addon.metadata.name ?? '', addon.spec?.bundle)
    return this.#look(applied, wanted)
  }

  async #repair(addon: Addon, wanted: Wanted): Promise<ReconcileResult> {
    const names = addon.status?.objects ?? []
    await this.#parts.onKinds(names)
    const corrections: Correction[] = []
    let againMs = Number.POSITIVE_INFINITY
    for (const object of wanted.objects) {
      const placed = placedName(object, names)
      const outcome = await this.#telling(addon, wanted, object, () => this.#keeper.keep(object, placed))
      if (outcome.kind === 'waits') againMs = Math.min(againMs, outcome.forMs)
      if (outcome.kind !== 'put-back') continue
      const { kind: _, ...correction } = outcome
      corrections.push({ ...correction, time: formatTime(this.#parts.clock.now()) })
    }
    const told =
      corrections.length === 0
        ? addon
        : await this.#say(addon, { corrections: withCorrections(addon.status?.corrections, corrections) })
    const result = await this.#look(told, wanted)
    return Math.min(result ?? READY_MS, againMs)
  }

  /** An object that cannot be applied is told of, and comes again later. */
  async #telling<T>(addon: Addon, wanted: Wanted, object: KubeObject, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      await this.#waits(addon, wanted, { object: describe(nameOf(object)), reason: messageOf(error) })
      throw error
    }
  }

  /** Whether it works by now. */
  async #look(addon: Addon, wanted: Wanted): Promise<ReconcileResult> {
    const failing = await this.#failing(addon, wanted)
    if (failing !== null) return this.#waits(addon, wanted, failing)
    this.#waiting.delete(addon.metadata.name ?? '')
    const message = remarksOf(addon.status?.nodes ?? [])
    await this.#say(addon, { phase: 'Ready', message, failing: '' })
    return READY_MS
  }

  async #failing(addon: Addon, { source, parameters }: Wanted): Promise<Failing | null> {
    const { client, objects } = this.#parts
    const { definition } = source
    const names = addon.status?.objects ?? []
    const seen = await Promise.all(names.map(async name => ({ name, object: await objects.get(name) })))
    const bad = firstFailing(seen)
    if (bad !== null) {
      const object = seen.find(({ name }) => name === bad.name)?.object ?? null
      const trouble = object === null ? null : await this.#podTrouble(object)
      return { object: bad.object, reason: trouble === null ? bad.reason : `${bad.reason}; ${trouble}` }
    }
    const rules = definition.readiness.map(async rule => ({ ...rule, object: await objects.get(rule) }))
    const unmet = failingRule(await Promise.all(rules))
    if (unmet !== null || definition.parts.length === 0) return unmet
    const { items } = await client.list<Node>(NODES)
    await this.#forgetNodes(addon, new Set(items.map(({ metadata }) => metadata.name ?? '')))
    return failingPart(definition.parts, items, addon.status?.nodes ?? [], fingerprintOf(parameters))
  }

  /** What nodes have told that are no more. */
  async #forgetNodes({ metadata, status }: Addon, present: ReadonlySet<string>): Promise<void> {
    const nodes = status?.nodes?.filter(({ name }) => present.has(name))
    if (nodes === undefined || nodes.length === status?.nodes?.length) return
    const { name = '', resourceVersion } = metadata
    const patch = { metadata: { resourceVersion }, status: { nodes } }
    await this.#parts.client.patch(ADDONS, { name, subresource: 'status', type: 'merge', patch })
  }

  async #podTrouble({ metadata, spec }: KubeObject): Promise<string | null> {
    const labels = (spec as { selector?: { matchLabels?: Record<string, string> } } | undefined)?.selector
    if (labels?.matchLabels === undefined) return null
    const { items } = await this.#parts.client.list<Pod>(PODS, {
      namespace: metadata.namespace,
      labelSelector: Object.entries(labels.matchLabels)
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
      limit: PODS_SHOWN_MAX,
    })
    return podTrouble(items)
  }

  async #waits(addon: Addon, { source }: Wanted, { object, reason }: Failing): Promise<ReconcileResult> {
    const { version } = source.definition
    await this.#say(addon, { phase: 'Progressing', message: reason, failing: object, version })
    const { name = '' } = addon.metadata
    const nowMs = this.#parts.clock.monotonic()
    const known = this.#waiting.get(name)
    const sinceMs = known?.object === object ? known.sinceMs : nowMs
    this.#waiting.set(name, { object, sinceMs })
    return pauseAfterMs(nowMs - sinceMs)
  }

  // ── disabled ─────────────────────────────────────────────────────────────────────────────────────────

  async #disable(addon: Addon): Promise<ReconcileResult> {
    const left = await this.#removeObjects(addon, addon.spec?.purge ?? false)
    if (left !== null) {
      await this.#say(addon, { phase: 'Disabling', message: 'it is being deleted', failing: describe(left) })
      return NOT_READY_MS
    }
    const running = await this.#runningPart(addon)
    if (running !== null) {
      await this.#say(addon, { phase: 'Disabling', message: 'it is being stopped', failing: running })
      return NOT_READY_MS
    }
    const kept = (await this.#planRemoval(addon, addon.spec?.purge ?? false)).kept
    await this.#say(addon, {
      ...{ phase: 'Disabled', failing: '', applied: '', objects: kept },
      message: kept.length === 0 ? '' : `kept: ${kept.map(describe).join(', ')}`,
    })
    return undefined
  }

  async #runningPart({ status }: Addon): Promise<string | null> {
    const reports = status?.nodes ?? []
    if (reports.length === 0) return null
    const { items } = await this.#parts.client.list<Node>(NODES)
    return runningPart(items, reports)
  }

  async #finish(addon: Addon): Promise<ReconcileResult> {
    if (!addon.metadata.finalizers?.includes(FINALIZER)) return undefined
    if ((await this.#removeObjects(addon, addon.spec?.purge ?? false)) !== null) return NOT_READY_MS
    await this.#forgetBundles(addon.metadata.name ?? '', undefined)
    const finalizers = addon.metadata.finalizers.filter(one => one !== FINALIZER)
    await this.#setFinalizers(addon, finalizers)
    return undefined
  }

  async #planRemoval(addon: Addon, purge: boolean) {
    const keep = await this.#keepOf(addon)
    return planRemoval(addon.status?.objects ?? [], keep, { purge })
  }

  async #keepOf({ spec }: Addon) {
    if (spec?.bundle === undefined) return []
    return readBundle(await this.#readBundle(spec.bundle)).definition.keep
  }

  /** An object that has yet to go; null: there is none. */
  async #removeObjects(addon: Addon, purge: boolean): Promise<ObjectName | null> {
    const { objects } = this.#parts
    const { remove } = await this.#planRemoval(addon, purge)
    let left: ObjectName | null = null
    for (const name of remove) {
      const found = await objects.get(name)
      if (found === null) continue
      if (found.metadata.deletionTimestamp === undefined) await objects.remove(name)
      left ??= name
    }
    return left
  }

  async #forgetBundles(name: string, current: string | undefined): Promise<void> {
    const { client, clock } = this.#parts
    const labelSelector = `${BUNDLE_LABEL}=${name}`
    const { items } = await client.list<ConfigMap>(CONFIG_MAPS, {
      namespace: BUNDLE_NAMESPACE,
      labelSelector,
    })
    for (const { metadata } of items) {
      if (metadata.name === current || metadata.name === undefined) continue
      // It may be there for an Addon that is just about to be written.
      const madeMs = parseTime(metadata.creationTimestamp ?? '') ?? 0
      if (current !== undefined && clock.now() - madeMs < NEW_BUNDLE_MS) continue
      try {
        await client.delete(CONFIG_MAPS, { namespace: BUNDLE_NAMESPACE, name: metadata.name })
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
    }
  }

  #say(addon: Addon, status: Partial<AddonStatus>): Promise<Addon> {
    return writeStatus(this.#parts, addon, status)
  }
}

/** Its name as it was kept, if it was applied. */
function placedName(object: KubeObject, names: readonly ObjectName[]): ObjectName | undefined {
  const { kind, name, namespace } = nameOf(object)
  return names.find(
    one => one.kind === kind && one.name === name && one.namespace === (namespace ?? one.namespace),
  )
}

/** Puts the bundle where the leader finds it; returns its name. */
export async function keepBundle(client: KubeClient, source: AddonSource): Promise<string> {
  const map = bundleMap(source)
  try {
    await client.create(CONFIG_MAPS, map)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
  }
  return map.metadata.name ?? ''
}
