/** Nodes. They register with their status, so creation keeps it. */
import type { Node } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf, UNKNOWN, wide } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { newNodeProblems, nodeProblems, nodeUpdateProblems, settleNode } from './node-rules.ts'

const ROLE_PREFIX = 'node-role.kubernetes.io/'
const ROLE_LABEL = 'kubernetes.io/role'

const table = tableOf<Node>(
  [
    nameColumn,
    column('Status', 'Whether the node takes and runs pods'),
    column('Roles', 'Roles that labels give the node'),
    ageColumn,
    column('Version', 'Version of the kubelet'),
    wide('Internal-IP', 'Address inside the cluster'),
    wide('External-IP', 'Address for others'),
    wide('OS-Image', 'Operating system'),
    wide('Kernel-Version', 'Kernel'),
    wide('Container-Runtime', 'Runtime and its version'),
  ],
  (node, nowMs) => {
    const info = node.status?.nodeInfo
    return [
      node.metadata.name ?? '',
      statusText(node),
      rolesText(node.metadata.labels ?? {}),
      since(node.metadata.creationTimestamp, nowMs),
      info?.kubeletVersion ?? '',
      addressOf(node, 'InternalIP'),
      addressOf(node, 'ExternalIP'),
      info?.osImage || UNKNOWN,
      info?.kernelVersion || UNKNOWN,
      info?.containerRuntimeVersion || UNKNOWN,
    ]
  },
)

function statusText(node: Node): string {
  const ready = (node.status?.conditions ?? []).find(item => item.type === 'Ready')
  const status = !ready ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'
  return node.spec?.unschedulable === true ? `${status},SchedulingDisabled` : status
}

function rolesText(labels: Record<string, string>): string {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(labels)) {
    const role = key.startsWith(ROLE_PREFIX) ? key.slice(ROLE_PREFIX.length) : ''
    if (role !== '') roles.add(role)
    else if (key === ROLE_LABEL && value !== '') roles.add(value)
  }
  return roles.size === 0 ? NONE : [...roles].sort().join(',')
}

function addressOf(node: Node, type: string): string {
  return (node.status?.addresses ?? []).find(item => item.type === type)?.address ?? NONE
}

export const nodes: Strategy = defineKind({
  group: '',
  resource: 'nodes',
  hasStatus: true,
  hasGeneration: false,
  keepsStatusAtCreate: true,
  applyDefaults: object => settleNode(asKind<Node>(object)),
  validate: object => nodeProblems(asKind<Node>(object)),
  validateCreate: object => newNodeProblems(asKind<Node>(object)),
  validateUpdate: (next, previous) => nodeUpdateProblems(asKind<Node>(next), asKind<Node>(previous)),
  validateStatusUpdate: (next, previous) => [
    ...nodeProblems(asKind<Node>(next)),
    ...nodeUpdateProblems(asKind<Node>(next), asKind<Node>(previous)),
  ],
  selectableFields: object => ({
    'spec.unschedulable': String(asKind<Node>(object).spec?.unschedulable ?? false),
  }),
  table,
})
