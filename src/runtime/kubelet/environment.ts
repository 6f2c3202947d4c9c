/** A container's environment (pure): services, envFrom, env in their order, and `$(VAR)` expansion. */

import type { ConfigMap, Container, EnvVar, Pod, Secret, Service } from '../../kube/types.ts'
import { parseEnvFile, UNREADABLE_ENV_FILE } from './env-file.ts'
import type { HostFacts } from './host-facts.ts'
import { containerNamed } from './pod-containers.ts'
import { type PodFacts, podField, resourceField } from './pod-fields.ts'

export type Environment = Record<string, string>

/** Objects that the pod refers to, as they are now; null for "does not exist". */
export interface ReferencedObjects {
  configMap(name: string): ConfigMap | null
  secret(name: string): Secret | null
}

export interface EnvironmentParts {
  readonly pod: Pod
  readonly container: Container
  readonly objects: ReferencedObjects
  readonly facts: PodFacts
  readonly host: HostFacts
  /** Services of the pod's namespace, and `kubernetes` of `default`. */
  readonly services: readonly Service[]
  readonly serviceAddress: (clusterIp: string) => string
  /** Texts of the files that variables come from, by `envFileKey`; null for what cannot be read. */
  readonly files?: ReadonlyMap<string, string | null>
}

/** A container that cannot be configured yet: CreateContainerConfigError with this message. */
export class ContainerConfigError extends Error {
  override readonly name = 'ContainerConfigError'
}

type FileKey = NonNullable<NonNullable<EnvVar['valueFrom']>['fileKeyRef']>

export const envFileKey = ({ volumeName, path }: Pick<FileKey, 'volumeName' | 'path'>): string =>
  `${volumeName}/${path}`

export function renderEnvironment(parts: EnvironmentParts): Environment {
  const services = renderServiceEnvironment(parts)
  const result: Environment = {}
  for (const source of parts.container.envFrom ?? []) {
    const data = sourceData(source, parts)
    for (const [key, value] of Object.entries(data)) result[`${source.prefix ?? ''}${key}`] = value
  }
  const known = { ...services, ...result }
  for (const variable of parts.container.env ?? []) {
    const value = variableValue(variable, parts, known)
    if (value === null) continue
    result[variable.name] = value
    known[variable.name] = value
  }
  return { ...services, ...result }
}

function sourceData(
  source: NonNullable<Container['envFrom']>[number],
  { objects, pod }: EnvironmentParts,
): Record<string, string> {
  const namespace = pod.metadata.namespace ?? ''
  if (source.configMapRef) {
    const { name = '', optional } = source.configMapRef
    const found = objects.configMap(name)
    if (found === null && !optional) throw missing('configmap', name)
    return found?.data ?? {}
  }
  if (source.secretRef) {
    const { name = '', optional } = source.secretRef
    const found = objects.secret(name)
    if (found === null && !optional) throw missing('secret', name)
    return Object.fromEntries(Object.entries(found?.data ?? {}).map(([key, value]) => [key, decode(value)]))
  }
  throw new ContainerConfigError(`envFrom of pod ${namespace}/${pod.metadata.name} names no source`)
}

const missing = (kind: string, name: string) => new ContainerConfigError(`${kind} "${name}" not found`)
const decode = (base64: string) => Buffer.from(base64, 'base64').toString('utf8')

/** Null: the variable is left out (an optional key that is not there). */
function variableValue(variable: EnvVar, parts: EnvironmentParts, known: Environment): string | null {
  const from = variable.valueFrom
  if (!from) return expandVariables(variable.value ?? '', known)
  if (from.fieldRef) {
    const value = podField(parts.pod, from.fieldRef, parts.facts)
    if (value !== null) return value
    throw new ContainerConfigError(`fieldPath "${from.fieldRef.fieldPath}" is not supported`)
  }
  if (from.resourceFieldRef) return resourceValue(from.resourceFieldRef, parts)
  if (from.configMapKeyRef) {
    const { name = '', key, optional } = from.configMapKeyRef
    const found = parts.objects.configMap(name)
    if (found === null) return optional ? null : fail(missing('configmap', name))
    return found.data?.[key] ?? (optional ? null : fail(missingKey(key, 'ConfigMap', name, parts)))
  }
  if (from.secretKeyRef) {
    const { name = '', key, optional } = from.secretKeyRef
    const found = parts.objects.secret(name)
    if (found === null) return optional ? null : fail(missing('secret', name))
    const value = found.data?.[key]
    if (value !== undefined) return decode(value)
    return optional ? null : fail(missingKey(key, 'Secret', name, parts))
  }
  if (from.fileKeyRef) return fileValue(from.fileKeyRef, parts)
  throw new ContainerConfigError(`environment variable ${variable.name} has a source that is not supported`)
}

