/** What extension API servers have: their resources are found by discovery and followed as those of this server are. */
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { WakingLoop } from '../../../base/waking-loop.ts'
import type { Informer } from '../../../client/informer.ts'
import type { InformerSet } from '../../../client/informer-set.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { isAvailable, isRemote, remoteServices } from '../../../kube/extension-services.ts'
import type { APIService } from '../../../kube/types.ts'
import type { ContentsListener, CustomContents, CustomResource } from './custom-resources.ts'

export interface RemoteInformersParts {
  readonly informers: InformerSet
  readonly apiServices: Informer<APIService>
  /** For discovery. */
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  readonly listener: ContentsListener
}

/** As upstream's collector; while there is no extension server nothing is asked. */
const DISCOVER_MS = 30_000
const NEVER_MS = 86_400_000
const SETTLE_MS = 200
/** Of all extension servers together; what is beyond them is not followed. */
const RESOURCES_MAX = 500

interface Followed extends CustomContents {
  readonly ended: AbortController
}

interface RemoteVersion {
  readonly group: string
  readonly version: string
}

export class RemoteInformers {
  readonly #parts: RemoteInformersParts
  readonly #loop: WakingLoop
  readonly #stopped = new AbortController()
  /** By group and resource. */
  readonly #followed = new Map<string, Followed>()
  /** What versions had when they could be asked last. */
  readonly #known = new Map<string, readonly CustomResource[]>()
  #unsubscribe: (() => void) | null = null

  constructor(parts: RemoteInformersParts) {
    this.#parts = parts
    this.#loop = new WakingLoop({ look: () => this.#look(), settleMs: SETTLE_MS, clock: parts.clock })
  }

  get all(): readonly CustomContents[] {
    return [...this.#followed.values()]
  }

  start(): void {
    const wake = (_key: string, next: APIService | null, previous: APIService | null) => {
      if (isRemote(next) || isRemote(previous)) this.#loop.wake()
    }
    this.#unsubscribe = this.#parts.apiServices.onChange(wake)
    if (this.#parts.apiServices.list().some(isRemote)) this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.()
    this.#stopped.abort()
    for (const { ended } of this.#followed.values()) ended.abort()
    await this.#loop.stop()
    this.#followed.clear()
  }

  async #look(): Promise<number> {
    const services = remoteServices(this.#parts.apiServices.list())
    const wanted = new Map<string, CustomResource>()
    const versions = new Set<string>()
    const found = services.map(service => {
      const { group = '', version = '' } = service.spec ?? {}
      versions.add(`${group}/${version}`)
      return this.#resourcesOf({ group, version }, isAvailable(service))
    })
    for (const resource of (await Promise.all(found)).flat()) {
      const key = `${resource.group}/${resource.resource}`
      if (wanted.size < RESOURCES_MAX && !wanted.has(key)) wanted.set(key, resource)
    }
    if (this.#stopped.signal.aborted) return NEVER_MS
    for (const name of this.#known.keys()) if (!versions.has(name)) this.#known.delete(name)
    this.#follow(wanted)
    return services.length === 0 ? NEVER_MS : DISCOVER_MS
  }

  /** As before where nobody answers: a server that is down has not lost what it keeps. */
  async #resourcesOf(asked: RemoteVersion, canAnswer: boolean): Promise<readonly CustomResource[]> {
    const { client, log } = this.#parts
    const { group, version } = asked
    const name = `${group}/${version}`
    if (canAnswer) {
      try {
        const found = await client.discover(group, version)
        const usable = found.filter(
          each =>
            !each.name.includes('/') && ['list', 'watch', 'delete'].every(verb => each.verbs.includes(verb)),
        )
        const resources = usable.map(({ name: resource, namespaced, kind }) => ({
          ...{ group, version, resource, namespaced, kind },
        }))
        this.#known.set(name, resources)
      } catch (error) {
        log.debug('an extension API server does not tell what it has', { name, why: messageOf(error) })
      }
    }
    return this.#known.get(name) ?? []
  }

  #follow(wanted: ReadonlyMap<string, CustomResource>): void {
    const { informers, listener } = this.#parts
    for (const [key, before] of this.#followed) {
      const next = wanted.get(key)
      if (next !== undefined && isSame(next, before.resource)) continue
      this.#followed.delete(key)
      before.ended.abort()
      listener.removed(before)
    }
    for (const [key, resource] of wanted) {
      if (this.#followed.has(key)) continue
      const followed = {
        resource,
        informer: informers.separateInformer(resource),
        ended: new AbortController(),
      }
      this.#followed.set(key, followed)
      listener.added(followed)
      followed.informer.start(followed.ended.signal)
    }
  }
}

const isSame = (a: CustomResource, b: CustomResource): boolean =>
  a.version === b.version && a.kind === b.kind && a.namespaced === b.namespaced
