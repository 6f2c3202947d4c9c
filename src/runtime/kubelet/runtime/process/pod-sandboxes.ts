/** The sandboxes of pods that are programs of the machine: an address each, on disk so that they outlive the daemon. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import { loopbackAlias } from '../../../../host/loopback-alias.ts'
import { currentBootId } from '../../../../host/processes.ts'
import { mirrorOf } from '../../../../kube/mirror-address.ts'
import { AddressPool, DEFAULT_POD_CIDR, type RangeOfPods } from '../address-pool.ts'
import type { SandboxConfig, SandboxStatus } from '../runtime.ts'
import { RecordStore, type SandboxRecord } from './records.ts'

/** How long a port of a pod may take to answer. */
const CONNECT_MS = 10_000

export interface PodSandboxesParts {
  /** `<data-dir>/containers`. */
  readonly directory: string
  /** This node's part of the pod network; the default network's first part unless given. */
  readonly podRange?: RangeOfPods
  readonly clock: Clock
}

export class PodSandboxes {
  readonly #store: RecordStore<SandboxRecord>
  readonly #sandboxes = new Map<string, SandboxRecord>()
  readonly #addresses: AddressPool
  readonly #clock: Clock

  constructor({ directory, podRange, clock }: PodSandboxesParts) {
    this.#store = new RecordStore(join(directory, 'sandboxes'))
    this.#addresses = new AddressPool(podRange ?? (() => DEFAULT_POD_CIDR))
    this.#clock = clock
  }

  /** As an earlier daemon left them; those of an earlier boot are not ready. */
  async load(): Promise<void> {
    for (const sandbox of await this.#store.load()) {
      this.#sandboxes.set(sandbox.id, sandbox)
      if (sandbox.bootId !== currentBootId()) sandbox.state = 'not-ready'
      if (sandbox.state !== 'ready' || sandbox.podAddress === '') continue
      this.#addresses.adopt(sandbox.podAddress)
      await loopbackAlias('add', mirrorOf(sandbox.podAddress))
    }
  }

  async run(id: string, config: SandboxConfig): Promise<void> {
    const podAddress = config.hostNetwork ? '' : this.#addresses.allocate()
    const createdAt = this.#clock.now()
    const record: SandboxRecord = {
      ...{ id, config, state: 'ready', createdAt, podAddress, bootId: currentBootId() },
    }
    if (podAddress !== '') await loopbackAlias('add', mirrorOf(podAddress))
    await this.#store.save(record)
    this.#sandboxes.set(id, record)
  }

  /** Once its containers have ended; does nothing when that was done, or there is no such sandbox. */
  async end(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id)
    if (sandbox === undefined || sandbox.state === 'not-ready') return
    sandbox.state = 'not-ready'
    await this.#store.save(sandbox)
    if (sandbox.podAddress === '') return
    this.#addresses.release(sandbox.podAddress)
    await loopbackAlias('remove', mirrorOf(sandbox.podAddress))
  }

  async remove(id: string): Promise<void> {
    await this.#store.remove(id)
    this.#sandboxes.delete(id)
  }

  /** Throws `kubelet/runtime` when there is no such sandbox. */
  must(id: string): SandboxRecord {
    const sandbox = this.#sandboxes.get(id)
    if (sandbox === undefined) throw new Mk8sError('kubelet/runtime', `sandbox ${id} does not exist`)
    return sandbox
  }

  status(id: string): SandboxStatus | null {
    const sandbox = this.#sandboxes.get(id)
    return sandbox === undefined ? null : renderSandbox(sandbox)
  }

  list(): readonly SandboxStatus[] {
    return [...this.#sandboxes.values()].map(renderSandbox)
  }

  /** A connection to what the pod listens on. */
  async connect(id: string, port: number): Promise<Duplex> {
    const sandbox = this.#sandboxes.get(id)
    if (sandbox?.state !== 'ready') {
      throw new Mk8sError('kubelet/runtime', `sandbox ${id} is not running`)
    }
    const host = sandbox.podAddress === '' ? '127.0.0.1' : mirrorOf(sandbox.podAddress)
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    const late = this.#clock.after(CONNECT_MS, () => socket.destroy(new Error('no answer in time')))
    try {
      await once(socket, 'connect')
    } finally {
      late.cancel()
    }
    return socket
  }
}

function renderSandbox({ id, config, state, createdAt, podAddress }: SandboxRecord): SandboxStatus {
  const addresses = podAddress === '' ? [] : [mirrorOf(podAddress)]
  return { id, metadata: config.metadata, state, createdAt, addresses }
}
