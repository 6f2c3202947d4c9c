/** Sets up all that a pod has as volumes: the objects and tokens in them, claims, and what comes later. */

import type { Pod } from '../../../kube/types.ts'
import type { ReferencedObjects } from '../environment.ts'
import type { PodContext } from '../pod-context.ts'
import type { PodFacts } from '../pod-fields.ts'
import { identityOf } from '../pod-identity.ts'
import { type ClaimedPlaces, ClaimVolumes } from './claim-volumes.ts'
import { PodVolumes } from './pod-volumes.ts'
import { VolumeUpkeep, type VolumeUpkeepParts } from './volume-upkeep.ts'

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

  /** Works twice as well as once. */
  async setUp(pod: Pod, facts: PodFacts, signal: AbortSignal): Promise<ReferencedObjects> {
    const { objects, tokens, clock, host } = this.#parts.context
    const found = await objects.follow(pod, signal)
    const projected = await tokens.tokensOf(pod)
    this.#lookIn(projected.renewAtMs - clock.now())
    const places = await this.#claims.placesOf(pod)
    await this.volumes.setUp({ pod, objects: found, facts, host, tokens: projected.tokens, places })
    this.#lookIn(await this.#upkeep.after(pod, places))
    return found
  }

  #lookIn(delayMs: number): void {
    if (delayMs !== Number.POSITIVE_INFINITY) this.#parts.wakeIn(delayMs)
  }
}
