/** Containers: names, images, ports, environment, security; init and ephemeral ones with their own rules. */
import { duplicate, forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import {
  checkConfigMapKey,
  checkDns1123Label,
  checkDns1123Subdomain,
  checkEnvVarName,
  checkPortName,
  checkPortNumber,
} from '../../../../kube/names.ts'
import type { Container, ContainerPort, EnvVar, PodSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkEach, checkOneOf, type Problems } from './meta.ts'
import { checkLifecycle, checkProbes } from './probes.ts'
import { checkResources } from './resources.ts'
import { checkMounts } from './volumes.ts'

const PROTOCOLS = ['SCTP', 'TCP', 'UDP']
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never']
const ENV_FIELDS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
]
const ID_MAX = 2 ** 31 - 1

interface Surroundings {
  readonly spec: PodSpec
  readonly volumes: ReadonlySet<string>
}

/** All containers of a pod spec. */
export function checkAllContainers(out: Problems, path: string, around: Surroundings): void {
  const { spec } = around
  const names = new Set<string>()
  const containers = spec.containers ?? []
  const inits = spec.initContainers ?? []
  if (containers.length === 0) out.push(required(`${path}.containers`))
  for (const [index, container] of containers.entries()) {
    const field = at(`${path}.containers`, index)
    checkContainer(out, field, container, around)
    if (container.name && names.has(container.name)) {
      out.push(duplicate(`${field}.name`, container.name))
    }
    names.add(container.name)
    checkLifecycle(out, `${field}.lifecycle`, container.lifecycle, spec.terminationGracePeriodSeconds)
    checkProbes(out, field, container, true)
  }
  checkHostPorts(out, `${path}.containers`, containers)
  for (const [index, container] of inits.entries()) {
    checkInitContainer(out, at(`${path}.initContainers`, index), container, { around, names })
  }
  for (const [index, container] of (spec.ephemeralContainers ?? []).entries()) {
    const field = at(`${path}.ephemeralContainers`, index)
    checkContainer(out, field, container as Container, around)
    if (names.has(container.name)) out.push(duplicate(`${field}.name`, container.name))
    names.add(container.name)
    for (const key of ['ports', 'livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle'] as const) {
      if (container[key]) out.push(forbidden(`${field}.${key}`, 'cannot be set for an Ephemeral Container'))
    }
  }
}

function checkInitContainer(
  out: Problems,
  field: string,
  container: Container,
  { around, names }: { around: Surroundings; names: Set<string> },
): void {
  const isSidecar = container.restartPolicy === 'Always'
  checkContainer(out, field, container, around)
  if (names.has(container.name)) out.push(duplicate(`${field}.name`, container.name))
  names.add(container.name)
  if (isSidecar) {
    checkLifecycle(out, `${field}.lifecycle`, container.lifecycle, around.spec.terminationGracePeriodSeconds)
  } else if (container.lifecycle) {
    out.push(
      forbidden(`${field}.lifecycle`, 'may not be set for init containers without restartPolicy=Always'),
    )
  }
  checkProbes(out, field, container, isSidecar)
  checkHostPorts(out, field.replace(/\[\d+\]$/, ''), [container])
}

function checkContainer(out: Problems, field: string, container: Container, around: Surroundings): void {
  if (!container.name) out.push(required(`${field}.name`))
  else checkEach(out, `${field}.name`, container.name, checkDns1123Label(container.name))
  const image = container.image ?? ''
  if (image === '') out.push(required(`${field}.image`))
  else if (image !== image.trim()) {
    out.push(invalid(`${field}.image`, image, 'must not have leading or trailing whitespace'))
  }
  checkOneOf(out, `${field}.terminationMessagePolicy`, container.terminationMessagePolicy, [
    'FallbackToLogsOnError',
    'File',
  ])
  checkPorts(out, `${field}.ports`, container.ports ?? [], around.spec.hostNetwork === true)
  checkEnv(out, `${field}.env`, container.env ?? [])
  checkEnvFrom(out, `${field}.envFrom`, container.envFrom ?? [])
  checkMounts(out, field, container, around.volumes)
  checkOneOf(out, `${field}.imagePullPolicy`, container.imagePullPolicy, PULL_POLICIES)
  checkResources(out, `${field}.resources`, container.resources)
  checkSecurity(out, `${field}.securityContext`, container.securityContext)
}

function checkPorts(
  out: Problems,
  path: string,
  ports: readonly ContainerPort[],
  isHostNetwork: boolean,
): void {
  const names = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const field = at(path, index)
    if (port.name) {
      const problems = checkPortName(port.name)
      checkEach(out, `${field}.name`, port.name, problems)
      if (problems.length === 0 && names.has(port.name)) out.push(duplicate(`${field}.name`, port.name))
      names.add(port.name)
    }
    if (!port.containerPort) out.push(required(`${field}.containerPort`))
    else checkEach(out, `${field}.containerPort`, port.containerPort, checkPortNumber(port.containerPort))
    if (port.hostPort) {
      checkEach(out, `${field}.hostPort`, port.hostPort, checkPortNumber(port.hostPort))
      if (isHostNetwork && port.hostPort !== port.containerPort) {
        const detail = 'must match `hostPort` when `hostNetwork` is true'
        out.push(invalid(`${field}.containerPort`, port.containerPort, detail))
      }
    }
    if (!port.protocol) out.push(required(`${field}.protocol`))
    else checkOneOf(out, `${field}.protocol`, port.protocol, PROTOCOLS)
  }
}

