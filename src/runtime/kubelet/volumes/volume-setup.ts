/** Sets up all that a pod has as volumes: the objects and tokens in them, claims, and what comes later. */

import type { Pod } from '../../../kube/types.ts'
import type { ReferencedObjects } from '../environment.ts'
import type { PodContext } from '../pod-context.ts'
import type { PodFacts } from '../pod-fields.ts'
import { identityOf } from '../pod-identity.ts'
import { type ClaimedPlaces, ClaimVolumes } from './claim-volumes.ts'
import { PodVolumes } from './pod-volumes.ts'
import { AttachLimitError, AttachLimitReached } from './volume-error.ts'
import { VolumeUpkeep, type VolumeUpkeepParts } from './volume-upkeep.ts'

/** As long as upstream's kubelet waits for volumes before it asks why. */
const PATIENCE_MS = 123_000

export interface VolumeSetupParts {
  readonly context: PodContext
  readonly pod: Pod
  readonly onEvent: VolumeUpkeepParts['onEvent']
  /** They are to be looked at again then. */
  readonly wakeIn: (delayMs: number) => void
}

export class VolumeSetup {
  readonly volumes: PodVolumes
  readonly #parts: VolumeSetupParts
  readonly #claims: ClaimVolumes
  readonly #upkeep: VolumeUpkeep
  #fullSinceMs: number | null = null

  constructor(parts: VolumeSetupParts) {
    this.#parts = parts
    const { client, csi, nodeName, clock, directories } = parts.context
    const directory = `${directories.pods}/${identityOf(parts.pod).uid}`
    this.volumes = new PodVolumes(directory, csi)
    this.#claims = new ClaimVolumes(client, nodeName)
    this.#upkeep = new VolumeUpkeep({ client, csi, clock, nodeName, directory, onEvent: parts.onEvent })
  }

  /** Where the volumes of its claims and of drivers are. */
  get places(): ClaimedPlaces {
    return this.#claims.places
  }

  /** Works twice as well as once; throws AttachLimitReached when the pod is to wait no longer. */
  async setUp(pod: Pod, facts: PodFacts, signal: AbortSignal): Promise<ReferencedObjects> {
    const { objects, tokens, clock, host } = this.#parts.context
    const found = await objects.follow(pod, signal)
    const projected = await tokens.tokensOf(pod)
    this.#lookIn(projected.renewAtMs - clock.now())
    const places = await this.#placesOf(pod)
    await this.volumes.setUp({ pod, objects: found, facts, host, tokens: projected.tokens, places })
    this.#lookIn(await this.#upkeep.after(pod, places))
    return found
  }

  /** Others may be detached any moment, so that a full node is given some time. */
  async #placesOf(pod: Pod): Promise<ClaimedPlaces> {
    try {
      return await this.#claims.placesOf(pod)
    } catch (error) {
      if (!(error instanceof AttachLimitError)) throw error
      const { clock, csi } = this.#parts.context
      await csi.askLimit(error.driver)
      this.#fullSinceMs ??= clock.now()
      const leftMs = this.#fullSinceMs + PATIENCE_MS - clock.now()
      if (leftMs <= 0) throw new AttachLimitReached(limitText(pod, error))
      this.#lookIn(leftMs)
      throw error
    }
  }

  #lookIn(delayMs: number): void {
    if (delayMs !== Number.POSITIVE_INFINITY) this.#parts.wakeIn(delayMs)
  }
}

function limitText({ spec }: Pod, { volumeName, message }: AttachLimitError): string {
  const unmounted = (spec?.volumes ?? []).map(({ name }) => name).join(' ')
  const lists = `unmounted volumes=[${unmounted}], unattached volumes=[${volumeName}], failed to process volumes=[]`
  return `Node has reached its volume attachment limit, rejecting pod. ${lists}: ${message}`
}
