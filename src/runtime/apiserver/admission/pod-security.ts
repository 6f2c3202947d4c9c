/** PodSecurity: a namespace's labels say which Pod Security Standard its pods must meet. */
import type { PodSpec } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { type PodSecurityLevel, podViolations } from './pod-security-checks.ts'
import { refuse } from './refuse.ts'

const ENFORCE = 'pod-security.kubernetes.io/enforce'
const levels: readonly string[] = ['privileged', 'baseline', 'restricted']

/** Enforces; `audit` and `warn` need a way to answer with warnings and are not looked at. */
export function podSecurity(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'PodSecurity',
    validate(request) {
      const spec = specToCheck(request)
      if (spec === null) return
      const labels = objects.get('', 'namespaces', '', request.namespace)?.metadata.labels
      const wanted = labels?.[ENFORCE] ?? 'privileged'
      // As upstream: a level that nobody knows is the strictest.
      const level = (levels.includes(wanted) ? wanted : 'restricted') as PodSecurityLevel
      const violations = podViolations(level, spec)
      if (violations.length === 0) return
      const version = labels?.[`${ENFORCE}-version`] ?? 'latest'
      const text = violations.map(({ reason, detail }) => `${reason} (${detail})`).join(', ')
      throw refuse(request, `violates PodSecurity "${level}:${version}": ${text}`)
    },
  }
}

function specToCheck(request: AdmissionRequest): PodSpec | null {
  const { operation, object, resource, subresource, oldObject } = request
  const isPod = resource.group === '' && resource.resource === 'pods'
  const isWanted = subresource === '' || subresource === 'ephemeralcontainers'
  if (!isPod || !isWanted || object === null) return null
  if (operation !== 'CREATE' && operation !== 'UPDATE') return null
  const spec = object['spec'] as PodSpec | undefined
  const before = oldObject?.['spec']
  const unchanged = before !== undefined && JSON.stringify(before) === JSON.stringify(spec)
  return spec === undefined || unchanged ? null : spec
}
