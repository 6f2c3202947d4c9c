/** Containers: names, images, ports, environment, security; init and ephemeral ones with their own rules. */
import { duplicate, forbidden, invalid, notFoundField, required } from '../../../../kube/field-error.ts'
import {
  checkConfigMapKey,
  checkDns1123Label,
  checkDns1123Subdomain,
  checkEnvVarName,
  checkPortName,
  checkPortNumber,
} from '../../../../kube/names.ts'
import type { Container, ContainerPort, EnvVar, EphemeralContainer, PodSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkFieldRef, checkResourceRef } from './downward.ts'
import { checkEach, checkOneOf, type Problems } from './meta.ts'
import { checkMounts, type Volumes } from './mounts.ts'
import { checkFreePath } from './paths.ts'
import { checkContainerClaims } from './pod-resources.ts'
import { checkLifecycle, checkProbes } from './probes.ts'
import { checkResources } from './resources.ts'
import { checkResizePolicies, checkRestarts } from './restarts.ts'
import { checkContainerSecurity } from './security.ts'

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

interface Surroundings {
  readonly spec: PodSpec
  readonly volumes: Volumes
  /** Names of the pod's device claims. */
  readonly claims: ReadonlySet<string>
}

/** All that an ephemeral container may have; it is no part of what the pod is for. */
const EPHEMERAL_FIELDS = new Set([
  'name',
  'image',
  'command',
  'args',
  'workingDir',
  'env',
  'envFrom',
  'volumeMounts',
  'volumeDevices',
  'terminationMessagePath',
  'terminationMessagePolicy',
  'imagePullPolicy',
  'securityContext',
  'stdin',
  'stdinOnce',
  'tty',
  'targetContainerName',
])
const EPHEMERAL_REFUSAL = 'cannot be set for an Ephemeral Container'

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
    checkRestarts(out, field, container, spec.restartPolicy)
  }
  checkHostPorts(out, `${path}.containers`, containers)
  for (const [index, container] of inits.entries()) {
    checkInitContainer(out, at(`${path}.initContainers`, index), container, { around, names })
  }
  for (const [index, container] of (spec.ephemeralContainers ?? []).entries()) {
    checkEphemeral(out, at(`${path}.ephemeralContainers`, index), container, { around, names })
  }
}

function checkEphemeral(
  out: Problems,
  field: string,
  container: EphemeralContainer,
  { around, names }: { around: Surroundings; names: Set<string> },
): void {
  checkContainer(out, field, container as Container, around)
  if (names.has(container.name)) out.push(duplicate(`${field}.name`, container.name))
  names.add(container.name)
  const { spec } = around
  const others = [...(spec.containers ?? []), ...(spec.initContainers ?? [])]
  const target = container.targetContainerName
  if (target && !others.some(other => other.name === target)) {
    out.push(notFoundField(`${field}.targetContainerName`, target))
  }
  for (const [key, value] of Object.entries(container)) {
    if (EPHEMERAL_FIELDS.has(key) || value === undefined) continue
    if (typeof value === 'object' && Object.keys(value).length === 0) continue
    out.push(forbidden(`${field}.${key}`, EPHEMERAL_REFUSAL))
  }
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    for (const key of ['subPath', 'subPathExpr'] as const) {
      if (mount[key]) out.push(forbidden(`${at(`${field}.volumeMounts`, index)}.${key}`, EPHEMERAL_REFUSAL))
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
  checkRestarts(out, field, container, around.spec.restartPolicy)
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
  if (!container.image) out.push(required(`${field}.image`))
  const policy = container.terminationMessagePolicy
  if (!policy) out.push(required(`${field}.terminationMessagePolicy`))
  else checkOneOf(out, `${field}.terminationMessagePolicy`, policy, ['File', 'FallbackToLogsOnError'])
  checkPorts(out, `${field}.ports`, container.ports ?? [])
  checkEnv(out, `${field}.env`, container.env ?? [])
  checkEnvFrom(out, `${field}.envFrom`, container.envFrom ?? [])
  checkMounts(out, field, container, around.volumes)
  if (!container.imagePullPolicy) out.push(required(`${field}.imagePullPolicy`))
  else checkOneOf(out, `${field}.imagePullPolicy`, container.imagePullPolicy, PULL_POLICIES)
  checkResources(out, `${field}.resources`, container.resources)
  checkContainerClaims(out, `${field}.resources.claims`, container.resources?.claims, around.claims)
  checkResizePolicies(out, `${field}.resizePolicy`, container.resizePolicy, around.spec.restartPolicy)
  const hostUsers = around.spec.hostUsers !== false
  checkContainerSecurity(out, `${field}.securityContext`, container.securityContext, hostUsers)
}

function checkPorts(out: Problems, path: string, ports: readonly ContainerPort[]): void {
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
    const names = '`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`'
    out.push(invalid(field, '', `must specify one of: ${names}`))
  } else if (entry.value) {
    out.push(invalid(field, '', 'may not be specified when `value` is not empty'))
  } else if (count > 1) {
    out.push(invalid(field, '', 'may not have more than one field specified at a time'))
  }
  if (source.fieldRef) checkFieldRef(out, `${field}.fieldRef`, source.fieldRef, ENV_FIELDS)
  for (const name of ['configMapKeyRef', 'secretKeyRef'] as const) {
    const reference = source[name]
    if (!reference) continue
    const target = reference.name ?? ''
    checkEach(out, `${field}.${name}.name`, target, checkDns1123Subdomain(target))
    if (!reference.key) out.push(required(`${field}.${name}.key`))
    else checkEach(out, `${field}.${name}.key`, reference.key, checkConfigMapKey(reference.key))
  }
  if (source.fileKeyRef) checkFileKey(out, `${field}.fileKeyRef`, source.fileKeyRef)
  if (source.resourceFieldRef) {
    checkResourceRef(out, `${field}.resourceFieldRef`, source.resourceFieldRef, false)
  }
}

/** A variable from a file that an init container has left in a volume. */
function checkFileKey(
  out: Problems,
  field: string,
  { volumeName, key, path }: { volumeName?: string; key?: string; path?: string },
): void {
  if (!volumeName) out.push(required(`${field}.volumeName`))
  else checkEach(out, `${field}.volumeName`, volumeName, checkDns1123Label(volumeName))
  if (!key) out.push(required(`${field}.key`))
  else checkEach(out, `${field}.key`, key, checkEnvVarName(key))
  if (!path) out.push(required(`${field}.path`))
  else checkFreePath(out, `${field}.path`, path)
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
    if (given.length === 0) out.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'))
    if (given.length > 1) {
      out.push(invalid(path, '', 'may not have more than one field specified at a time'))
    }
  }
}

/** On the host's network a port is the host's too. */
export function checkHostNetworkPorts(out: Problems, path: string, spec: PodSpec): void {
  if (spec.hostNetwork !== true) return
  for (const [index, container] of (spec.containers ?? []).entries()) {
    for (const [position, port] of (container.ports ?? []).entries()) {
      if (!port.hostPort || port.hostPort === port.containerPort) continue
      const field = `${at(`${at(`${path}.containers`, index)}.ports`, position)}.hostPort`
      out.push(invalid(field, port.hostPort, 'must match `containerPort` when `hostNetwork` is true'))
    }
  }
}
