/** Rules that claims, classes and slices share: configuration, tolerations, conditions of binding. */
import { duplicate, invalid, notSupported, required, tooLong } from '../../../../kube/field-error.ts'
import { isMap } from '../../../../kube/json-map.ts'
import { checkLabelKey, checkLabelValue } from '../../../../kube/names.ts'
import { at } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { checkItems } from './lists.ts'
import { checkDriverName } from './names.ts'

const PARAMETERS_BYTES_MAX = 10 * 1024
const TOLERATIONS_MAX = 16
const CONDITIONS_MAX = 4
export const CONFIGS_MAX = 32
export const DEVICE_EFFECTS = ['NoExecute', 'NoSchedule', 'None']

interface Configuration {
  opaque?: { driver?: string; parameters?: unknown }
}

export function checkConfiguration(out: Problems, field: string, { opaque }: Configuration): void {
  if (!opaque) {
    out.push(required(`${field}.opaque`))
    return
  }
  checkDriverName(out, `${field}.opaque.driver`, opaque.driver ?? '')
  checkRaw(out, `${field}.opaque.parameters`, opaque.parameters)
}

/** An object of a driver's own, of a bounded size. */
export function checkRaw(out: Problems, field: string, value: unknown): void {
  if (value === undefined || value === null) out.push(required(field))
  else if (JSON.stringify(value).length > PARAMETERS_BYTES_MAX) out.push(tooLong(field, PARAMETERS_BYTES_MAX))
  else if (!isMap(value)) out.push(invalid(field, '<value omitted>', 'must be a valid JSON object'))
}

interface DeviceToleration {
  key?: string
  operator?: string
  value?: string
  effect?: string
}

export function checkDeviceTolerations(
  out: Problems,
  field: string,
  items: readonly DeviceToleration[] | undefined,
): void {
  checkItems(out, field, { items, max: TOLERATIONS_MAX }, (item, path) => {
    const { key = '', operator = '', value = '', effect = '' } = item
    if (key !== '') checkEach(out, `${path}.key`, key, checkLabelKey(key))
    if (operator === 'Exists') {
      if (value !== '') out.push(invalid(`${path}.value`, value, 'must be empty for operator `Exists`'))
    } else if (operator === 'Equal') {
      checkEach(out, `${path}.value`, value, checkLabelValue(value))
    } else if (operator === '') {
      out.push(required(`${path}.operator`))
    } else {
      out.push(notSupported(`${path}.operator`, operator, ['Equal', 'Exists']))
    }
    if (effect !== '' && !DEVICE_EFFECTS.includes(effect)) {
      out.push(notSupported(`${path}.effect`, effect, DEVICE_EFFECTS))
    }
  })
}

interface Bindable {
  bindingConditions?: string[]
  bindingFailureConditions?: string[]
}

export function checkBinding(out: Problems, field: string, device: Bindable): void {
  const { bindingConditions = [], bindingFailureConditions = [] } = device
  const fields = { bindingConditions, bindingFailureConditions }
  for (const [name, items] of Object.entries(fields)) {
    checkItems(out, `${field}.${name}`, { items, max: CONDITIONS_MAX }, (condition, path) =>
      checkEach(out, path, condition, checkLabelKey(condition)),
    )
  }
  for (const [name, items] of Object.entries(fields)) {
    for (const [index, condition] of items.entries()) {
      const path = at(`${field}.${name}`, index)
      if (items.indexOf(condition) < index) out.push(duplicate(path, condition))
      if (name === 'bindingConditions' || !bindingConditions.includes(condition)) continue
      const detail = 'bindingFailureConditions must not overlap with bindingConditions'
      out.push(invalid(path, condition, detail))
    }
  }
  const [isBound, canFail] = [bindingConditions.length > 0, bindingFailureConditions.length > 0]
  if (!isBound && canFail) {
    const detail = 'bindingConditions are required to use bindingFailureConditions'
    out.push(invalid(`${field}.bindingConditions`, device.bindingConditions, detail))
  }
  if (isBound && !canFail) {
    const detail = 'bindingFailureConditions are required to use bindingConditions'
    out.push(invalid(`${field}.bindingFailureConditions`, device.bindingFailureConditions, detail))
  }
}
