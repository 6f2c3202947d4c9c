/** What some admission plugins are configured with: each reads its fields and says what is wrong with them. Pure. */
import { dirname, resolve } from 'node:path'
import { isMap, type JsonMap } from '../../../kube/json-map.ts'
import type { Toleration } from '../../../kube/types.ts'
import { EVENT_LIMIT_TYPES, type EventLimit } from './event-rate-limit.ts'
import type { ImagePolicySettings } from './image-policy.ts'
import { type NodeSelectors, parseLabels } from './pod-node-selector.ts'
import type { TolerationSettings } from './pod-toleration-restriction.ts'

type Problems = string[]

const listIn = (value: unknown): readonly JsonMap[] =>
  (Array.isArray(value) ? value : []).map(one => (isMap(one) ? one : {}))

const shown = (value: unknown): string => JSON.stringify(value ?? null)

const CACHE_SIZE = 4_096
const CACHE_SIZE_MAX = 1_000_000

/** `Configuration` of eventratelimit.admission.k8s.io. */
export function readEventLimits(fields: JsonMap, problems: Problems): readonly EventLimit[] {
  const limits = listIn(fields['limits'])
  if (limits.length === 0) problems.push('limits: Invalid value: null: must not be empty')
  return limits.map((limit, at) => {
    const where = `limits[${at}]`
    const type = EVENT_LIMIT_TYPES.find(one => one === limit['type'])
    if (type === undefined) {
      const supported = [...EVENT_LIMIT_TYPES].sort().map(shown).join(', ')
      problems.push(
        `${where}.type: Unsupported value: ${shown(limit['type'])}: supported values: ${supported}`,
      )
    }
    const positive = (field: string): number => {
      const value = limit[field] ?? 0
      if (!Number.isSafeInteger(value) || Number(value) <= 0)
        problems.push(`${where}.${field}: Invalid value: ${shown(value)}: must be positive`)
      return Number(value)
    }
    const size = limit['cacheSize'] ?? 0
    if (type !== 'Server' && (!Number.isSafeInteger(size) || Number(size) < 0))
      problems.push(`${where}.cacheSize: Invalid value: ${shown(size)}: must not be negative`)
    const [burst, qps] = [positive('burst'), positive('qps')]
    const cacheSize = Math.min(Number(size) || CACHE_SIZE, CACHE_SIZE_MAX)
    return { type: type ?? 'Server', burst, qps, cacheSize }
  })
}

/** A field whose name may begin with a capital letter, as upstream takes it. */
function fieldOf(fields: JsonMap, name: string): unknown {
  const found = Object.keys(fields).find(key => key.toLowerCase() === name.toLowerCase())
  return found === undefined ? undefined : fields[found]
}

/** `podNodeSelectorPluginConfig`. */
export function readNodeSelectors(fields: JsonMap, problems: Problems): NodeSelectors {
  const configured = fieldOf(fields, 'podNodeSelectorPluginConfig') ?? {}
  if (!isMap(configured)) problems.push('podNodeSelectorPluginConfig: it is not a map')
  const selectors = Object.entries(isMap(configured) ? configured : {}).map(
    ([name, text]) => [name, String(text ?? '')] as const,
  )
  for (const [name, text] of selectors) {
    try {
      parseLabels(text)
    } catch (error) {
      problems.push(`podNodeSelectorPluginConfig.${name}: ${(error as Error).message}`)
    }
  }
  return Object.fromEntries(selectors)
}

const OPERATORS = ['Exists', 'Equal']
const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

/** `Configuration` of podtolerationrestriction.admission.k8s.io. */
export function readTolerations(fields: JsonMap, problems: Problems): TolerationSettings {
  const read = (field: string): readonly Toleration[] =>
    listIn(fields[field]).map((one, at) => {
      const { key = '', operator = 'Equal', value = '', effect = '' } = one
      const bad = (name: string, why: string) =>
        problems.push(`${field}[${at}].${name}: Invalid value: ${shown(one[name])}: ${why}`)
      if (!OPERATORS.includes(String(operator))) bad('operator', 'must be Exists or Equal')
      if (key === '' && operator !== 'Exists') bad('operator', 'operator must be Exists when `key` is empty')
      if (operator === 'Exists' && value !== '')
        bad('operator', "value must be empty when `operator` is 'Exists'")
      if (effect !== '' && !EFFECTS.includes(String(effect)))
        bad('effect', `must be one of ${EFFECTS.join()}`)
      return one as Toleration
    })
  return { defaults: read('default'), whitelist: read('whitelist') }
}

const MINUTE_MS = 60_000

/** `imagePolicy`; its kubeconfig stands beside the configuration when its path is not absolute. */
export function readImagePolicy(fields: JsonMap, path: string, problems: Problems): ImagePolicySettings {
  const policy = fieldOf(fields, 'imagePolicy')
  const given = isMap(policy) ? policy : {}
  const file = given['kubeConfigFile']
  if (typeof file !== 'string' || file === '') problems.push('imagePolicy.kubeConfigFile: Required value')
  const time = (field: string, unitMs: number, usualMs: number, bounds: readonly [number, number]) => {
    const value = Number(given[field] ?? 0)
    if (value === -1) return 0
    if (value === 0) return usualMs
    const ms = value * unitMs
    if (!(ms > bounds[0] && ms <= bounds[1])) {
      const between = `between ${bounds[0]}ms and ${bounds[1]}ms`
      problems.push(`imagePolicy.${field}: valid value is ${between}, got ${shown(given[field])}`)
    }
    return ms
  }
  return {
    kubeConfigFile: resolve(dirname(path), String(file ?? '')),
    allowTtlMs: time('allowTTL', 1_000, 5 * MINUTE_MS, [1_000, 30 * MINUTE_MS]),
    denyTtlMs: time('denyTTL', 1_000, MINUTE_MS / 2, [1_000, 30 * MINUTE_MS]),
    retryBackoffMs: time('retryBackoff', 1, 500, [0, 5 * MINUTE_MS]),
    defaultAllow: given['defaultAllow'] === true,
  }
}
