/** Which names of a definition are accepted, and which conditions say so; pure. */
import { approvalOf, isProtectedGroup } from '../../../kube/api-approval.ts'
import {
  type CustomDefinition,
  type DefinitionCondition,
  type DefinitionNames,
  isDefinition,
} from '../../../kube/custom-definition.ts'
import { equalJson } from '../../../kube/equality.ts'
import type { ResourceInfo } from '../../../kube/model-types.ts'

type Status = NonNullable<CustomDefinition['status']>

/** What names are measured by. */
interface Neighbours {
  /** All other definitions. */
  readonly others: readonly CustomDefinition[]
  /** The kinds that the server has without definitions, of any group. */
  readonly builtIn: readonly ResourceInfo[]
}

/** The new status, or null when it is right as it is. */
export function planStatus(definition: CustomDefinition, neighbours: Neighbours, now: string): Status | null {
  const { names, condition } = acceptNames(definition, neighbours)
  const conditions = [...(definition.status?.conditions ?? [])]
  setCondition(conditions, condition, now)
  const isEstablished = isDefinition(definition, 'Established')
  if (!isEstablished) setCondition(conditions, establishedBy(condition), now)
  const approval = approvalCondition(definition)
  if (approval !== null) setCondition(conditions, approval, now)
  const before = definition.status ?? {}
  const next = { ...before, conditions, acceptedNames: names }
  return equalJson(next, before) ? null : next
}

type Said = Pick<DefinitionCondition, 'type' | 'status' | 'reason' | 'message'>

/** Changes `conditions`; the time is that of the last change of the status. */
export function setCondition(conditions: DefinitionCondition[], said: Said, now: string): void {
  const index = conditions.findIndex(one => one.type === said.type)
  const before = conditions[index]
  if (before === undefined) conditions.push({ ...said, lastTransitionTime: now })
  else {
    const time = before.status === said.status ? (before.lastTransitionTime ?? now) : now
    conditions[index] = { ...before, ...said, lastTransitionTime: time }
  }
}

function establishedBy(accepted: Said): Said {
  if (accepted.status === 'True') {
    return {
      type: 'Established',
      status: 'True',
      reason: 'InitialNamesAccepted',
      message: 'the initial names have been accepted',
    }
  }
  return {
    type: 'Established',
    status: 'False',
    reason: 'NotAccepted',
    message: 'not all names are accepted',
  }
}

function approvalCondition({ metadata, spec }: CustomDefinition): Said | null {
  if (!isProtectedGroup(spec.group)) return null
  const { state, message } = approvalOf(metadata.annotations)
  const reasons = {
    missing: 'MissingAnnotation',
    invalid: 'InvalidAnnotation',
    bypassed: 'UnapprovedAnnotation',
    approved: 'ApprovedAnnotation',
  }
  return {
    type: 'KubernetesAPIApprovalPolicyConformant',
    status: state === 'approved' ? 'True' : 'False',
    reason: reasons[state],
    message,
  }
}

/** Each name is taken over unless another definition of the group has it; what cannot be stays as it was. */
function acceptNames(
  definition: CustomDefinition,
  neighbours: Neighbours,
): { readonly names: DefinitionNames; readonly condition: Said } {
  const wanted = definition.spec.names
  const names: DefinitionNames = { ...(definition.status?.acceptedNames ?? { plural: '', kind: '' }) }
  const taken = takenNames(definition.spec.group, neighbours)
  let conflict: { reason: string; message: string } | null = null
  const check = (
    reason: string,
    asked: readonly string[],
    own: readonly string[],
    used: ReadonlySet<string>,
  ) => {
    const lost = asked.filter(name => name !== '' && !own.includes(name) && used.has(name))
    if (lost.length === 0) return true
    conflict = { reason, message: inUse(lost) }
    return false
  }
  const one = (
    field: 'plural' | 'singular' | 'kind' | 'listKind',
    reason: string,
    used: ReadonlySet<string>,
  ) => {
    const asked = wanted[field] ?? ''
    if (check(reason, [asked], [names[field] ?? ''], used)) names[field] = asked
  }
  one('plural', 'PluralConflict', taken.resources)
  one('singular', 'SingularConflict', taken.resources)
  const shortNames = wanted.shortNames ?? []
  if (check('ShortNamesConflict', shortNames, names.shortNames ?? [], taken.resources)) {
    if (shortNames.length > 0) names.shortNames = shortNames
    else delete names.shortNames
  }
  one('kind', 'KindConflict', taken.kinds)
  one('listKind', 'ListKindConflict', taken.kinds)
  if ((wanted.categories ?? []).length > 0) names.categories = wanted.categories ?? []
  else delete names.categories
  const said: { reason: string; message: string } | null = conflict
  const condition: Said = {
    type: 'NamesAccepted',
    status: said === null ? 'True' : 'False',
    ...(said ?? { reason: 'NoConflicts', message: 'no conflicts found' }),
  }
  return { names, condition }
}

function inUse(names: readonly string[]): string {
  const texts = names.map(name => `${JSON.stringify(name)} is already in use`)
  return texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`
}

function takenNames(
  group: string,
  { others, builtIn }: Neighbours,
): { readonly resources: ReadonlySet<string>; readonly kinds: ReadonlySet<string> } {
  const resources = new Set<string>()
  const kinds = new Set<string>()
  for (const { spec, status } of others) {
    const names = status?.acceptedNames
    if (spec.group !== group || names === undefined) continue
    for (const name of [names.plural, names.singular ?? '', ...(names.shortNames ?? [])]) resources.add(name)
    for (const kind of [names.kind, names.listKind ?? '']) kinds.add(kind)
  }
  // They are stored under the same prefix: what goes with the definition would be theirs.
  for (const info of builtIn) {
    if (info.group !== group && info.storage.group !== group) continue
    for (const name of [info.resource, info.storage.resource, info.singular, ...info.shortNames]) {
      resources.add(name)
    }
    for (const kind of [info.kind, info.listKind]) kinds.add(kind)
  }
  return { resources, kinds }
}
