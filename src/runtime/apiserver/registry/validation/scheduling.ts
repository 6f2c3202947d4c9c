/** What a pod says about where it may run: affinity, tolerations, spreading. */
import { duplicate, invalid, required } from '../../../../kube/field-error.ts'
import { checkLabelValue, checkQualifiedName } from '../../../../kube/names.ts'
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
    out.push(invalid(`${field}.operator`, item, "value must be empty when `operator` is 'Exists'"))
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
  if (!term.topologyKey) out.push(required(`${field}.topologyKey`, 'can not be empty'))
  else checkEach(out, `${field}.topologyKey`, term.topologyKey, checkQualifiedName(term.topologyKey))
}

export function checkSpreading(
  out: Problems,
  path: string,
  items: PodSpec['topologySpreadConstraints'],
): void {
  const seen = new Set<string>()
  for (const [index, item] of (items ?? []).entries()) {
    const field = at(path, index)
    if (item.maxSkew <= 0) out.push(invalid(`${field}.maxSkew`, item.maxSkew, 'must be greater than zero'))
    if (!item.topologyKey) out.push(required(`${field}.topologyKey`, 'can not be empty'))
    checkOneOf(out, `${field}.whenUnsatisfiable`, item.whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway'])
    const pair = `{${item.topologyKey}, ${item.whenUnsatisfiable}}`
    if (seen.has(pair)) out.push(duplicate(`${field}.{topologyKey, whenUnsatisfiable}`, pair))
    seen.add(pair)
    if (item.minDomains !== undefined && item.minDomains <= 0) {
      out.push(invalid(`${field}.minDomains`, item.minDomains, 'must be greater than zero'))
    }
    checkSelector(out, `${field}.labelSelector`, item.labelSelector)
  }
}
