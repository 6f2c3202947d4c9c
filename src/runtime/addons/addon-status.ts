/** Writes what the leader has to say of an add-on, where it differs from what is said already. */
import type { Clock } from '../../base/clock.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import { formatTime } from '../../kube/time.ts'
import {
  ADDON_API_VERSION,
  ADDONS,
  type Addon,
  type AddonCondition,
  type AddonStatus,
  FIELD_MANAGER,
} from './addon-object.ts'

/** Returns the Addon with its new status. */
export async function writeStatus(
  { client, clock }: { readonly client: KubeClient; readonly clock: Clock },
  addon: Addon,
  change: Partial<AddonStatus>,
): Promise<Addon> {
  const { nodes, ...before } = addon.status ?? {}
  const merged: AddonStatus = { ...before, ...change }
  const generation = addon.metadata.generation ?? 0
  const conditions = conditionsOf(merged, generation, formatTime(clock.now()))
  const status = { ...merged, observedGeneration: generation, conditions }
  if (JSON.stringify(sorted(status)) === JSON.stringify(sorted(before))) return addon
  const { name = '' } = addon.metadata
  const object = { apiVersion: ADDON_API_VERSION, kind: 'Addon', metadata: { name }, status }
  const options = { fieldManager: FIELD_MANAGER, force: true, subresource: 'status' }
  return client.apply<Addon>(ADDONS, object, options)
}

const sorted = (status: AddonStatus) => Object.entries(status).sort(([a], [b]) => (a < b ? -1 : 1))

/** Ready, and whether something is under way; a condition that stays the same keeps its time. Pure. */
export function conditionsOf(status: AddonStatus, generation: number, now: string): AddonCondition[] {
  const { phase = 'Pending', failing = '', message = '' } = status
  const text = [failing, message].filter(part => part !== '').join(': ')
  const condition = (type: AddonCondition['type'], is: boolean): AddonCondition => {
    const state = is ? 'True' : 'False'
    const before = status.conditions?.find(one => one.type === type)
    const since = before?.status === state ? before.lastTransitionTime : now
    return {
      ...{ type, status: state, reason: phase, message: text },
      ...{ lastTransitionTime: since, observedGeneration: generation },
    }
  }
  return [
    condition('Ready', phase === 'Ready'),
    condition('Progressing', phase === 'Progressing' || phase === 'Disabling' || phase === 'Pending'),
  ]
}
