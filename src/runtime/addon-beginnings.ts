/** With what the add-ons begin that are on in every cluster: as the cluster has it already. */
import { type Clock, sleep } from '../base/clock.ts'
import { isNotFound, KubeClient } from '../client/kube-client.ts'
import { STORAGE_CLASSES } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import type { StorageClass } from '../kube/types.ts'
import { isDefaultClass } from '../kube/volumes/claims.ts'
import type { AddonSpec } from './addons/addon-object.ts'
import { isFirstStart } from './cluster-config.ts'
import { HOSTPATH_CLASS } from './storage-class.ts'
import type { RaftStore } from './store/raft-store.ts'

export interface BeginningsParts {
  readonly store: RaftStore
  readonly transport: Transport
  readonly clock: Clock
}

type Beginning = Pick<AddonSpec, 'enabled' | 'parameters'>

/** What is given at install is there by then, or cannot be applied. */
const FIRST_START_MS_MAX = 20_000
const PAUSE_MS = 200

export function addonBeginnings({ store, transport, clock }: BeginningsParts) {
  const client = new KubeClient(transport, { userAgent: 'mk8s/addons' })
  return async (name: string, signal: AbortSignal): Promise<Beginning> => {
    if (name !== HOSTPATH_CLASS) return {}
    const untilMs = clock.monotonic() + FIRST_START_MS_MAX
    while (isFirstStart(store) && clock.monotonic() < untilMs) await sleep(clock, PAUSE_MS, signal)
    return hostpathBeginning(client)
  }
}

/** A class that somebody has changed stays as it is; one that somebody has deleted stays away. */
async function hostpathBeginning(client: KubeClient): Promise<Beginning> {
  try {
    const found = await client.get<StorageClass>(STORAGE_CLASSES, { name: HOSTPATH_CLASS })
    return {
      parameters: {
        'default-class': isDefaultClass(found),
        'reclaim-policy': found.reclaimPolicy ?? 'Delete',
      },
    }
  } catch (error) {
    if (isNotFound(error)) return { enabled: false }
    throw error
  }
}
