/** What a kubelet tells of its node as events: that it starts, and what has become of the conditions (pure). */
import type { Node, NodeStatus } from '../../kube/types.ts'

export interface NodeEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

/** By condition and its status. */
const REASONS: Readonly<Record<string, string>> = {
  'MemoryPressure=False': 'NodeHasSufficientMemory',
  'MemoryPressure=True': 'NodeHasInsufficientMemory',
  'DiskPressure=False': 'NodeHasNoDiskPressure',
  'DiskPressure=True': 'NodeHasDiskPressure',
  'PIDPressure=False': 'NodeHasSufficientPID',
  'PIDPressure=True': 'NodeHasInsufficientPID',
  'Ready=True': 'NodeReady',
  'Ready=False': 'NodeNotReady',
}

/** `previous` is what the node said before this write; a kubelet that starts tells everything but an old readiness. */
export function nodeEvents(
  name: string,
  change: {
    readonly previous: NodeStatus | undefined
    readonly next: NodeStatus
    readonly isStart: boolean
  },
): NodeEvent[] {
  const { previous, next, isStart } = change
  const events: NodeEvent[] = []
  if (isStart) events.push({ type: 'Normal', reason: 'Starting', message: 'Starting kubelet.' })
  const [before, now] = [previous?.nodeInfo?.bootID, next.nodeInfo?.bootID]
  if (before && now && before !== now) {
    const message = `Node ${name} has been rebooted, boot id: ${now}`
    events.push({ type: 'Warning', reason: 'Rebooted', message })
  }
  for (const { type, status } of next.conditions ?? []) {
    const reason = REASONS[`${type}=${status}`]
    const isSame = previous?.conditions?.some(each => each.type === type && each.status === status)
    if (reason === undefined || (isSame && (!isStart || type === 'Ready'))) continue
    events.push({ type: 'Normal', reason, message: `Node ${name} status is now: ${reason}` })
  }
  return events
}

/** Somebody cordoned the node or took that back since the kubelet last looked; undefined: neither. */
export function cordonEvent(name: string, wasCordoned: boolean, { spec }: Node): NodeEvent | undefined {
  const isCordoned = spec?.unschedulable === true
  if (isCordoned === wasCordoned) return undefined
  const reason = isCordoned ? 'NodeNotSchedulable' : 'NodeSchedulable'
  return { type: 'Normal', reason, message: `Node ${name} status is now: ${reason}` }
}