function fileValue(from: FileKey, { pod, files }: EnvironmentParts): string | null {
  const { volumeName, path, key, optional } = from
  if (!pod.spec?.volumes?.some(({ name }) => name === volumeName)) {
    throw new ContainerConfigError(`cannot find the volume "${volumeName}" referenced by FileKeyRef`)
  }
  const text = files?.get(envFileKey(from)) ?? fail(new ContainerConfigError(UNREADABLE_ENV_FILE))
  const value = parsed(text, key)
  if (value !== undefined) return value
  if (optional) return null
  throw new ContainerConfigError(`environment variable key "${key}" not found in file "${path}"`)
}

function parsed(text: string, key: string): string | undefined {
  try {
    return parseEnvFile(text, key)
  } catch {
    throw new ContainerConfigError(UNREADABLE_ENV_FILE)
  }
}

function fail(error: Error): never {
  throw error
}

function missingKey(key: string, kind: string, name: string, { pod }: EnvironmentParts): Error {
  return new ContainerConfigError(`couldn't find key ${key} in ${kind} ${pod.metadata.namespace}/${name}`)
}

function resourceValue(
  selector: NonNullable<NonNullable<EnvVar['valueFrom']>['resourceFieldRef']>,
  { pod, container, host }: EnvironmentParts,
): string {
  const target = selector.containerName ? containerNamed(pod, selector.containerName) : container
  const value = target === undefined ? null : resourceField(target, selector, host)
  return value ?? fail(new ContainerConfigError(`resource "${selector.resource}" is not supported`))
}

/**
 * `$(NAME)` becomes its value, `$$(NAME)` the text `$(NAME)`. What is not known stays as it is; `onMissing` is told
 * of it, and of what is empty.
 */
export function expandVariables(
  text: string,
  known: Readonly<Environment>,
  onMissing: (name: string) => unknown = () => {},
): string {
  let result = ''
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? ''
    const next = text[at + 1]
    if (char !== '$' || next === undefined) {
      result += char
      continue
    }
    at += 1
    const end = next === '(' ? text.indexOf(')', at) : -1
    if (next === '$') result += '$'
    else if (end === -1) result += `$${next}`
    else {
      const name = text.slice(at + 1, end)
      const value = Object.hasOwn(known, name) ? known[name] : undefined
      if (!value) onMissing(name)
      result += value ?? `$(${name})`
      at = end
    }
  }
  return result
}

/** Docker-link variables of a Service, as upstream has them. */
function renderServiceEnvironment(parts: EnvironmentParts): Environment {
  const { pod, services, serviceAddress } = parts
  const links = pod.spec?.enableServiceLinks !== false
  const result: Environment = {}
  for (const service of services) {
    const { name = '', namespace } = service.metadata
    const clusterIp = service.spec?.clusterIP ?? ''
    if (clusterIp === '' || clusterIp === 'None') continue
    const isMaster = namespace === 'default' && name === 'kubernetes'
    if (!isMaster && (!links || namespace !== pod.metadata.namespace)) continue
    Object.assign(result, serviceVariables(service, serviceAddress(clusterIp)))
  }
  return result
}

function serviceVariables(service: Service, address: string): Environment {
  const ports = service.spec?.ports ?? []
  const first = ports[0]
  if (first === undefined) return {}
  const prefix = variableName(service.metadata.name ?? '')
  const result: Environment = {
    [`${prefix}_SERVICE_HOST`]: address,
    [`${prefix}_SERVICE_PORT`]: String(first.port),
    [`${prefix}_PORT`]: linkUrl(first, address),
  }
  for (const port of ports) {
    if (port.name) result[`${prefix}_SERVICE_PORT_${variableName(port.name)}`] = String(port.port)
    const protocol = port.protocol ?? 'TCP'
    const link = `${prefix}_PORT_${port.port}_${protocol}`
    result[link] = linkUrl(port, address)
    result[`${link}_PROTO`] = protocol.toLowerCase()
    result[`${link}_PORT`] = String(port.port)
    result[`${link}_ADDR`] = address
  }
  return result
}

const linkUrl = (port: { port: number; protocol?: string }, address: string) =>
  `${(port.protocol ?? 'TCP').toLowerCase()}://${address}:${port.port}`

const variableName = (name: string) => name.toUpperCase().replaceAll('-', '_')
