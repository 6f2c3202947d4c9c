/** Resources of a whole pod: its own requests and limits, its overhead, and the device claims it brings. */
import { duplicate, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkDns1123Subdomain } from '../../../../kube/names.ts'
import { parseQuantity } from '../../../../kube/quantity.ts'
import type { PodSpec } from '../../../../kube/types.ts'
import { at, keyed } from '../support.ts'
import { checkEach, type Problems } from './meta.ts'
import { compareQuantities, isQuantity } from './quantities.ts'
import { checkResources } from './resources.ts'

const OF_PODS = ['cpu', 'memory']
const isOfPods = (name: string): boolean => OF_PODS.includes(name) || name.startsWith('hugepages-')

export function checkPodResources(out: Problems, path: string, spec: PodSpec): void {
  const { resources } = spec
  if (!resources) return
  const field = `${path}.resources`
  if (resources.claims)
    out.push(forbidden(`${field}.claims`, 'claims cannot be set for Resources at pod-level'))
  for (const part of ['limits', 'requests'] as const) {
    for (const name of Object.keys(resources[part] ?? {})) {
      if (isOfPods(name)) continue
      const choices = '"cpu", "hugepages-", "memory"'
      const message = `Unsupported value: ${JSON.stringify(name)}: supported values: ${choices}`
      out.push({ type: 'FieldValueNotSupported', field: keyed(`${field}.${part}`, name), message })
    }
  }
  checkResources(out, field, resources)
  checkAggregate(out, `${field}.requests`, spec)
  for (const [index, container] of (spec.containers ?? []).entries()) {
    for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
      const most = resources.limits?.[name]
      if (most === undefined || !isQuantity(limit) || !isQuantity(most)) continue
      if (compareQuantities(limit, most) <= 0) continue
      const place = `${keyed(at(`${field}.containers`, index), name)}.limits`
      out.push(invalid(place, limit, `must be less than or equal to pod limits of ${most}`))
    }
  }
}

type Amounts = Map<string, bigint>

const amountsOf = (container: { resources?: { requests?: Record<string, string> } }): Amounts =>
  new Map(
    Object.entries(container.resources?.requests ?? {})
      .filter(([name, text]) => isOfPods(name) && isQuantity(text))
      .map(([name, text]) => [name, parseQuantity(text).nano]),
  )

const add = (to: Amounts, more: Amounts): Amounts =>
  new Map([...to.keys(), ...more.keys()].map(key => [key, (to.get(key) ?? 0n) + (more.get(key) ?? 0n)]))

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const most = (a: Amounts, b: Amounts): Amounts =>
  new Map([...a.keys(), ...b.keys()].map(key => [key, larger(a.get(key) ?? 0n, b.get(key) ?? 0n)]))

/** What the containers need at most at one time, sidecars counted while the others start. */
function aggregate(spec: PodSpec): Amounts {
  let running = (spec.containers ?? []).map(amountsOf).reduce(add, new Map())
  let sidecars: Amounts = new Map()
  let starting: Amounts = new Map()
  for (const container of spec.initContainers ?? []) {
    const own = amountsOf(container)
    if (container.restartPolicy === 'Always') {
      running = add(running, own)
      sidecars = add(sidecars, own)
      starting = most(starting, sidecars)
    } else starting = most(starting, add(sidecars, own))
  }
  return most(running, starting)
}

const NANO = 1_000_000_000n
const MILLI = 1_000_000n

/** Whole numbers as they are, others in thousandths. */
const shown = (nano: bigint): string => (nano % NANO === 0n ? `${nano / NANO}` : `${nano / MILLI}m`)

function checkAggregate(out: Problems, field: string, spec: PodSpec): void {
  for (const [name, needed] of aggregate(spec)) {
    const asked = spec.resources?.requests?.[name]
    if (asked !== undefined && !isQuantity(asked)) continue
    if (needed <= parseQuantity(asked ?? '0').nano) continue
    const detail = `must be greater than or equal to aggregate container requests of ${shown(needed)}`
    out.push(invalid(keyed(field, name), asked ?? '0', detail))
  }
}

export function checkOverhead(out: Problems, path: string, overhead: PodSpec['overhead']): void {
  if (overhead) checkResources(out, `${path}.overhead`, { limits: overhead })
}

/** Adds problems and returns the names that containers may refer to. */
export function checkPodClaims(
  out: Problems,
  field: string,
  claims: PodSpec['resourceClaims'],
): ReadonlySet<string> {
  const names = new Set<string>()
  for (const [index, claim] of (claims ?? []).entries()) {
    const path = at(field, index)
    if (!claim.name) out.push(required(`${path}.name`))
    else if (names.has(claim.name)) out.push(duplicate(`${path}.name`, claim.name))
    else checkEach(out, `${path}.name`, claim.name, checkDns1123Label(claim.name))
    if (claim.name) names.add(claim.name)
    const { resourceClaimName: name, resourceClaimTemplateName: template } = claim
    if (name !== undefined && template !== undefined) {
      const detail = 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'
      out.push(invalid(path, claim, detail))
    } else if (name === undefined && template === undefined) {
      const detail = 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'
      out.push(invalid(path, claim, detail))
    }
    for (const key of ['resourceClaimName', 'resourceClaimTemplateName'] as const) {
      const value = claim[key]
      if (value !== undefined) checkEach(out, `${path}.${key}`, value, checkDns1123Subdomain(value))
    }
  }
  return names
}

/** A container's claims are of those that the pod brings. */
export function checkContainerClaims(
  out: Problems,
  field: string,
  claims: readonly { name: string; request?: string }[] | undefined,
  known: ReadonlySet<string>,
): void {
  const seen = new Set<string>()
  for (const [index, { name, request }] of (claims ?? []).entries()) {
    const path = at(field, index)
    if (!name) {
      out.push(required(path))
      continue
    }
    const key = request ? `${name}/${request}` : name
    if (seen.has(key) || seen.has(name)) out.push(duplicate(path, key))
    seen.add(key)
    if (known.has(name)) continue
    const list = known.size === 0 ? ' which is empty' : `: ${[...known].sort().join(', ')}`
    const message = `Not found: ${JSON.stringify(name)}: must be one of the names in pod.spec.resourceClaims${list}`
    out.push({ type: 'FieldValueNotFound', field: path, message })
  }
}
