/** When containers are restarted: their own policy and rules, and what a change of resources does. */
import { duplicate, invalid, notSupported, required, tooMany } from '../../../../kube/field-error.ts'
import type { Container } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import type { Problems } from './meta.ts'

const RULES_MAX = 20
const CODES_MAX = 255
const POLICIES = ['Always', 'Never', 'OnFailure']
const RESIZABLE = ['cpu', 'memory']
const RESIZE_POLICIES = ['NotRequired', 'RestartContainer']

export function checkRestarts(
  out: Problems,
  field: string,
  container: Container,
  podPolicy: string | undefined,
): void {
  const { restartPolicy, restartPolicyRules: rules } = container
  if (restartPolicy !== undefined && !POLICIES.includes(restartPolicy)) {
    out.push(notSupported(`${field}.restartPolicy`, restartPolicy, POLICIES))
  }
  if (rules === undefined || podPolicy === undefined) return
  const list = `${field}.restartPolicyRules`
  if (restartPolicy === undefined) {
    out.push(required(`${field}.restartPolicy`, 'must specify restartPolicy when restart rules are used'))
  }
  if (rules.length > RULES_MAX) out.push(tooMany(list, rules.length, RULES_MAX))
  for (const [index, { action, exitCodes }] of rules.entries()) {
    const path = at(list, index)
    const actions = ['Restart', 'RestartAllContainers']
    if (!actions.includes(action)) out.push(notSupported(`${path}.action`, action, actions))
    if (!exitCodes) {
      out.push(required(`${path}.exitCodes`, 'must be specified'))
      continue
    }
    const operators = ['In', 'NotIn']
    if (!operators.includes(exitCodes.operator)) {
      out.push(notSupported(`${path}.exitCodes.operator`, exitCodes.operator, operators))
    }
    const codes = exitCodes.values ?? []
    if (codes.length > CODES_MAX) out.push(tooMany(`${path}.exitCodes.values`, codes.length, CODES_MAX))
  }
}

export function checkResizePolicies(
  out: Problems,
  field: string,
  policies: Container['resizePolicy'],
  podPolicy: string | undefined,
): void {
  const seen = new Set<string>()
  for (const [index, { resourceName: name, restartPolicy: policy }] of (policies ?? []).entries()) {
    if (seen.has(name)) out.push(duplicate(at(field, index), name))
    seen.add(name)
    if (!name) out.push(required(field))
    else if (!RESIZABLE.includes(name)) out.push(notSupported(field, name, RESIZABLE))
    if (!policy) out.push(required(field))
    else if (!RESIZE_POLICIES.includes(policy)) out.push(notSupported(field, policy, RESIZE_POLICIES))
    if (podPolicy === 'Never' && policy !== 'NotRequired') {
      out.push(invalid(field, policy, "must be 'NotRequired' when `restartPolicy` is 'Never'"))
    }
  }
}
