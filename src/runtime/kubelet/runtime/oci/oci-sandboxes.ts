/** The sandboxes of the oci runtime: namespaces, network and control group of a pod, made and taken away. */
import type { Clock } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import type { Log } from '../../../../base/log.ts'
import { mountsBelow, unmountBelow } from '../../../../host/mounts.ts'
import { currentBootId } from '../../../../host/processes.ts'
import { makeGroup, writeLimits } from '../cgroup-limits.ts'
import { removePodCgroup } from '../cri/pod-cgroups.ts'
import { podCgroup } from '../pod-groups.ts'
import { RecordStore } from '../process/records.ts'
import type { SandboxConfig, SandboxNetwork, SandboxStatus } from '../runtime.ts'
import { attach, type CniParts, detach, planAttachment } from './cni.ts'
import { addressesIn, type CniArguments, interfacesIn, wishesOf } from './cni-config.ts'
import { makeNamespaces, ownNamespaces } from './namespaces.ts'
import { type OciPaths, sandboxFiles } from './oci-paths.ts'
import type { SandboxRecord } from './oci-records.ts'

export interface SandboxesParts {
  readonly paths: OciPaths
  readonly cni: CniParts
  /** Name of the control group that all of this node's pods lie in. */
  readonly nodeId: string
  readonly clock: Clock
  readonly log: Log
}

export class OciSandboxes {
  readonly #parts: SandboxesParts
  readonly #store: RecordStore<SandboxRecord>
  readonly #records = new Map<string, SandboxRecord>()

  constructor(parts: SandboxesParts) {
    this.#parts = parts
    this.#store = new RecordStore(parts.paths.sandboxes)
  }

  /** Those that were begun and not finished, belong to an earlier boot, or lost their namespaces are not ready. */
  async start(): Promise<void> {
    for (const record of await this.#store.load()) {
      this.#records.set(record.id, record)
      const isWhole = record.bootId === currentBootId() && this.#hasNamespaces(record)
      if (record.state === 'making' || !isWhole) record.state = 'not-ready'
    }
  }

  #hasNamespaces({ id, config }: SandboxRecord): boolean {
    const files = sandboxFiles(this.directoryOf(id))
    const lost = new Set(ownNamespaces(config).map(name => files[name]))
    for (const point of mountsBelow([this.directoryOf(id)])) lost.delete(point)
    return lost.size === 0
  }

  get(id: string): SandboxRecord | undefined {
    return this.#records.get(id)
  }

  must(id: string): SandboxRecord {
    const record = this.#records.get(id)
    if (record === undefined) throw new Mk8sError('kubelet/runtime', `sandbox ${id} does not exist`)
    return record
  }

  all(): SandboxRecord[] {
    return [...this.#records.values()]
  }

  directoryOf(id: string): string {
    return this.#store.directoryOf(id)
  }

  async save(record: SandboxRecord): Promise<void> {
    await this.#store.save(record)
  }

  cgroupOf({ config }: Pick<SandboxRecord, 'config'>): string {
    return podCgroup(this.#parts.nodeId, config.metadata.uid, config.isolation?.qosClass ?? 'BestEffort')
  }

  /** What is made is recorded before, so that whoever comes after a kill can take it away. */
  async make(id: string, config: SandboxConfig, program: string): Promise<SandboxRecord> {
    const { cni, clock } = this.#parts
    const directory = this.directoryOf(id)
    const args = argumentsFor(id, directory, config)
    const network = config.hostNetwork ? null : await planAttachment(cni, args, config.network)
    const record: SandboxRecord = {
      ...{ id, config, network, program },
      state: 'making',
      createdAt: clock.now(),
      bootId: currentBootId(),
      pauseId: null,
    }
    await this.#store.save(record)
    this.#records.set(id, record)
    try {
      await makeGroup(this.cgroupOf(record))
      const limits = config.isolation?.resources
      if (limits !== undefined) await writeLimits(this.cgroupOf(record), limits)
      await makeNamespaces(directory, config)
      if (network !== null) record.network = await attach(cni, network)
      record.state = 'ready'
      await this.#store.save(record)
      return record
    } catch (error) {
      await this.remove(id).catch(cause => {
        this.#parts.log.warn('what is left of a sandbox could not be taken away', { error: cause })
      })
      throw new Mk8sError('kubelet/runtime', 'failed to set up the network of the sandbox', { cause: error })
    }
  }

  /** Gives back what others may use: addresses and ports. `roots`: directories of its containers, unmounted too. */
  async stop(id: string, roots: readonly string[] = []): Promise<void> {
    const record = this.#records.get(id)
    if (record === undefined || (record.state === 'not-ready' && record.network === null)) return
    if (record.network !== null) {
      // What lay in namespaces of an earlier boot went with them, and one that was begun may have none yet.
      const { netns: path } = record.network.arguments
      const isThere = record.bootId === currentBootId() && mountsBelow([this.directoryOf(id)]).includes(path)
      const netns = isThere ? path : ''
      const last = { ...record.network, arguments: { ...record.network.arguments, netns } }
      await detach(this.#parts.cni, last)
    }
    record.network = null
    record.state = 'not-ready'
    await this.#store.save(record)
    await unmountBelow([this.directoryOf(id), ...roots])
  }

  async remove(id: string): Promise<void> {
    const record = this.#records.get(id)
    if (record === undefined) return
    await this.stop(id)
    await unmountBelow([this.directoryOf(id)])
    const others = this.all().some(each => each.id !== id && isSamePod(each, record))
    if (!others) await removePodCgroup(this.cgroupOf(record))
    await this.#store.remove(id)
    this.#records.delete(id)
  }
}

const isSamePod = (a: SandboxRecord, b: SandboxRecord): boolean =>
  a.config.metadata.uid === b.config.metadata.uid

function argumentsFor(id: string, directory: string, config: SandboxConfig): CniArguments {
  const { metadata } = config
  return {
    containerId: id,
    netns: sandboxFiles(directory).net,
    interfaceName: 'eth0',
    pod: {
      K8S_POD_NAMESPACE: metadata.namespace,
      K8S_POD_NAME: metadata.name,
      K8S_POD_INFRA_CONTAINER_ID: id,
      K8S_POD_UID: metadata.uid,
    },
    runtimeConfig: { ...config.network?.runtimeConfig, ...wishesOf(config) },
  }
}

export function renderSandboxStatus(record: SandboxRecord): SandboxStatus {
  const isReady = record.state === 'ready'
  return {
    id: record.id,
    metadata: record.config.metadata,
    state: isReady ? 'ready' : 'not-ready',
    createdAt: record.createdAt,
    addresses: isReady ? addressesIn(record.network?.result ?? null) : [],
  }
}

export function renderSandboxNetwork({ network }: SandboxRecord): SandboxNetwork | null {
  if (network === null) return null
  const { result, arguments: args } = network
  const interfaces = interfacesIn(result, args.interfaceName)
  return { netns: args.netns, interfaces, dns: (result?.['dns'] as object | undefined) ?? {} }
}
