/** The plugins that register on this node: CSI drivers, and drivers of devices that claims are met with. */
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import { CsiPlugins } from './csi/csi-plugins.ts'
import type { KubeletDirectories } from './kubelet-parts.ts'
import { PluginRegistry } from './plugin-registry.ts'
import { ClaimManager } from './resource-claims/claim-manager.ts'
import { DraPlugins } from './resource-claims/dra-plugins.ts'

export interface NodePluginsParts {
  readonly client: KubeClient
  readonly nodeName: string
  readonly directories: KubeletDirectories
  /** Uids of pods that are on the node; null while they are not known yet. */
  readonly pods: () => ReadonlySet<string> | null
  /** A driver of devices is there that was not, or says something else of their health. */
  readonly onDriver: () => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class NodePlugins {
  readonly csi: CsiPlugins
  readonly claims: ClaimManager
  readonly #registry: PluginRegistry
  readonly #drivers: DraPlugins

  constructor(parts: NodePluginsParts) {
    const { client, clock, random, log, nodeName, directories, onDriver } = parts
    this.csi = new CsiPlugins({ client, clock, random, log, nodeName })
    this.#drivers = new DraPlugins({
      ...{ client, clock, log, nodeName, onHealth: onDriver },
      onDriver: () => {
        onDriver()
        void this.claims.reconcile()
      },
    })
    this.claims = new ClaimManager({
      ...{ client, log, plugins: this.#drivers, livePods: parts.pods },
      path: join(directories.pods, '..', 'dra_manager_state'),
    })
    this.#registry = new PluginRegistry({
      ...{ clock, log, directory: directories.pluginRegistry },
      handlers: { CSIPlugin: this.csi, DRAPlugin: this.#drivers },
    })
  }

  async start(): Promise<void> {
    this.#drivers.start()
    await this.#registry.start()
  }

  async stop(): Promise<void> {
    await this.#registry.stop()
    this.csi.stop()
    this.#drivers.stop()
  }
}
