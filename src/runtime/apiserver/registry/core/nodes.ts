/** Nodes. They register with their status, so creation keeps it. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, forbidden, required } from '../../../../kube/field-error.ts'
import { checkLabelValue, checkQualifiedName } from '../../../../kube/names.ts'
import type { Node, Taint } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf, UNKNOWN, wide } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at } from '../support.ts'
import { checkEach, checkOneOf } from '../validation/meta.ts'
import { TAINT_EFFECTS } from '../validation/scheduling.ts'

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

function checkTaints(out: FieldError[], taints: readonly Taint[]): void {
  const seen = new Set<string>()
  for (const [index, taint] of taints.entries()) {
    const field = at('spec.taints', index)
    checkEach(out, `${field}.key`, taint.key ?? '', checkQualifiedName(taint.key ?? ''))
    checkEach(out, `${field}.value`, taint.value ?? '', checkLabelValue(taint.value ?? ''))
    if (!taint.effect) out.push(required(`${field}.effect`))
    else checkOneOf(out, `${field}.effect`, taint.effect, TAINT_EFFECTS)
    const pair = `${taint.key}:${taint.effect}`
    if (seen.has(pair)) out.push(duplicate(field, taint))
    seen.add(pair)
  }
}

export const nodes: Strategy = defineKind({
  group: '',
  resource: 'nodes',
  hasStatus: true,
  hasGeneration: false,
  keepsStatusAtCreate: true,
  validate(object) {
    const out: FieldError[] = []
    checkTaints(out, asKind<Node>(object).spec?.taints ?? [])
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<Node>(next).spec
    const before = asKind<Node>(previous).spec
    if (before?.podCIDR && before.podCIDR !== after?.podCIDR) {
      out.push(forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'))
    }
    if (before?.providerID && before.providerID !== after?.providerID) {
      const detail = 'node updates may not change providerID except from "" to valid'
      out.push(forbidden('spec.providerID', detail))
    }
    return out
  },
  selectableFields: object => ({
    'spec.unschedulable': String(asKind<Node>(object).spec?.unschedulable ?? false),
  }),
  table,
})