function checkHostPorts(out: Problems, path: string, containers: readonly Container[]): void {
  const taken = new Set<string>()
  for (const [index, container] of containers.entries()) {
    for (const [position, port] of (container.ports ?? []).entries()) {
      if (!port.hostPort) continue
      const text = `${port.protocol ?? 'TCP'}/${port.hostIP ?? ''}/${port.hostPort}`
      if (taken.has(text)) out.push(duplicate(`${at(`${at(path, index)}.ports`, position)}.hostPort`, text))
      taken.add(text)
    }
  }
}

function checkEnv(out: Problems, path: string, env: readonly EnvVar[]): void {
  for (const [index, entry] of env.entries()) {
    const field = at(path, index)
    if (!entry.name) out.push(required(`${field}.name`))
    else checkEach(out, `${field}.name`, entry.name, checkEnvVarName(entry.name))
    if (entry.valueFrom) checkValueFrom(out, `${field}.valueFrom`, entry)
  }
}

function checkValueFrom(out: Problems, field: string, entry: EnvVar): void {
  const source = entry.valueFrom ?? {}
  const count = Object.values(source).filter(value => value !== undefined).length
  if (count === 0) {
    const names = '`fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`'
    out.push(invalid(field, '', `must specify one of: ${names}`))
  } else if (entry.value) {
    out.push(invalid(field, '', 'may not be specified when `value` is not empty'))
  } else if (count > 1) {
    out.push(invalid(field, '', 'may not have more than one field specified at a time'))
  }
  if (source.fieldRef) checkFieldRef(out, `${field}.fieldRef`, source.fieldRef)
  for (const name of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const reference = source[name]
    if (!reference) continue
    if (!reference.name) out.push(required(`${field}.${name}.name`))
    if (!reference.key) out.push(required(`${field}.${name}.key`))
    else checkEach(out, `${field}.${name}.key`, reference.key, checkConfigMapKey(reference.key))
  }
  if (source.resourceFieldRef && !source.resourceFieldRef.resource) {
    out.push(required(`${field}.resourceFieldRef.resource`))
  }
}

function checkFieldRef(
  out: Problems,
  field: string,
  reference: { apiVersion?: string; fieldPath: string },
): void {
  if (!reference.apiVersion) out.push(required(`${field}.apiVersion`))
  if (!reference.fieldPath) {
    out.push(required(`${field}.fieldPath`))
    return
  }
  if (/^metadata\.(labels|annotations)\['[^']+'\]$/.test(reference.fieldPath)) return
  if (!/^(metadata|spec|status)\./.test(reference.fieldPath)) {
    const detail = `error converting fieldPath: field label not supported: ${reference.fieldPath}`
    out.push(invalid(`${field}.fieldPath`, reference.fieldPath, detail))
  } else if (!ENV_FIELDS.includes(reference.fieldPath)) {
    out.push(notSupported(`${field}.fieldPath`, reference.fieldPath, ENV_FIELDS))
  }
}

function checkEnvFrom(out: Problems, path: string, sources: NonNullable<Container['envFrom']>): void {
  for (const [index, source] of sources.entries()) {
    const field = at(path, index)
    if (source.prefix) checkEach(out, `${field}.prefix`, source.prefix, checkEnvVarName(source.prefix))
    const given = (['configMapRef', 'secretRef'] as const).filter(name => source[name])
    for (const name of given) {
      const target = source[name]?.name
      if (!target) out.push(required(`${field}.${name}.name`))
      else checkEach(out, `${field}.${name}.name`, target, checkDns1123Subdomain(target))
    }
    if (given.length === 0) out.push(invalid(field, '', 'must specify one of: `configMapRef` or `secretRef`'))
    if (given.length > 1) {
      out.push(invalid(field, '', 'may not have more than one field specified at a time'))
    }
  }
}

function checkSecurity(out: Problems, field: string, context: Container['securityContext']): void {
  if (!context) return
  checkIds(out, field, context)
  if (context.privileged === true && context.allowPrivilegeEscalation === false) {
    const detail = 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'
    out.push(invalid(field, context, detail))
  }
  if (context.allowPrivilegeEscalation === false && context.capabilities?.add?.includes('CAP_SYS_ADMIN')) {
    const detail = 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'
    out.push(invalid(field, context, detail))
  }
}

export function checkIds(
  out: Problems,
  field: string,
  context: { runAsUser?: number; runAsGroup?: number; fsGroup?: number },
): void {
  for (const name of ['runAsUser', 'runAsGroup', 'fsGroup'] as const) {
    const id = context[name]
    if (id === undefined || (id >= 0 && id <= ID_MAX)) continue
    out.push(invalid(`${field}.${name}`, id, `must be between 0 and ${ID_MAX}, inclusive`))
  }
}
