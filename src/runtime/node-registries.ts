/**
 * Follows what the cluster says of registries (`kube-system/mk8s-registries`, a ConfigMap and a Secret), for whoever
 * pulls images on this node.
 */
import type { Clock } from '../base/clock.ts'
import { endsWithin } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { Informer } from '../client/informer.ts'
import { KubeClient } from '../client/kube-client.ts'
import { CONFIG_MAPS, SECRETS } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import {
  mergeRegistries,
  NO_REGISTRIES,
  REGISTRIES_NAME,
  REGISTRIES_NAMESPACE,
  type Registries,
} from '../kube/registries/registries.ts'
import type { ConfigMap, Secret } from '../kube/types.ts'

export interface NodeRegistriesParts {
  /** As `system:node:<name>` in `system:nodes`. */
  readonly transport: Transport
  /** Called with what counts from now on; it may fail, and is tried again with the next change. */
  readonly apply?: (registries: Registries) => Promise<void>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** A pull does not wait longer than this to know where it may go. */
const KNOWN_MS_MAX = 10_000

export class NodeRegistries implements Component {
  readonly name = 'registries'
  readonly #parts: NodeRegistriesParts
  readonly #config: Informer<ConfigMap>
  readonly #secret: Informer<Secret>
  readonly #aborter = new AbortController()
  #current: Registries = NO_REGISTRIES
  #problems: readonly string[] = []
  #applying: Promise<void> = Promise.resolve()

  constructor(parts: NodeRegistriesParts) {
    this.#parts = parts
    const { transport, clock, random, log } = parts
    const shared = {
      ...{ clock, random, log },
      client: new KubeClient(transport, { userAgent: 'mk8s-registries' }),
      namespace: REGISTRIES_NAMESPACE,
      fieldSelector: `metadata.name=${REGISTRIES_NAME}`,
    }
    this.#config = new Informer<ConfigMap>({ ...shared, resource: CONFIG_MAPS })
    this.#secret = new Informer<Secret>({ ...shared, resource: SECRETS })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    for (const informer of [this.#config, this.#secret]) {
      informer.onChange(() => this.#read())
      informer.start(this.#aborter.signal)
    }
    void this.#synced.then(() => this.#read())
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    await this.#applying
  }

  health() {
    return { ok: true, reason: this.#problems.join('; ') }
  }

  /** As they are now; at the very start, once they are known. */
  async current(): Promise<Registries> {
    await endsWithin(this.#parts.clock, KNOWN_MS_MAX, this.#synced)
    return this.#current
  }

  get #synced(): Promise<unknown> {
    return Promise.all([this.#config.synced, this.#secret.synced])
  }

  #read(): void {
    if (!this.#config.isSynced || !this.#secret.isSynced || this.#aborter.signal.aborted) return
    const config = this.#config.list()[0]?.data ?? {}
    const encoded = Object.entries(this.#secret.list()[0]?.data ?? {})
    const secret = encoded.map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')] as const)
    const { registries, problems } = mergeRegistries(config, Object.fromEntries(secret))
    for (const problem of problems) {
      if (!this.#problems.includes(problem)) this.#parts.log.warn('registries', { problem })
    }
    this.#problems = problems
    this.#current = registries
    const { apply, log } = this.#parts
    if (apply === undefined) return
    this.#applying = this.#applying
      .then(() => apply(registries))
      .catch(error => log.error('the registries cannot be applied', { error: messageOf(error) }))
  }
}
