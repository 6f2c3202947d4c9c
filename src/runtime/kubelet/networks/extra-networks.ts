/**
 * Attaches pods to the networks that they ask for beside the pod network, by calling the network plugins in the
 * sandbox's namespace, whichever runtime made it; and detaches them by what was noted when they were attached.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { must } from '../../../base/assert.ts'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { isConflict, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { NETWORK_ATTACHMENT_DEFINITIONS, PODS } from '../../../client/resources.ts'
import { currentBootId } from '../../../host/processes.ts'
import { runProgram } from '../../../host/programs.ts'
import type { Pod } from '../../../kube/types.ts'
import { attach, type CniParts, detach, findPlugin, ownNetwork } from '../runtime/oci/cni.ts'
import {
  addressesIn,
  interfacesIn,
  type NetworkConfig,
  parseNetworkConfig,
  wishesOf,
} from '../runtime/oci/cni-config.ts'
import { RecordStore } from '../runtime/process/records.ts'
import type { Runtime, SandboxConfig, SandboxNetwork } from '../runtime/runtime.ts'
import { readDeviceInfo } from './device-info.ts'
import { renderNetworkStatus } from './network-status.ts'
import { detachAll, giveUp, type NetworksRecord } from './networks-record.ts'
import {
  DEFAULT_NETWORK_ANNOTATION,
  NETWORKS_ANNOTATION,
  type NetworkSelection,
  parseSelections,
  STATUS_ANNOTATION,
} from './parse-selections.ts'
import {
  assertMayUse,
  DeviceTurns,
  type NetworkAttachmentDefinition,
  type NetworkPlan,
  type NetworkSettings,
  nameOf,
  type PodPlace,
  planAddition,
  planDefaultRoutes,
  planNetwork,
} from './plan-networks.ts'

export interface ExtraNetworksParts {
  readonly runtime: Runtime
  readonly client: KubeClient
  /** Null: nobody has enabled them, and pods that ask for them get the pod network only. */
  readonly settings: () => Promise<NetworkSettings | null>
  readonly cni: CniParts
  /** Where else a configuration may lie that a definition names. */
  readonly moreConfigs: readonly string[]
  /** What is attached, by sandbox. */
  readonly directory: string
  /** By resource. */
  readonly devicesOf: (podUid: string) => ReadonlyMap<string, readonly string[]>
  readonly onAttached: (pod: Pod, message: string) => void
  /** The pod in the API that tells of this one; null while there is none. */
  readonly reportedAs: (
    pod: Pod,
  ) => { readonly namespace: string; readonly name: string; readonly uid: string } | null
  readonly log: Log
}

/** Where Multus looks for the definition of a default network, if the annotation names no namespace. */
const DEFAULT_NETWORK_NAMESPACE = 'kube-system'
const POD_INTERFACE = 'eth0'
const ROUTES_MAX = 8
/** A pod does not stay for ever because a plugin fails. */
const DETACH_TRIES_MAX = 3

interface PodPlan {
  readonly networks: readonly NetworkPlan[]
  readonly own: NetworkPlan | null
}

export class ExtraNetworks {
  readonly #parts: ExtraNetworksParts
  readonly #store: RecordStore<NetworksRecord>
  /** By sandbox. */
  readonly #records = new Map<string, NetworksRecord>()
  /** How often one could not be detached. */
  readonly #tries = new Map<string, number>()

  constructor(parts: ExtraNetworksParts) {
    this.#parts = parts
    this.#store = new RecordStore(parts.directory)
  }

  /** A sandbox that was not attached to all of its networks before a kill is ended, and made anew by its pod. */
  async start(): Promise<void> {
    const { runtime, log } = this.#parts
    const records = await this.#store.load()
    const sandboxes = records.length === 0 ? [] : await runtime.listSandboxes()
    for (const record of records) {
      const found = sandboxes.find(
        ({ id, metadata }) => id === record.sandboxId || idFor(metadata) === record.id,
      )
      const id = record.sandboxId ?? found?.id
      if (id !== undefined) this.#records.set(id, { ...record, sandboxId: id })
      if (id !== undefined) this.#readdress(id, record)
      if (record.isWhole && found !== undefined) continue
      try {
        if (id === undefined) await this.#store.remove(record.id)
        else await this.release(id)
        if (found !== undefined) await runtime.stopSandbox(found.id)
      } catch (error) {
        log.warn('what an earlier daemon attached to a pod could not be detached', { error })
      }
    }
  }

