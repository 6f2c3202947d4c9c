/** References to a pod's own fields and resources, from environments and from files. */
import { invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import { checkEach, type Problems } from './meta.ts'

export interface FieldRef {
  apiVersion?: string
  fieldPath: string
}

export interface ResourceRef {
  containerName?: string
  resource: string
  divisor?: string
}

const RESOURCES = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
]
const HUGE = /^(requests|limits)\.hugepages-/
/** What a pod has to tell of, in a file or in an environment. */
const KNOWN = new Set([
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.restartPolicy',
  'spec.serviceAccountName',
  'spec.schedulerName',
  'spec.host',
  'status.phase',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
])

export function checkFieldRef(
  out: Problems,
  field: string,
  { apiVersion, fieldPath }: FieldRef,
  supported: readonly string[],
): void {
  if (!apiVersion) {
    out.push(required(`${field}.apiVersion`))
    return
  }
  if (!fieldPath) {
    out.push(required(`${field}.fieldPath`))
    return
  }
  const [, path = fieldPath, key] = /^(.*)\['(.*)'\]$/.exec(fieldPath) ?? []
  if (!KNOWN.has(path)) {
    const detail = `error converting fieldPath: field label not supported: ${fieldPath}`
    out.push(invalid(`${field}.fieldPath`, fieldPath, detail))
  } else if (key === undefined) {
    if (!supported.includes(path)) out.push(notSupported(`${field}.fieldPath`, path, supported))
  } else if (path === 'metadata.annotations') {
    checkEach(out, field, key.toLowerCase(), checkQualifiedName(key.toLowerCase()))
  } else if (path === 'metadata.labels') {
    checkEach(out, field, key, checkQualifiedName(key))
  } else out.push(invalid(field, path, 'does not support subscript'))
}

export function checkResourceRef(out: Problems, field: string, from: ResourceRef, isFile: boolean): void {
  const { containerName, resource } = from
  if (isFile && !containerName) out.push(required(`${field}.containerName`))
  else if (!resource) out.push(required(`${field}.resource`))
  else if (!RESOURCES.includes(resource) && !HUGE.test(resource)) {
    out.push(notSupported(`${field}.resource`, resource, RESOURCES))
  }
  checkDivisor(out, `${field}.divisor`, from)
}

const SIZES = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei']

function checkDivisor(out: Problems, field: string, { resource, divisor }: ResourceRef): void {
  if (divisor === undefined || divisor === '0' || !resource) return
  if (resource.endsWith('.cpu')) {
    if (divisor === '1' || divisor === '1m') return
    out.push(invalid(field, resource, "only divisor's values 1m and 1 are supported with the cpu resource"))
    return
  }
  const what = resource.endsWith('.memory')
    ? 'memory'
    : resource.endsWith('.ephemeral-storage')
      ? 'local ephemeral storage'
      : 'hugepages'
  const isKnown = HUGE.test(resource) || RESOURCES.includes(resource)
  if (!isKnown || SIZES.includes(divisor)) return
  const detail = `only divisor's values ${SIZES.join(', ')} are supported with the ${what} resource`
  out.push(invalid(field, resource, detail))
}
