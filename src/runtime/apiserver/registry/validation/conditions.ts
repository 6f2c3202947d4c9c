/** Conditions of the common form, and how whole objects read in a refusal. */
import { duplicate, invalid, notSupported, required, tooLong } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import { at } from '../support.ts'
import { checkEach, type Problems } from './meta.ts'

const STATUSES = ['False', 'True', 'Unknown']
const REASON = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?'
const REASON_PATTERN = new RegExp(`^${REASON}$`)
const REASON_PROBLEM =
  'a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric ' +
  "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or " +
  `'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '${REASON}')`
const REASON_BYTES_MAX = 1024
const MESSAGE_BYTES_MAX = 32 * 1024

interface ConditionLike {
  type?: string
  status?: string
  observedGeneration?: number
  lastTransitionTime?: string
  reason?: string
  message?: string
}

export function checkConditions(out: Problems, list: string, conditions: readonly ConditionLike[]): void {
  const seen = new Set<string>()
  for (const [index, condition] of conditions.entries()) {
    const field = at(list, index)
    const { type = '', status = '', observedGeneration = 0, reason = '', message = '' } = condition
    if (seen.has(type)) out.push(duplicate(`${field}.type`, type))
    seen.add(type)
    checkEach(out, `${field}.type`, type, checkQualifiedName(type))
    if (!STATUSES.includes(status)) out.push(notSupported(`${field}.status`, status, STATUSES))
    if (observedGeneration < 0) {
      const detail = 'must be greater than or equal to zero'
      out.push(invalid(`${field}.observedGeneration`, observedGeneration, detail))
    }
    if (!condition.lastTransitionTime) out.push(required(`${field}.lastTransitionTime`, 'must be set'))
    if (reason === '') out.push(required(`${field}.reason`, 'must be set'))
    else {
      if (!REASON_PATTERN.test(reason)) out.push(invalid(`${field}.reason`, reason, REASON_PROBLEM))
      if (Buffer.byteLength(reason) > REASON_BYTES_MAX) out.push(tooLong(`${field}.reason`, REASON_BYTES_MAX))
    }
    if (Buffer.byteLength(message) > MESSAGE_BYTES_MAX) {
      out.push(tooLong(`${field}.message`, MESSAGE_BYTES_MAX))
    }
  }
}
