/**
 * The part `registry`: the node that has the registry's volume runs its thread there, and leads the Service to itself.
 */
import type { Timer } from '../../../base/clock.ts'
import type { Health } from '../../../base/component.ts'
import { messageOf } from '../../../base/errors.ts'
import { Informer } from '../../../client/informer.ts'
import { isConflict, isNotFound } from '../../../client/kube-client.ts'
import {
  ENDPOINT_SLICES,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  SECRETS,
  SERVICES,
} from '../../../client/resources.ts'
import {
  COLLECT,
  COLLECTED,
  type CollectRequest,
  type CollectResult,
  collectAsked,
} from '../../../kube/registries/collect-garbage.ts'
import type {
  EndpointSlice,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Secret,
  Service,
} from '../../../kube/types.ts'
import type { RegistryConfig } from '../../image-registry/messages.ts'
import { RegistryThread } from '../../image-registry/registry-thread.ts'
import type { ParameterValues } from '../addon-object.ts'
import type { Part, PartContext, RunningPart } from '../part.ts'
import { planRegistry, type RegistryPlan, trustedNetworks } from './plan-registry.ts'
import {
  CLAIM,
  NAMESPACE,
  planSettings,
  renderSlice,
  SECRET_PARAMETERS,
  SERVICE,
  SLICE,
} from './registry-settings.ts'
import { mayToken } from './token-review.ts'

export const registryPart: Part = {
  name: 'registry',
  async start(context, parameters): Promise<RunningPart> {
    const keeper = new RegistryKeeper(context, parameters)
    return { health: () => keeper.health(), stop: () => keeper.stop() }
  },
}

/** Changes that come together are looked at together; and all of it from time to time. */
const SETTLE_MS = 50
const LOOK_MS = 10_000
/** While something is in the way. */
const WAIT_MS = 1_000
const FIELD_MANAGER = 'mk8s-registry'

class RegistryKeeper {
  readonly #context: PartContext
  readonly #parameters: ParameterValues
  readonly #aborter = new AbortController()
  readonly #claims: Informer<PersistentVolumeClaim>
  readonly #nodes: Informer<Node>
  readonly #services: Informer<Service>
  #timer: Timer | null = null
  #working: Promise<void> | null = null
  #isDirty = false
  #thread: RegistryThread | null = null
  #running = ''
  #trusted = ''
  #collecting = ''
  /** Of the last collection; told by the slice. */
  #collected = ''
  #problem = 'it is starting'

