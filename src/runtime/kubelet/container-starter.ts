/** Starts one container: image, environment, mounts, create, start, postStart; each step with upstream's reason. */

import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { SERVICES } from '../../client/resources.ts'
import type { Container, Pod, Service } from '../../kube/types.ts'
import { renderResources, renderSecurity } from './container-security.ts'
import { ContainerStartError, type StartReason } from './container-start-error.ts'
import {
  ContainerConfigError,
  type Environment,
  envFileKey,
  expandVariables,
  type ReferencedObjects,
  renderEnvironment,
} from './environment.ts'
import type { ImagePuller } from './image-puller.ts'
import { runHook } from './lifecycle-hooks.ts'
import { IMAGE_ANNOTATION } from './plan-pod.ts'
import { type PodContext, recordPodEvent } from './pod-context.ts'
import type { PodFacts } from './pod-fields.ts'
import { identityOf } from './pod-identity.ts'
import { missingPullSecrets, registryCredentials } from './registry-credentials.ts'
import { podHostname, renderDns, renderHostsFile, renderResolver } from './render-sandbox.ts'
import { RESOURCES_ANNOTATION } from './resources/pod-resizer.ts'
import type { ContainerConfig, ImageStatus, Mount, RegistryCredentials, Runtime } from './runtime/runtime.ts'
import type { PodVolumes } from './volumes/pod-volumes.ts'

/** How long a postStart hook may take. */
const POST_START_MS_MAX = 120_000
/** Of a file with variables. */
const ENV_FILE_BYTES_MAX = 65_536
const DEFAULT_TERMINATION_PATH = '/dev/termination-log'
const HOSTS_PATH = '/etc/hosts'
const RESOLVER_PATH = '/etc/resolv.conf'
/** What stands before a runtime's own words, and is said of images and sandboxes only. */
const RPC_HEAD = /^rpc error: code = \w+ desc = /

export interface StartRequest {
  readonly pod: Pod
  readonly container: Container
  readonly attempt: number
  readonly sandboxId: string
  readonly facts: PodFacts
  readonly objects: ReferencedObjects
  readonly volumes: PodVolumes
  readonly images: ImagePuller
}

/** Where the file lies that a container may leave its last words in. */
export function terminationFile(pods: string, uid: string, container: string, attempt: number): string {
  return join(pods, uid, 'containers', container, String(attempt))
}

/** The pull is tried without them, and may not need them. */
function tellMissing(secrets: readonly string[], pod: Pod, { runtime, recorder }: PodContext): void {
  if (secrets.length === 0 || !runtime.pullsImages) return
  const names = secrets.join(', ')
  const message = `Unable to retrieve some image pull secrets (${names}); attempting to pull the image may not succeed.`
  recordPodEvent(recorder, pod, { type: 'Warning', reason: 'FailedToRetrieveImagePullSecret', message })
}

/** Returns the container's id once it runs. Throws ContainerStartError. */
export async function startContainer(request: StartRequest, context: PodContext): Promise<string> {
  const { container, pod } = request
  const { runtime, recorder } = context
  const credentials = registryCredentials(pod, request.objects)
  tellMissing(missingPullSecrets(pod, request.objects), pod, context)
  const image = await request.images.ensure({ pod, container, credentials })
  await ensureVolumeImages(request, context, credentials)
  const config = await step('CreateContainerConfigError', () => configOf(request, image, context))
  const create = () => runtime.createContainer(request.sandboxId, config)
  const id = await step('CreateContainerError', create)
  const event = { type: 'Normal' as const, container: container.name }
  recordPodEvent(recorder, pod, { ...event, reason: 'Created', message: 'Container created' })
  await step('RunContainerError', () => runtime.startContainer(id), id)
  // The others' processors may have changed meanwhile.
  void context.cpus.settle()
  recordPodEvent(recorder, pod, { ...event, reason: 'Started', message: 'Container started' })
  const hook = container.lifecycle?.postStart
  if (hook === undefined) return id
  const podAddress = request.facts.podAddresses[0] ?? ''
  const target = { container, containerId: id, podAddress, timeoutMs: POST_START_MS_MAX }
  try {
    await runHook(hook, target, context)
  } catch (error) {
    // What a hook says may be a secret, and events are read by many.
    const message = 'PostStartHook failed'
    recordPodEvent(recorder, pod, { ...event, type: 'Warning', reason: 'FailedPostStartHook', message })
    recordPodEvent(recorder, pod, { ...event, reason: 'Killing', message: 'FailedPostStartHook' })
    await runtime.stopContainer(id, (pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000)
    throw new ContainerStartError('PostStartHookError', error, { containerId: id })
  }
  return id
}

/** Images that the container mounts are gotten as its own is. */
async function ensureVolumeImages(
  { pod, container, images }: StartRequest,
  { runtime }: PodContext,
  credentials: readonly RegistryCredentials[],
): Promise<void> {
  for (const { name } of container.volumeMounts ?? []) {
    const { image } = pod.spec?.volumes?.find(volume => volume.name === name) ?? {}
    if (!image) continue
    if (runtime.mountsImages !== true) {
      const why = `volume "${name}" is an image, which the runtime ${runtime.name} cannot mount`
      throw new ContainerStartError('CreateContainerError', why)
    }
    const { reference = '', pullPolicy = 'IfNotPresent' } = image
    const wanted = { ...container, image: reference, imagePullPolicy: pullPolicy }
    await images.ensure({ pod, container: wanted, credentials })
  }
}

async function step<T>(reason: StartReason, work: () => Promise<T>, containerId?: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isConfig = error instanceof ContainerConfigError
    const why = messageOf(error).replace(RPC_HEAD, '')
    throw new ContainerStartError(isConfig ? 'CreateContainerConfigError' : reason, why, { containerId })
  }
}