  /** Makes the sandbox; with all networks that the pod asks for, or not at all. */
  async runSandbox(pod: Pod, config: SandboxConfig): Promise<string> {
    const { runtime } = this.#parts
    const plan = await this.#planFor(config)
    if (plan === null) return runtime.runSandbox(config)
    const id = idFor(config.metadata)
    const record: NetworksRecord = {
      ...{ id, sandboxId: null, isWhole: false, bootId: currentBootId(), attachments: [] },
    }
    await this.#store.save(record)
    const { own } = plan
    const network =
      own === null || !runtime.choosesNetwork
        ? {}
        : { network: { ...own.config, runtimeConfig: own.runtimeConfig } }
    const sandboxId = await runtime.runSandbox({ ...config, ...network }).catch(async error => {
      await this.#store.remove(id)
      throw error
    })
    record.sandboxId = sandboxId
    this.#records.set(sandboxId, record)
    try {
      await this.#attachAll(pod, config, { sandboxId, plan, record })
    } catch (error) {
      await this.#undo(sandboxId)
      throw new Mk8sError(
        'kubelet/runtime',
        `failed to set up network for sandbox "${sandboxId}": ${messageOf(error)}`,
        { cause: error },
      )
    }
    return sandboxId
  }

  async #undo(sandboxId: string): Promise<void> {
    const { runtime, log } = this.#parts
    try {
      await this.release(sandboxId)
      await runtime.removeSandbox(sandboxId)
    } catch (error) {
      log.warn('what is left of a sandbox could not be taken away', { error })
    }
  }

  /** Before its sandbox is stopped, last attached first. Nothing to do for most. May be repeated. */
  async release(sandboxId: string): Promise<void> {
    const record = this.#records.get(sandboxId)
    if (record === undefined) return
    const { cni, log } = this.#parts
    try {
      await detachAll(cni, record)
    } catch (error) {
      const tries = (this.#tries.get(sandboxId) ?? 0) + 1
      this.#tries.set(sandboxId, tries)
      // What was not attached as a whole cannot be asked to be detached as one.
      if (record.isWhole && tries < DETACH_TRIES_MAX) throw error
      log.warn('a network of a pod could not be detached', { pod: record.id, error })
      await giveUp(cni, record)
    }
    this.#tries.delete(sandboxId)
    await this.#store.remove(record.id)
    this.#records.delete(sandboxId)
  }

  // ── what a pod asks for ──────────────────────────────────────────────────────────────────────────

  /** Null: nothing. */
  async #planFor({ annotations, hostNetwork, metadata }: SandboxConfig): Promise<PodPlan | null> {
    const { runtime, settings: readSettings } = this.#parts
    const { [NETWORKS_ANNOTATION]: networks = '', [DEFAULT_NETWORK_ANNOTATION]: own = '' } = annotations
    if (hostNetwork || (networks.trim() === '' && own.trim() === '')) return null
    const settings = await readSettings()
    if (settings === null) return null
    if (runtime.sandboxNetwork === undefined) {
      const why = `pods of the runtime ${runtime.name} have no network of their own`
      throw new Mk8sError('kubelet/runtime', `the pod cannot be attached to networks: ${why}`)
    }
    const selections = parseSelections(networks, metadata.namespace)
    for (const selection of selections) assertMayUse(selection, metadata.namespace, settings)
    const devices = new DeviceTurns(this.#parts.devicesOf(metadata.uid))
    const found = await Promise.all(selections.map(selection => this.#definition(selection)))
    const plans: NetworkPlan[] = []
    for (const [at, selection] of selections.entries()) {
      const definition = must(found[at], 'a definition for each')
      plans.push(await this.#planOne(selection, definition, { at, devices }))
    }
    return { own: await this.#ownPlan(own, devices), networks: plans }
  }

  async #ownPlan(text: string, devices: DeviceTurns): Promise<NetworkPlan | null> {
    const [selection, ...more] = parseSelections(text, DEFAULT_NETWORK_NAMESPACE)
    if (selection === undefined) return null
    const wrong = (why: string) =>
      new Mk8sError('kubelet/runtime', `the annotation ${DEFAULT_NETWORK_ANNOTATION} cannot be used: ${why}`)
    if (more.length > 0) throw wrong('it names more than one network')
    const { runtime } = this.#parts
    if (!runtime.choosesNetwork && runtime.readdress === undefined)
      throw wrong(`${runtime.name} itself chooses the pod network`)
    const definition = await this.#definition(selection)
    return {
      ...(await this.#planOne(selection, definition, { at: 0, devices })),
      interfaceName: POD_INTERFACE,
    }
  }

  #definition(selection: NetworkSelection): Promise<NetworkAttachmentDefinition> {
    const { namespace, name } = selection
    return this.#parts.client
      .get<NetworkAttachmentDefinition>(NETWORK_ATTACHMENT_DEFINITIONS, { namespace, name })
      .catch(error => {
        const why = isNotFound(error) ? 'is not there' : `cannot be read: ${messageOf(error)}`
        const what = `the NetworkAttachmentDefinition ${nameOf(selection)} ${why}`
        throw new Mk8sError('kubelet/runtime', what, { cause: error })
      })
  }

  async #planOne(
    selection: NetworkSelection,
    definition: NetworkAttachmentDefinition,
    { at, devices }: { readonly at: number; readonly devices: DeviceTurns },
  ): Promise<NetworkPlan> {
    const { cni } = this.#parts
    const configs = definition.spec?.config?.trim() ? [] : await this.#nodeConfigs()
    const named = (wanted: string) => configs.find(each => each.name === wanted)
    const plan = planNetwork(selection, at, definition, { named, devices })
    for (const { type } of plan.config.plugins) {
      try {
        findPlugin(cni.plugins, type)
      } catch (error) {
        throw new Mk8sError('kubelet/runtime', `[${nameOf(selection)}]: ${messageOf(error)}`, {
          cause: error,
        })
      }
    }
    return plan
  }

  /** Those on the disk that can be read. */
  async #nodeConfigs(): Promise<NetworkConfig[]> {
    const { cni, moreConfigs } = this.#parts
    const found: NetworkConfig[] = []
    for (const directory of [cni.configs, ...moreConfigs]) {
      const files = (await readdir(directory).catch(() => [])).filter(file =>
        /\.(conflist|conf|json)$/.test(file),
      )
      for (const file of files.sort()) {
        const text = await readFile(join(directory, file), 'utf8').catch(() => '')
        try {
          found.push(parseNetworkConfig(text, file))
        } catch (error) {
          this.#parts.log.debug('a network configuration cannot be read', { file, error })
        }
      }
    }
    return found
  }

  // ── attaching ────────────────────────────────────────────────────────────────────────────────────

  async #attachAll(
    pod: Pod,
    config: SandboxConfig,
    { sandboxId, plan, record }: { sandboxId: string; plan: PodPlan; record: NetworksRecord },
  ): Promise<void> {
    const { runtime, cni } = this.#parts
    const { metadata } = config
    const network = await runtime.sandboxNetwork?.(sandboxId)
    if (network == null)
      throw new Mk8sError('kubelet/runtime', 'the runtime does not tell where its network is')
    const place = { sandboxId, netns: network.netns, metadata }
    const replacement = runtime.choosesNetwork ? null : plan.own
    const wishes = wishesOf(config)
    if (replacement !== null) await this.#takeOwn(place, wishes)
    const all = replacement === null ? [] : [withWishes(replacement, wishes)]
    for (const each of [...all, ...plan.networks]) {
      const planned = planAddition(each, place)
      // Noted before it is made, so that whoever comes after a kill can take it away.
      record.attachments = [...record.attachments, planned]
      await this.#store.save(record)
      const attached = await attach(cni, planned).catch(error => {
        const which = `[${metadata.namespace}/${metadata.name}:${each.name}]`
        const what = `${which}: error adding pod to CNI network "${planned.network}"`
        throw new Mk8sError('kubelet/runtime', `${what}: ${messageOf(error)}`, { cause: error })
      })
      record.attachments = [...record.attachments.slice(0, -1), attached]
    }
    await routeBy(network.netns, plan.networks)
    await this.#store.save(record)
    this.#readdress(sandboxId, record)
    await this.#tell(pod, replacement === null ? network : replaced(network, record), { plan, record })
    record.isWhole = true
    await this.#store.save(record)
  }

  /** The network that the runtime has given the sandbox, so that another one can have its place. */
  async #takeOwn(place: PodPlace, runtimeConfig: NetworkPlan['runtimeConfig']): Promise<void> {
    const { cni } = this.#parts
    const config = await ownNetwork(cni)
    const interfaceName = POD_INTERFACE
    const own = { name: config.name, interfaceName, config, runtimeConfig, defaultRoute: [], device: null }
    await detach(cni, planAddition(own, place))
  }

  #readdress(sandboxId: string, record: NetworksRecord): void {
    const own = ownAttachment(record)
    if (own !== undefined) this.#parts.runtime.readdress?.(sandboxId, addressesIn(own.result))
  }

  /** As Multus does: in the pod's annotation, and an event for each. */
  async #tell(
    pod: Pod,
    network: SandboxNetwork,
    { plan, record }: { plan: PodPlan; record: NetworksRecord },
  ): Promise<void> {
    const { client, cni, reportedAs, onAttached } = this.#parts
    const name = plan.own?.name ?? (await ownNetwork(cni).catch(() => null))?.name ?? ''
    const others = record.attachments.filter(one => one !== ownAttachment(record))
    const attached = await Promise.all(
      plan.networks.map(async (each, at) => ({
        ...each,
        result: others[at]?.result ?? null,
        deviceInfo: each.device === null ? null : await readDeviceInfo(each.device),
      })),
    )
    const status = renderNetworkStatus({ ...network, name }, attached)
    const target = reportedAs(pod)
    if (target !== null) {
      const annotations = { [STATUS_ANNOTATION]: JSON.stringify(status, null, 4) }
      const patch = { metadata: { uid: target.uid, annotations } }
      await client
        .patch(PODS, { ...namesOf(target), subresource: 'status', type: 'strategic', patch })
        .catch(error => {
          // The pod has gone meanwhile, and another one may have its name.
          if (!isNotFound(error) && !isConflict(error)) throw error
        })
    }
    for (const { interfaceName, name: from, result } of attached) {
      onAttached(pod, `Add ${interfaceName} [${addressesIn(result).join(' ')}] from ${from}`)
    }
  }
}

