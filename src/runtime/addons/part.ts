/**
 * A part of an add-on that runs inside the daemon of every node, because that is lighter than pods. An add-on names
 * its parts in addon.yaml (`parts: [registry]`); `part-driver.ts` starts, restarts and stops them.
 */
import type { Clock } from '../../base/clock.ts'
import type { Health } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import type { ParameterValues } from './addon-object.ts'

export interface PartContext {
  /**
   * As this node: `system:node:NAME` in `system:nodes`. What more a part needs than a kubelet, its add-on's manifests
   * grant to that group, by a role with as little in it as will do.
   */
  readonly client: KubeClient
  readonly nodeName: string
  /** Where other nodes reach this one. */
  readonly nodeAddress: string
  /** False on workers. */
  readonly isServer: boolean
  readonly runtime: 'oci' | 'containerd' | 'process' | 'simulated'
  readonly cluster: {
    readonly clusterDomain: string
    readonly serviceCidr: string
    readonly podCidr: string
  }
  /** Of this part on this node, `<data-dir>/addons/NAME`; to be made by the part, kept until it is purged. */
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface RunningPart {
  /**
   * Asked every two seconds; the add-on is ready once all nodes' parts are `ok`. The reason of one that is ok is what
   * people may want to know of it.
   */
  health(): Health
  /** The daemon ends, the parameters change, or the add-on is disabled (`cleanUp` follows then). */
  stop(): Promise<void>
}

export interface Part {
  readonly name: string
  /** Runs while nobody has disabled the add-on of the same name, also when the API does not answer yet. */
  readonly isDefault?: boolean
  /** Only changes of these parameters start it anew; absent: of all. */
  readonly heeds?: readonly string[]
  /**
   * Returns once it works, or throws why it cannot, and is tried again later. `parameters` has every parameter of the
   * add-on, defaults filled in. The signal fires when it is to end before it has begun.
   */
  start(context: PartContext, parameters: ParameterValues, signal: AbortSignal): Promise<RunningPart>
  /** The add-on is disabled: removes what outlives the daemon and is no data. May find nothing. */
  cleanUp?(context: PartContext): Promise<void>
  /** After `disable --purge`: removes the data it kept on this node, if that is more than its directory. */
  purge?(context: PartContext): Promise<void>
}
