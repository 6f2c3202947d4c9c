/** One device of a slice: attributes, capacity, taints, counters, and where it is. */
import { forbidden, invalid, notSupported, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain, checkLabelKey, checkLabelValue } from '../../../../kube/names.ts'
import type { NodeSelector } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { checkNodeSelector } from '../validation/scheduling.ts'
import { checkRequestPolicy, type RequestPolicy } from './capacity.ts'
import { checkBinding, DEVICE_EFFECTS } from './device-rules.ts'
import { checkItems, checkMap, checkSet } from './lists.ts'
import { checkAttributeName, checkLabelName } from './names.ts'

const TRAITS_MAX = 32
const VALUES_MAX = 48
const TEXT_BYTES_MAX = 64
const TAINTS_MAX = 16
const CONSUMPTIONS_MAX = 2
const COUNTERS_MAX = 32
const ANY = Number.POSITIVE_INFINITY
const SEMVER =
  /^(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$/

interface Attribute {
  bool?: boolean
  int?: number
  string?: string
  version?: string
  bools?: boolean[]
  ints?: number[]
  strings?: string[]
  versions?: string[]
}

export interface SliceDevice {
  name: string
  attributes?: Record<string, Attribute>
  capacity?: Record<string, { value: string; requestPolicy?: RequestPolicy }>
  taints?: { key?: string; value?: string; effect?: string }[]
  consumesCounters?: { counterSet?: string; counters?: Record<string, unknown> }[]
  nodeName?: string
  nodeSelector?: NodeSelector
  allNodes?: boolean
  allowMultipleAllocations?: boolean
  bindingConditions?: string[]
  bindingFailureConditions?: string[]
}

export function checkSliceDevice(
  out: Problems,
  field: string,
  device: SliceDevice,
  choosesNodes: boolean,
): void {
  checkLabelName(out, `${field}.name`, device.name ?? '')
  checkTraits(out, field, device)
  checkItems(out, `${field}.taints`, { items: device.taints, max: TAINTS_MAX }, (taint, path) => {
    checkEach(out, `${path}.key`, taint.key ?? '', checkLabelKey(taint.key ?? ''))
    if (taint.value) checkEach(out, `${path}.value`, taint.value, checkLabelValue(taint.value))
    if (!taint.effect) out.push(required(`${path}.effect`))
    else if (!DEVICE_EFFECTS.includes(taint.effect)) {
      out.push(notSupported(`${path}.effect`, taint.effect, DEVICE_EFFECTS))
    }
  })
  const consumed = {
    items: device.consumesCounters,
    max: CONSUMPTIONS_MAX,
    key: (item: { counterSet?: string }) => item.counterSet,
  }
  checkSet(out, `${field}.consumesCounters`, consumed, (item, path) => {
    if (!item.counterSet) out.push(required(`${path}.counterSet`))
    else checkLabelName(out, `${path}.counterSet`, item.counterSet)
    checkCounters(out, `${path}.counters`, item.counters)
  })
  if (choosesNodes) checkOwnPlace(out, field, device)
  else if (device.nodeName !== undefined || device.nodeSelector || device.allNodes !== undefined) {
    const when = 'can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec'
    out.push(invalid(field, undefined, `\`nodeName\`, \`nodeSelector\` and \`allNodes\` ${when}`))
  }
  checkBinding(out, field, device)
}

export function checkCounters(
  out: Problems,
  field: string,
  counters: Readonly<Record<string, unknown>> | undefined,
): void {
  if (Object.keys(counters ?? {}).length === 0) {
    out.push(required(field))
    return
  }
  checkMap(
    out,
    field,
    { items: counters, max: COUNTERS_MAX },
    {
      key: (name, path) => checkLabelName(out, path, name),
      value: () => {},
    },
  )
}

function checkTraits(out: Problems, field: string, device: SliceDevice): void {
  const { attributes = {}, capacity = {} } = device
  const traits = Object.keys(attributes).length + Object.keys(capacity).length
  if (traits > TRAITS_MAX) {
    const detail = `the total number of attributes and capacities must not exceed ${TRAITS_MAX}`
    out.push(invalid(field, traits, detail))
  }
  const values = Object.values(attributes).reduce((sum, attribute) => sum + valuesIn(attribute), 0)
  if (values > VALUES_MAX) {
    const detail = `the total number of attribute values must not exceed ${VALUES_MAX}`
    out.push(invalid(field, values, detail))
  }
  checkMap(
    out,
    `${field}.attributes`,
    { items: attributes, max: ANY },
    {
      key: (name, path) => checkAttributeName(out, path, name),
      value: (attribute, path) => checkAttribute(out, path, attribute),
    },
  )
  checkMap(
    out,
    `${field}.capacity`,
    { items: capacity, max: ANY },
    {
      key: (name, path) => checkAttributeName(out, path, name),
      value(item, path) {
        if (!item.requestPolicy) return
        const policy = `${path}.requestPolicy`
        if (device.allowMultipleAllocations === true)
          checkRequestPolicy(out, policy, item.value, item.requestPolicy)
        else out.push(forbidden(policy, 'allowMultipleAllocations must be true'))
      },
    },
  )
}

const LISTS = ['bools', 'ints', 'strings', 'versions'] as const
const ONES = ['bool', 'int', 'string', 'version'] as const

const valuesIn = (attribute: Attribute): number =>
  LISTS.reduce((sum, name) => sum + (attribute[name]?.length ?? 0), 0) || 1

function checkAttribute(out: Problems, field: string, attribute: Attribute): void {
  if (attribute.string !== undefined) checkText(out, `${field}.string`, attribute.string)
  if (attribute.version !== undefined) checkVersion(out, `${field}.version`, attribute.version)
  for (const name of LISTS) {
    if (attribute[name]?.length === 0) {
      out.push(invalid(`${field}.${name}`, [], 'must not be empty if specified'))
    }
  }
  for (const [index, text] of (attribute.strings ?? []).entries()) {
    checkText(out, at(`${field}.strings`, index), text)
  }
  for (const [index, text] of (attribute.versions ?? []).entries()) {
    checkVersion(out, at(`${field}.versions`, index), text)
  }
  const given = [...ONES, ...LISTS].filter(name => attribute[name] !== undefined)
  if (given.length === 1) return
  out.push(invalid(field, given.length === 0 ? '' : attribute, 'exactly one value must be specified'))
}

function checkText(out: Problems, field: string, text: string): void {
  if (Buffer.byteLength(text) > TEXT_BYTES_MAX) out.push(tooLong(field, TEXT_BYTES_MAX))
}

function checkVersion(out: Problems, field: string, text: string): void {
  if (!SEMVER.test(text)) {
    out.push(invalid(field, text, 'must be a string compatible with semver.org spec 2.0.0'))
  }
  checkText(out, field, text)
}

function checkOwnPlace(out: Problems, field: string, device: SliceDevice): void {
  const given: string[] = []
  const { nodeName, nodeSelector, allNodes } = device
  if (nodeName === '') out.push(invalid(`${field}.nodeName`, '', 'must not be empty'))
  else if (nodeName !== undefined) {
    given.push('`nodeName`')
    checkEach(out, `${field}.nodeName`, nodeName, checkDns1123Subdomain(nodeName))
  }
  if (nodeSelector) {
    given.push('`nodeSelector`')
    checkNodeSelector(out, `${field}.nodeSelector`, nodeSelector)
  }
  if (allNodes === true) given.push('`allNodes`')
  else if (allNodes === false) {
    out.push(invalid(`${field}.allNodes`, false, 'must be either unset or set to true'))
  }
  if (given.length === 1) return
  const when = 'is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec'
  const detail = `exactly one of \`nodeName\`, \`nodeSelector\`, or \`allNodes\` ${when}`
  out.push(given.length === 0 ? required(field, detail) : invalid(field, `{${given.join(', ')}}`, detail))
}