/** What stands for the runtime's own network. No other one can have that interface. */
const ownAttachment = ({ attachments }: NetworksRecord) =>
  attachments.find(one => one.arguments.interfaceName === POD_INTERFACE)

function replaced(network: SandboxNetwork, record: NetworksRecord): SandboxNetwork {
  const result = ownAttachment(record)?.result ?? null
  const dns = (result?.['dns'] as object | undefined) ?? {}
  return { ...network, interfaces: interfacesIn(result, POD_INTERFACE), dns }
}

const withWishes = (plan: NetworkPlan, wishes: NetworkPlan['runtimeConfig']): NetworkPlan => ({
  ...plan,
  runtimeConfig: { ...plan.runtimeConfig, ...wishes },
})

const namesOf = ({ namespace, name }: { namespace: string; name: string }) => ({ namespace, name })

const idFor = ({ uid, attempt }: { readonly uid: string; readonly attempt: number }): string =>
  `${uid}_${attempt}`

async function routeBy(netns: string, networks: readonly NetworkPlan[]): Promise<void> {
  for (const { words, mayFail } of planDefaultRoutes(networks)) {
    for (let round = 0; round < (mayFail ? ROUTES_MAX : 1); round++) {
      const accept = mayFail ? { accept: 'any' as const } : {}
      const { exitCode } = await runProgram('nsenter', [`--net=${netns}`, 'ip', ...words], accept)
      if (exitCode !== 0) break
    }
  }
}
