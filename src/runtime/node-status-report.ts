/** Puts together what `mk8s status` shows, from what the parts say of themselves. Pure. */

import type { Health } from '../base/component.ts'
import type { BackupScheduleStatus } from '../client/backup-schedule-status.ts'
import type {
  AddonStatus,
  ComponentHealth,
  DatastoreStatus,
  NodeStatus,
  Problem,
} from '../client/node-status.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { GIT_VERSION, MK8S_VERSION } from '../config/version.ts'
import type { KubeObject } from '../kube/object.ts'

export interface NodeStatusFacts {
  readonly config: NodeConfig
  readonly processId: number
  readonly startedAtMs: number
  readonly nowMs: number
  /** What is known of the datastore and its members; see members/member-status.ts. */
  readonly datastore: DatastoreStatus | null
  readonly components: readonly (Health & { readonly name: string })[]
  /** The Node object, once there is one. */
  readonly node: KubeObject | null
  /** Why nothing is known of it. */
  readonly unknown?: string
  /** Of the cluster's nodes and pods. */
  readonly problems: readonly Problem[]
  readonly backups?: readonly BackupScheduleStatus[]
  readonly addons?: readonly AddonStatus[]
}

interface NodeCondition {
  readonly type: string
  readonly status: string
  readonly message?: string
}

export function reportNodeStatus(facts: NodeStatusFacts): NodeStatus {
  const { config, node } = facts
  const conditions =
    (node?.['status'] as { conditions?: readonly NodeCondition[] } | undefined)?.conditions ?? []
  const condition = conditions.find(({ type }) => type === 'Ready')
  const nodeReady = condition?.status === 'True'
  const nodeReason =
    node === null ? (facts.unknown ?? 'the node has not registered yet') : (condition?.message ?? '')
  const components: ComponentHealth[] = facts.components.map(({ name, ok, reason }) => ({ name, ok, reason }))
  return {
    version: MK8S_VERSION,
    kubernetesVersion: GIT_VERSION,
    clusterId: config.clusterId,
    processId: facts.processId,
    startedAt: new Date(facts.startedAtMs).toISOString(),
    uptimeSeconds: Math.floor((facts.nowMs - facts.startedAtMs) / 1000),
    ready: nodeReady && (facts.datastore?.healthy ?? true) && components.every(({ ok }) => ok),
    node: {
      name: config.nodeName,
      address: config.bindAddress,
      ready: nodeReady,
      reason: nodeReady ? '' : nodeReason,
    },
    datastore: facts.datastore,
    components,
    addons: facts.addons ?? [],
    runtime: { name: config.runtime, why: config.runtimeReason },
    problems: [...components.flatMap(componentProblems), ...facts.problems],
    backups: facts.backups ?? [],
  }
}

function componentProblems({ name, ok, reason }: ComponentHealth): Problem[] {
  if (ok && reason === '') return []
  const next = 'mk8s inspect'
  return [{ object: `component/${name}`, reason: ok ? 'Degraded' : 'NotHealthy', message: reason, next }]
}