async function configOf(
  request: StartRequest,
  image: ImageStatus,
  context: PodContext,
): Promise<ContainerConfig> {
  const { pod, container, attempt, facts, objects } = request
  const { host, settings } = context
  refuseUnsupported(pod, container, context.runtime)
  const services = await servicesFor(pod, context)
  const { serviceAddress } = settings
  const files = await environmentFiles(request)
  const env = renderEnvironment({ pod, container, objects, facts, host, services, serviceAddress, files })
  const given = await context.devices.settingsFor(pod.metadata.uid ?? '', container.name)
  const cdiDevices = [...new Set([...given.cdiDevices, ...context.claims.cdiDevicesOf(pod, container)])]
  refuseCdi(cdiDevices, context.runtime)
  const hostname = podHostname(pod)
  const seccompDirectory = join(dirname(context.directories.pods), 'seccomp')
  const { namespace, name, uid } = identityOf(pod)
  return {
    name: container.name,
    attempt,
    stopSignal: container.lifecycle?.stopSignal,
    image: container.image ?? '',
    command: (container.command ?? []).map(word => expandVariables(word, env)),
    args: (container.args ?? []).map(word => expandVariables(word, env)),
    workingDir: container.workingDir ?? '',
    env: { HOSTNAME: hostname, ...given.env, ...env },
    mounts: [...(await mountsOf(request, env, context)), ...given.mounts],
    devices: [...request.volumes.devicesOf(pod, container), ...given.devices],
    cdiDevices,
    logPath: join(container.name, `${attempt}.log`),
    labels: {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
      'io.kubernetes.container.name': container.name,
    },
    annotations: {
      ...given.annotations,
      'io.kubernetes.container.restartCount': String(attempt),
      [IMAGE_ANNOTATION]: container.image ?? '',
      [RESOURCES_ANNOTATION]: JSON.stringify(container.resources ?? {}),
    },
    ...(await targetOf(request, context)),
    security: renderSecurity({ pod, container, image, seccompDirectory }),
    resources: { ...renderResources(container, pod), cpus: context.cpus.cpusOf(uid, container.name) },
    stdin: container.stdin,
    stdinOnce: container.stdinOnce,
    tty: container.tty,
  }
}

/** What would be left aside in silence otherwise. */
function refuseUnsupported(pod: Pod, container: Container, { obeys, name }: Runtime): void {
  if (pod.spec?.securityContext?.supplementalGroupsPolicy === 'Strict' && !obeys?.has('strictGroups')) {
    throw new ContainerConfigError('SupplementalGroupsPolicy=Strict is not supported in this node')
  }
  const mount = container.volumeMounts?.find(each => each.recursiveReadOnly === 'Enabled')
  if (mount !== undefined && !obeys?.has('recursiveReadOnly')) {
    const what = `volume ${JSON.stringify(mount.name)} requested recursive read-only mode`
    throw new ContainerConfigError(`${what}, but it is not supported by the runtime ${name}`)
  }
  if (container.lifecycle?.stopSignal && !obeys?.has('stopSignal')) {
    throw new ContainerConfigError(`lifecycle.stopSignal is not supported by the runtime ${name}`)
  }
}

