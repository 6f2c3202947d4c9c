/** What a pod says about where it may run: affinity, tolerations, spreading. */
import { duplicate, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkLabelValue, checkQualifiedName } from '../../../../kube/names.ts'
import type { NodeSelector, PodAffinityTerm, PodSpec, Toleration } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkEach, checkNodeSelectorTerm, checkOneOf, checkSelector, type Problems } from './meta.ts'

export const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

export function checkTolerations(out: Problems, path: string, tolerations: readonly Toleration[]): void {
  for (const [index, item] of tolerations.entries()) {
    const field = at(path, index)
    if (item.key) checkEach(out, `${field}.key`, item.key, checkQualifiedName(item.key))
    if (!item.key && item.operator !== 'Exists') {
      const detail =
        'operator must be Exists when `key` is empty, which means "match all values and all keys"'
      out.push(invalid(`${field}.operator`, item.operator ?? '', detail))
    }
    if (item.tolerationSeconds !== undefined && item.effect !== 'NoExecute') {
      const detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
      out.push(invalid(`${field}.effect`, item.effect ?? '', detail))
    }
    checkTolerationValue(out, field, item)
    if (item.effect) checkOneOf(out, `${field}.effect`, item.effect, TAINT_EFFECTS)
  }
}

function checkTolerationValue(out: Problems, field: string, item: Toleration): void {
  const operator = item.operator || 'Equal'
  if (operator === 'Equal') {
    const problems = checkLabelValue(item.value ?? '')
    if (problems.length > 0) out.push(invalid(`${field}.operator`, item.value, problems.join(';')))
  } else if (operator === 'Exists') {
    if (!item.value) return
    out.push(invalid(`${field}.operator`, item.value, "value must be empty when `operator` is 'Exists'"))
  } else {
    checkOneOf(out, `${field}.operator`, operator, ['Equal', 'Exists'])
  }
}

export function checkNodeSelector(out: Problems, field: string, selector: NodeSelector | undefined): void {
  if (!selector) return
  const terms = selector.nodeSelectorTerms ?? []
  if (terms.length === 0) {
    out.push(required(`${field}.nodeSelectorTerms`, 'must have at least one node selector term'))
  }
  for (const [index, term] of terms.entries()) {
    checkNodeSelectorTerm(out, at(`${field}.nodeSelectorTerms`, index), term)
  }
}

