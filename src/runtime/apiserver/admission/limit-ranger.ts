/** LimitRanges: containers without requests or limits get the namespace's, and nobody goes beyond its bounds. */
import { compareQuantities, parseQuantity, type Quantity } from '../../../kube/quantity.ts'
import type { Container, LimitRange, PersistentVolumeClaim, Pod, PodSpec } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { type Amounts, podAmounts } from './pod-amounts.ts'
import { isWhole, podToCreate, refuse } from './refuse.ts'

/** The client library calls the field `default` otherwise. */
type Limit = NonNullable<LimitRange['spec']>['limits'][number] & { default?: Record<string, string> }

const ANNOTATION = 'kubernetes.io/limit-ranger'

export function limitRanger(objects: ObjectReader): AdmissionPlugin {
  const limitsIn = (namespace: string): readonly Limit[] => {
    const ranges = objects.list('', 'limitranges', namespace) as unknown as readonly LimitRange[]
    return ranges.flatMap(range => range.spec?.limits ?? [])
  }
  return {
    name: 'LimitRanger',
    admit(request) {
      const pod = podToCreate(request)
      if (pod?.spec === undefined) return
      const limits = limitsIn(request.namespace).filter(limit => limit.type === 'Container')
      if (limits.length > 0) applyDefaults(pod, pod.spec, limits)
    },
    validate(request) {
      const problems = findProblems(request, limitsIn)
      if (problems.length === 0) return
      throw refuse(request, problems.length === 1 ? (problems[0] ?? '') : `[${problems.join(', ')}]`)
    },
  }
}

function applyDefaults(pod: Pod, spec: PodSpec, limits: readonly Limit[]): void {
  const merge = (pick: (limit: Limit) => Record<string, string> | undefined): Record<string, string> =>
    Object.assign({}, ...limits.map(limit => pick(limit) ?? {}))
  const defaults = { requests: merge(limit => limit.defaultRequest), limits: merge(limit => limit.default) }
  const notes = [
    ...spec.containers.flatMap(container => fill(container, defaults, 'container')),
    ...(spec.initContainers ?? []).flatMap(container => fill(container, defaults, 'init container')),
  ]
  if (notes.length === 0) return
  const text = `LimitRanger plugin set: ${notes.join('; ')}`
  pod.metadata.annotations = { ...pod.metadata.annotations, [ANNOTATION]: text }
}

/** Returns a note for the pod's annotation when something was filled in. */
function fill(
  container: Container,
  defaults: { readonly requests: Record<string, string>; readonly limits: Record<string, string> },
  what: string,
): string[] {
  const resources = container.resources ?? {}
  const notes: string[] = []
  for (const field of ['requests', 'limits'] as const) {
    const given = resources[field] ?? {}
    const lacking = Object.keys(defaults[field]).filter(name => given[name] === undefined)
    if (lacking.length === 0) continue
    const added = Object.fromEntries(lacking.map(name => [name, defaults[field][name] ?? '']))
    resources[field] = { ...given, ...added }
    notes.push(`${lacking.sort().join(', ')} ${field.slice(0, -1)} for ${what} ${container.name}`)
  }
  if (notes.length > 0) container.resources = resources
  return notes
}

function findProblems(
  request: AdmissionRequest,
  limitsIn: (namespace: string) => readonly Limit[],
): readonly string[] {
  const pod = podToCreate(request)
  if (pod?.spec !== undefined) {
    const { spec } = pod
    return limitsIn(request.namespace).flatMap(limit => podProblems(spec, limit))
  }
  const writes = request.operation === 'CREATE' || request.operation === 'UPDATE'
  if (!writes || !isWhole(request, '', 'persistentvolumeclaims')) return []
  const claim = request.object as unknown as PersistentVolumeClaim
  const requests = claim.spec?.resources?.requests ?? {}
  const limits = limitsIn(request.namespace).filter(limit => limit.type === 'PersistentVolumeClaim')
  return limits.flatMap(limit => boundProblems(limit, { requests, limits: requests }))
}

function podProblems(spec: PodSpec, limit: Limit): readonly string[] {
  if (limit.type === 'Pod') return boundProblems(limit, podAmounts(spec))
  if (limit.type !== 'Container') return []
  const containers = [...spec.containers, ...(spec.initContainers ?? [])]
  return containers.flatMap(({ resources }) =>
    boundProblems(limit, { requests: resources?.requests ?? {}, limits: resources?.limits ?? {} }),
  )
}

function boundProblems(limit: Limit, amounts: Amounts): readonly string[] {
  const { type } = limit
  const problems: string[] = []
  for (const [name, bound] of Object.entries(limit.min ?? {})) {
    const given = amounts.requests[name]
    const head = `minimum ${name} usage per ${type} is ${bound}, but`
    if (given === undefined) problems.push(`${head} no request is specified`)
    else if (isLess(given, bound)) problems.push(`${head} request is ${given}`)
  }
  for (const [name, bound] of Object.entries(limit.max ?? {})) {
    const [asked, given] = [amounts.requests[name], amounts.limits[name]]
    const head = `maximum ${name} usage per ${type} is ${bound}, but`
    if (given === undefined) problems.push(`${head} no limit is specified`)
    else if (isLess(bound, given)) problems.push(`${head} limit is ${given}`)
    if (asked !== undefined && asked !== given && isLess(bound, asked)) {
      problems.push(`${head} request is ${asked}`)
    }
  }
  for (const [name, bound] of Object.entries(limit.maxLimitRequestRatio ?? {})) {
    const problem = ratioProblem(amounts.requests[name], amounts.limits[name], bound)
    if (problem !== null)
      problems.push(`${name} max limit to request ratio per ${type} is ${bound}, but ${problem}`)
  }
  return problems
}

function ratioProblem(request: string | undefined, limit: string | undefined, bound: string): string | null {
  const ratio = (value: Quantity) => Number(value.nano)
  if (request === undefined || ratio(parseQuantity(request)) === 0) {
    return 'no request is specified or request is 0'
  }
  if (limit === undefined || ratio(parseQuantity(limit)) === 0) return 'no limit is specified or limit is 0'
  const observed = ratio(parseQuantity(limit)) / ratio(parseQuantity(request))
  const allowed = ratio(parseQuantity(bound)) / 1e9
  return observed > allowed ? `provided ratio is ${observed.toFixed(6)}` : null
}

const isLess = (a: string, b: string): boolean => compareQuantities(parseQuantity(a), parseQuantity(b)) < 0
