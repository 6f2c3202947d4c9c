/** A node whose kubelet is the real one and whose containers are simulated: it can fall silent and come back. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../../src/base/clock.ts'
import { createLog } from '../../../src/base/log.ts'
import type { Random } from '../../../src/base/random.ts'
import type { Transport } from '../../../src/client/transport.ts'
import { createKubelet, type Kubelet, readHostFacts } from '../../../src/runtime/kubelet/kubelet.ts'
import { SimulatedRuntime } from '../../../src/runtime/kubelet/runtime/simulated/simulated-runtime.ts'
import { createTestPki, type TestPki } from '../../support/kubelet-pki.ts'

export interface HollowNodeParts {
  readonly name: string
  /** Speaks as the node. */
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly pki: TestPki
}

export const createHollowPki = createTestPki

export class HollowNode {
  readonly name: string
  readonly #parts: HollowNodeParts
  readonly #directory: string
  #runtime: SimulatedRuntime
  #kubelet: Kubelet | null = null

  static async create(parts: HollowNodeParts): Promise<HollowNode> {
    return new HollowNode(parts, await mkdtemp(join(tmpdir(), 'mk8s-hollow-')))
  }

  private constructor(parts: HollowNodeParts, directory: string) {
    this.name = parts.name
    this.#parts = parts
    this.#directory = directory
    this.#runtime = new SimulatedRuntime(parts)
  }

  get isUp(): boolean {
    return this.#kubelet !== null
  }

  async start(): Promise<void> {
    if (this.#kubelet !== null) return
    const kubelet = createKubelet(this.#kubeletParts())
    this.#kubelet = kubelet
    const { signal } = new AbortController()
    await kubelet.prepare(signal)
    await kubelet.start(signal)
  }

  /** The kubelet ends and says nothing; its containers run on. */
  async fallSilent(): Promise<void> {
    const kubelet = this.#kubelet
    this.#kubelet = null
    await kubelet?.stop()
  }

  /** As after a power cut: what ran is gone. */
  async losePower(): Promise<void> {
    await this.fallSilent()
    this.#runtime = new SimulatedRuntime(this.#parts)
  }

  async remove(): Promise<void> {
    await this.fallSilent()
    await rm(this.#directory, { recursive: true, force: true })
  }

  #kubeletParts() {
    const { name, transport, clock, random, pki } = this.#parts
    const inDirectory = (folder: string) => join(this.#directory, folder)
    const folders = ['pods', 'logs', 'volumes', 'plugins'] as const
    const [pods, logs, volumes, plugins] = folders.map(inDirectory) as [string, string, string, string]
    const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : 'error'
    return {
      ...{ transport, clock, random, runtime: this.#runtime, nodeName: name },
      nodeAddress: '127.0.0.1',
      directories: { pods, logs, volumes, plugins, pluginRegistry: inDirectory('plugins_registry') },
      ports: { kubelet: 0 },
      certificates: pki.server,
      settings: {
        clusterDns: '10.152.183.10',
        clusterDomain: 'cluster.local',
        serviceCidr: '10.152.183.0/24',
        serviceAddress: (clusterIp: string) => clusterIp,
      },
      host: readHostFacts(this.#directory),
      version: 'v1.36.0+test',
      log: createLog({ level, now: clock.now, write: line => void process.stderr.write(line) }),
    }
  }
}