function refuseCdi(devices: readonly string[], { obeys, name, version }: Runtime): void {
  if (devices.length === 0 || obeys?.has('cdi')) return
  throw new ContainerConfigError(
    `CDI devices are not supported by the runtime ${name} ${version}: ${devices.join(', ')}`,
  )
}

/** Files that variables of the container come from. */
async function environmentFiles({ pod, container, volumes }: StartRequest) {
  const files = new Map<string, string | null>()
  for (const { valueFrom } of container.env ?? []) {
    const from = valueFrom?.fileKeyRef
    const volume = pod.spec?.volumes?.find(({ name }) => name === from?.volumeName)
    if (from === undefined || volume === undefined) continue
    files.set(envFileKey(from), await volumes.readFile(volume, from.path, ENV_FILE_BYTES_MAX))
  }
  return files
}

/** Whose processes an ephemeral container sees. */
async function targetOf({ pod, container }: StartRequest, { runtime }: PodContext) {
  const name = pod.spec?.ephemeralContainers?.find(each => each.name === container.name)?.targetContainerName
  if (!name) return {}
  const all = await runtime.listContainers(pod.metadata.uid)
  const target = all.find(status => status.name === name && status.state === 'running')
  if (target !== undefined) return { targetId: target.id }
  throw new ContainerConfigError(`unable to find target container ${JSON.stringify(name)}`)
}

/** Services whose addresses go into the environment; asked for at each start, so nothing is kept in memory. */
async function servicesFor(pod: Pod, { client }: PodContext): Promise<Service[]> {
  const namespace = pod.metadata.namespace ?? ''
  const spaces = pod.spec?.enableServiceLinks === false ? [] : [namespace]
  if (!spaces.includes('default')) spaces.push('default')
  const lists = await Promise.all(spaces.map(space => client.list<Service>(SERVICES, { namespace: space })))
  return lists.flatMap(({ items }) => items)
}

async function mountsOf(
  { pod, container, attempt, volumes, facts }: StartRequest,
  env: Environment,
  { directories, settings, runtime }: PodContext,
): Promise<Mount[]> {
  const hostPath = terminationFile(directories.pods, pod.metadata.uid ?? '', container.name, attempt)
  await mkdir(dirname(hostPath), { recursive: true, mode: 0o755 })
  await writeFile(hostPath, '')
  // Whoever it runs as may write there, whatever the daemon's own mask is.
  await chmod(hostPath, 0o666)
  const containerPath = container.terminationMessagePath ?? DEFAULT_TERMINATION_PATH
  const mounts = await volumes.mountsOf(pod, container, env, runtime.obeys?.has('recursiveReadOnly'))
  const files = runtime.hasOwnFiles ? await hostFiles(pod, facts, { settings, directories, runtime }) : []
  return [
    ...mounts,
    ...files.filter(file => !mounts.some(mount => mount.containerPath === file.containerPath)),
    { hostPath, containerPath, readOnly: false },
  ]
}

type FilePlaces = Pick<PodContext, 'settings' | 'directories' | 'runtime'>

/** A runtime that isolates writes the resolver's file itself, for the whole pod. */
async function hostFiles(pod: Pod, facts: PodFacts, places: FilePlaces): Promise<Mount[]> {
  const resolver = places.runtime.isolates ? [] : await resolverMount(pod, places)
  return [await hostsMount(pod, facts, places), ...resolver]
}

async function resolverMount(pod: Pod, { settings, directories }: FilePlaces): Promise<Mount[]> {
  const hostResolver = await readFile(RESOLVER_PATH, 'utf8').catch(() => '')
  const dns = renderDns(pod, settings, hostResolver)
  if (dns === undefined) return []
  const hostPath = join(directories.pods, pod.metadata.uid ?? '', 'etc-resolv.conf')
  await writeFile(hostPath, renderResolver(dns), { mode: 0o644 })
  return [{ hostPath, containerPath: RESOLVER_PATH, readOnly: false }]
}

/** The file is written anew at each start, since a new sandbox has a new address. */
async function hostsMount(
  pod: Pod,
  { podAddresses }: PodFacts,
  { settings, directories }: FilePlaces,
): Promise<Mount> {
  const hostPath = join(directories.pods, pod.metadata.uid ?? '', 'etc-hosts')
  const hostHosts = await readFile(HOSTS_PATH, 'utf8').catch(() => '')
  const text = renderHostsFile(pod, { podAddresses, clusterDomain: settings.clusterDomain, hostHosts })
  await writeFile(hostPath, text, { mode: 0o644 })
  return { hostPath, containerPath: HOSTS_PATH, readOnly: false }
}