  constructor(context: PartContext, parameters: ParameterValues) {
    this.#context = context
    this.#parameters = parameters
    const { client, clock, random, log } = context
    const common = { client, clock, random, log }
    const fieldSelector = `metadata.name=${CLAIM}`
    this.#claims = new Informer({
      ...{ ...common, resource: PERSISTENT_VOLUME_CLAIMS },
      ...{ namespace: NAMESPACE, fieldSelector },
    })
    this.#nodes = new Informer({ ...common, resource: NODES })
    this.#services = new Informer({
      ...{ ...common, resource: SERVICES },
      ...{ namespace: NAMESPACE, fieldSelector: `metadata.name=${SERVICE}` },
    })
    for (const informer of [this.#claims, this.#nodes, this.#services]) {
      informer.onChange(() => this.#look(SETTLE_MS))
      informer.start(this.#aborter.signal)
    }
    const all = [this.#claims, this.#nodes, this.#services]
    void Promise.all(all.map(({ synced }) => synced)).then(() => this.#look(0))
  }

  health(): Health {
    const problem = this.#problem || (this.#thread?.problem ?? '')
    return { ok: problem === '', reason: problem }
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#timer?.cancel()
    await this.#working
    await this.#stopThread()
  }

  #look(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#aborter.signal.aborted) return
    this.#timer = this.#context.clock.after(delayMs, () => {
      this.#isDirty = true
      this.#working ??= this.#work().finally(() => {
        this.#working = null
        this.#look(this.#isDirty ? SETTLE_MS : this.#problem === '' ? LOOK_MS : WAIT_MS)
      })
    })
  }

  async #work(): Promise<void> {
    this.#isDirty = false
    try {
      this.#problem = await this.#reconcile()
    } catch (error) {
      if (this.#aborter.signal.aborted || isConflict(error)) return
      this.#problem = messageOf(error)
      this.#context.log.warn('the registry cannot be brought to where it belongs', { error })
    }
  }

  /** Returns what is in the way, or nothing. */
  async #reconcile(): Promise<string> {
    const { nodeName } = this.#context
    const claim = this.#claims.list()[0]
    const volume = await this.#volumeOf(claim)
    const plan = planRegistry({ claim, volume, nodes: this.#nodes.list(), nodeName })
    if (plan.kind !== 'run') await this.#stopThread()
    switch (plan.kind) {
      case 'wait':
      case 'impossible':
        return plan.reason
      case 'elsewhere':
        return ''
      case 'run':
        return await this.#run(plan, claim)
    }
  }

  async #volumeOf(claim: PersistentVolumeClaim | undefined): Promise<PersistentVolume | undefined> {
    const name = claim?.spec?.volumeName
    if (!name) return undefined
    return await orNothing(this.#context.client.get<PersistentVolume>(PERSISTENT_VOLUMES, { name }))
  }

  async #run(
    { directory, bytesMax }: Extract<RegistryPlan, { kind: 'run' }>,
    claim: PersistentVolumeClaim | undefined,
  ): Promise<string> {
    const { nodeAddress: address, cluster } = this.#context
    const trusted = trustedNetworks(this.#nodes.list(), cluster.podCidr)
    const secrets = await this.#secrets()
    const settings = planSettings(this.#parameters, secrets, { directory, bytesMax, address, trusted })
    if (!settings.ok) {
      await this.#stopThread()
      return settings.problem
    }
    await this.#runThread(settings.config)
    const asked = await this.#collectAsked(claim)
    if (asked !== null) void this.#collect(asked)
    return await this.#leadService(settings.config.port)
  }

  async #secrets(): Promise<Record<string, Secret | undefined>> {
    const found: Record<string, Secret | undefined> = {}
    for (const parameter of SECRET_PARAMETERS) {
      const name = String(this.#parameters[parameter] ?? '')
      if (name === '') continue
      found[parameter] = await orNothing(
        this.#context.client.get<Secret>(SECRETS, { namespace: NAMESPACE, name }),
      )
    }
    return found
  }

  /** A change starts it anew, but for that of nodes, which come and go. */
  async #runThread(config: RegistryConfig): Promise<void> {
    const text = JSON.stringify({ ...config, trusted: [] })
    const trusted = JSON.stringify(config.trusted)
    if (this.#thread !== null && text === this.#running) {
      if (trusted !== this.#trusted) this.#thread.trust(config.trusted)
      this.#trusted = trusted
      return
    }
    await this.#stopThread()
    const { client, clock, log } = this.#context
    this.#running = text
    this.#trusted = trusted
    this.#thread = new RegistryThread({
      config,
      review: (token, asked) => mayToken(client, token, asked),
      onChange: () => this.#look(0),
      ...{ clock, log },
    })
  }

  async #stopThread(): Promise<void> {
    const thread = this.#thread
    this.#thread = null
    await thread?.stop()
  }

  /** Each time, because somebody may have deleted the slice. */
  async #leadService(port: number): Promise<string> {
    const { client, nodeName, nodeAddress: address } = this.#context
    const isReady = this.#thread?.isListening === true
    const service = this.#services.list()[0]
    if (service === undefined) return `there is no Service ${NAMESPACE}/${SERVICE} yet`
    const slice = renderSlice({ service, nodeName, address, port, isReady, collected: this.#collected })
    await client.apply(ENDPOINT_SLICES, slice, { fieldManager: FIELD_MANAGER, force: true })
    return ''
  }

  /** What an earlier daemon has done is not done again. */
  async #collectAsked(claim: PersistentVolumeClaim | undefined): Promise<CollectRequest | null> {
    const asked = claim?.metadata.annotations?.[COLLECT]
    if (asked === undefined) return null
    if (this.#collected === '') {
      const slice = await orNothing(
        this.#context.client.get<EndpointSlice>(ENDPOINT_SLICES, { namespace: NAMESPACE, name: SLICE }),
      )
      this.#collected = slice?.metadata.annotations?.[COLLECTED] ?? ''
    }
    return collectAsked({ [COLLECT]: asked, [COLLECTED]: this.#collected })
  }

  async #collect({ id, graceMs, untagged }: CollectRequest): Promise<void> {
    if (this.#collecting === id || this.#thread?.isListening !== true) return
    this.#collecting = id
    const nothing = { manifests: 0, blobs: 0, bytes: 0, uploads: 0 }
    const result: CollectResult = await this.#thread.collect({ graceMs, untagged }).then(
      collected => ({ id, ...collected, problem: '' }),
      error => ({ id, ...nothing, problem: messageOf(error) }),
    )
    this.#collected = JSON.stringify(result)
    this.#look(0)
  }
}

async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}
