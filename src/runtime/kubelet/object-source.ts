/**
 * The ConfigMaps and Secrets that pods of this node refer to: one watch per object, as long as a pod refers to it.
 * A watch of all would need rights that a node does not have.
 */

import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { Informer } from '../../client/informer.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import { CONFIG_MAPS, SECRETS } from '../../client/resources.ts'
import type { ConfigMap, Pod, Secret } from '../../kube/types.ts'
import type { ReferencedObjects } from './environment.ts'
import { containersOf } from './pod-containers.ts'

export interface ObjectSourceParts {
  readonly client: KubeClient
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Called with the uid of a pod one of whose objects changed. */
  readonly onChange: (podUid: string) => void
}

type Kind = 'configmap' | 'secret'

interface Reference {
  readonly kind: Kind
  readonly name: string
}

interface Watched {
  readonly informer: Informer<ConfigMap | Secret>
  readonly aborter: AbortController
  readonly users: Set<string>
}

/** How long a pod waits for the first sight of its objects before it is tried again. */
const SYNC_MS_MAX = 10_000

export class ObjectSource {
  readonly #parts: ObjectSourceParts
  readonly #watched = new Map<string, Watched>()
  readonly #byPod = new Map<string, Set<string>>()

  constructor(parts: ObjectSourceParts) {
    this.#parts = parts
  }

  /** Follows what the pod refers to and resolves when all of it has been seen. */
  async follow(pod: Pod, signal: AbortSignal): Promise<ReferencedObjects> {
    const { uid = '', namespace = '' } = pod.metadata
    const keys = new Set<string>()
    for (const { kind, name } of referencesOf(pod)) {
      const key = `${kind}/${namespace}/${name}`
      keys.add(key)
      this.#use(key, { kind, namespace, name, uid })
    }
    for (const key of this.#byPod.get(uid) ?? []) if (!keys.has(key)) this.#drop(key, uid)
    this.#byPod.set(uid, keys)
    const pending = [...keys].map(key => this.#watched.get(key)?.informer.synced)
    await withTimeout(Promise.all(pending), AbortSignal.any([signal, AbortSignal.timeout(SYNC_MS_MAX)]))
    const find = (kind: Kind, name: string) =>
      this.#watched.get(`${kind}/${namespace}/${name}`)?.informer.get(`${namespace}/${name}`) ?? null
    return {
      configMap: name => find('configmap', name) as ConfigMap | null,
      secret: name => find('secret', name) as Secret | null,
    }
  }

  forget(podUid: string): void {
    for (const key of this.#byPod.get(podUid) ?? []) this.#drop(key, podUid)
    this.#byPod.delete(podUid)
  }

  stop(): void {
    for (const { aborter } of this.#watched.values()) aborter.abort()
    this.#watched.clear()
  }

  #use(key: string, target: { kind: Kind; namespace: string; name: string; uid: string }): void {
    const known = this.#watched.get(key)
    if (known !== undefined) {
      known.users.add(target.uid)
      return
    }
    const { client, clock, random, log, onChange } = this.#parts
    const aborter = new AbortController()
    const users = new Set([target.uid])
    const informer = new Informer<ConfigMap | Secret>({
      client,
      clock,
      random,
      log,
      resource: target.kind === 'secret' ? SECRETS : CONFIG_MAPS,
      namespace: target.namespace,
      fieldSelector: `metadata.name=${target.name}`,
    })
    informer.onChange(() => {
      for (const user of users) onChange(user)
    })
    informer.start(aborter.signal)
    this.#watched.set(key, { informer, aborter, users })
  }

  #drop(key: string, podUid: string): void {
    const watched = this.#watched.get(key)
    watched?.users.delete(podUid)
    if (watched === undefined || watched.users.size > 0) return
    watched.aborter.abort()
    this.#watched.delete(key)
  }
}

function withTimeout<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(new Error('the ConfigMaps and Secrets of the pod could not be read in time'))
  signal.addEventListener('abort', onAbort, { once: true })
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', onAbort))
}

function referencesOf(pod: Pod): Reference[] {
  const found: Reference[] = []
  const add = (kind: Kind, name: string | undefined) => {
    if (name) found.push({ kind, name })
  }
  for (const volume of pod.spec?.volumes ?? []) {
    add('configmap', volume.configMap?.name)
    add('secret', volume.secret?.secretName)
    for (const source of volume.projected?.sources ?? []) {
      add('configmap', source.configMap?.name)
      add('secret', source.secret?.name)
    }
  }
  for (const { name } of pod.spec?.imagePullSecrets ?? []) add('secret', name)
  for (const container of containersOf(pod)) {
    for (const source of container.envFrom ?? []) {
      add('configmap', source.configMapRef?.name)
      add('secret', source.secretRef?.name)
    }
    for (const { valueFrom } of container.env ?? []) {
      add('configmap', valueFrom?.configMapKeyRef?.name)
      add('secret', valueFrom?.secretKeyRef?.name)
    }
  }
  return found
}