export function checkAffinity(out: Problems, path: string, affinity: PodSpec['affinity']): void {
  if (!affinity) return
  const { nodeAffinity: node } = affinity
  const requiredNode = node?.requiredDuringSchedulingIgnoredDuringExecution
  const when = (kind: string) => `${path}.${kind}DuringSchedulingIgnoredDuringExecution`
  checkNodeSelector(out, when('nodeAffinity.required'), requiredNode)
  for (const [index, term] of (node?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
    const field = at(when('nodeAffinity.preferred'), index)
    checkWeight(out, field, term.weight)
    checkNodeSelectorTerm(out, `${field}.preference`, term.preference ?? {})
  }
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const terms = affinity[kind]
    for (const [index, term] of (terms?.requiredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
      checkPodTerm(out, at(when(`${kind}.required`), index), term)
    }
    for (const [index, term] of (terms?.preferredDuringSchedulingIgnoredDuringExecution ?? []).entries()) {
      const field = at(when(`${kind}.preferred`), index)
      checkWeight(out, field, term.weight)
      checkPodTerm(out, `${field}.podAffinityTerm`, term.podAffinityTerm ?? {})
    }
  }
}

function checkWeight(out: Problems, field: string, weight: number): void {
  if (weight < 1 || weight > 100) {
    out.push(invalid(`${field}.weight`, weight, 'must be in the range 1-100'))
  }
}

function checkPodTerm(out: Problems, field: string, term: Partial<PodAffinityTerm>): void {
  checkSelector(out, `${field}.labelSelector`, term.labelSelector)
  checkSelector(out, `${field}.namespaceSelector`, term.namespaceSelector)
  for (const name of term.namespaces ?? []) {
    checkEach(out, `${field}.namespace`, name, checkDns1123Label(name))
  }
  checkLabelKeys(out, field, term)
  const key = term.topologyKey ?? ''
  if (key === '') out.push(required(`${field}.topologyKey`, 'can not be empty'))
  checkEach(out, `${field}.topologyKey`, key, checkQualifiedName(key))
}

/** Keys whose values are the pod's own; they stand beside a selector, and in one of the two lists. */
function checkLabelKeys(out: Problems, field: string, term: Partial<PodAffinityTerm>): void {
  const { matchLabelKeys = [], mismatchLabelKeys = [], labelSelector } = term
  const lists = { matchLabelKeys, mismatchLabelKeys }
  for (const [name, keys] of Object.entries(lists)) {
    if (keys.length > 0 && !labelSelector) {
      out.push(forbidden(`${field}.${name}`, 'must not be specified when labelSelector is not set'))
    }
    for (const [index, key] of keys.entries()) {
      const path = at(`${field}.${name}`, index)
      checkEach(out, path, key, checkQualifiedName(key))
      if (labelSelector?.matchLabels?.[key] !== undefined) {
        out.push(invalid(path, key, `exists in both ${name} and labelSelector`))
      }
    }
  }
  for (const [index, key] of matchLabelKeys.entries()) {
    if (!mismatchLabelKeys.includes(key)) continue
    const detail = 'exists in both matchLabelKeys and mismatchLabelKeys'
    out.push(invalid(at(`${field}.matchLabelKeys`, index), key, detail))
  }
}

type Constraint = NonNullable<PodSpec['topologySpreadConstraints']>[number]

const pairOf = (item: Constraint): string => `{${item.topologyKey}, ${item.whenUnsatisfiable}}`

export function checkSpreading(
  out: Problems,
  path: string,
  items: PodSpec['topologySpreadConstraints'],
): void {
  const list = items ?? []
  for (const [index, item] of list.entries()) {
    const field = at(path, index)
    if (item.maxSkew <= 0) out.push(invalid(`${field}.maxSkew`, item.maxSkew, 'must be greater than zero'))
    if (!item.topologyKey) out.push(required(`${field}.topologyKey`, 'can not be empty'))
    else checkEach(out, `${field}.topologyKey`, item.topologyKey, checkQualifiedName(item.topologyKey))
    checkOneOf(out, `${field}.whenUnsatisfiable`, item.whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway'])
    if (list.slice(index + 1).some(later => pairOf(later) === pairOf(item))) {
      out.push(duplicate(`${field}.{topologyKey, whenUnsatisfiable}`, pairOf(item)))
    }
    checkDomains(out, `${field}.minDomains`, item)
    for (const name of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      if (item[name] !== undefined) checkOneOf(out, `${field}.${name}`, item[name], ['Honor', 'Ignore'])
    }
    checkSpreadKeys(out, `${field}.matchLabelKeys`, item)
    checkSelector(out, `${field}.labelSelector`, item.labelSelector)
  }
}

function checkDomains(out: Problems, field: string, { minDomains, whenUnsatisfiable }: Constraint): void {
  if (minDomains === undefined) return
  if (minDomains <= 0) out.push(invalid(field, minDomains, 'must be greater than zero'))
  if (whenUnsatisfiable === 'DoNotSchedule') return
  const detail = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`
  out.push(invalid(field, minDomains, detail))
}

function checkSpreadKeys(out: Problems, field: string, item: Constraint): void {
  const keys = item.matchLabelKeys ?? []
  if (keys.length === 0) return
  if (!item.labelSelector) {
    out.push(forbidden(field, 'must not be specified when labelSelector is not set'))
  }
  for (const [index, key] of keys.entries()) {
    checkEach(out, at(field, index), key, checkQualifiedName(key))
    if (item.labelSelector?.matchLabels?.[key] === undefined) continue
    out.push(invalid(at(field, index), key, 'exists in both matchLabelKeys and labelSelector'))
  }
}
