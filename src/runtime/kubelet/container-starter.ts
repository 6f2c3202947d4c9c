/** Starts one container: image, environment, mounts, create, start, postStart; each step with upstream's reason. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { SERVICES } from '../../client/resources.ts'
import type { Container, Pod, Service } from '../../kube/types.ts'
import {
  ContainerConfigError,
  type Environment,
  expandVariables,
  type ReferencedObjects,
  renderEnvironment,
} from './environment.ts'
import { runHook } from './lifecycle-hooks.ts'
import { identityOf, type PodContext, recordPodEvent } from './pod-context.ts'
import type { PodFacts } from './pod-fields.ts'
import type { ContainerConfig, ContainerSecurity, Mount } from './runtime/runtime.ts'
import type { PodVolumes } from './volumes/pod-volumes.ts'

/** How long a postStart hook may take. */
const POST_START_MS_MAX = 120_000
const DEFAULT_TERMINATION_PATH = '/dev/termination-log'

export type StartReason =
  | 'ErrImagePull'
  | 'ErrImageNeverPull'
  | 'CreateContainerConfigError'
  | 'CreateContainerError'
  | 'RunContainerError'
  | 'PostStartHookError'

/** Why a container does not run; its reason is what it waits for. */
export class ContainerStartError extends Error {
  override readonly name = 'ContainerStartError'
  readonly reason: StartReason
  readonly containerId: string | undefined

  constructor(reason: StartReason, cause: unknown, containerId?: string) {
    super(messageOf(cause), { cause })
    this.reason = reason
    this.containerId = containerId
  }
}

export interface StartRequest {
  readonly pod: Pod
  readonly container: Container
  readonly attempt: number
  readonly sandboxId: string
  readonly facts: PodFacts
  readonly objects: ReferencedObjects
  readonly volumes: PodVolumes
}

/** Where the file lies that a container may leave its last words in. */
export function terminationFile(pods: string, uid: string, container: string, attempt: number): string {
  return join(pods, uid, 'containers', container, String(attempt))
}

/** Returns the container's id once it runs. Throws ContainerStartError. */
export async function startContainer(request: StartRequest, context: PodContext): Promise<string> {
  const { container, pod } = request
  const { runtime, recorder } = context
  await ensureImage(request, context)
  const config = await step('CreateContainerConfigError', () => configOf(request, context))
  const create = () => runtime.createContainer(request.sandboxId, config)
  const id = await step('CreateContainerError', create)
  const event = { type: 'Normal' as const, container: container.name }
  recordPodEvent(recorder, pod, { ...event, reason: 'Created', message: 'Container created' })
  await step('RunContainerError', () => runtime.startContainer(id), id)
  recordPodEvent(recorder, pod, { ...event, reason: 'Started', message: 'Container started' })
  const hook = container.lifecycle?.postStart
  if (hook === undefined) return id
  const podAddress = request.facts.podAddresses[0] ?? ''
  const target = { container, containerId: id, podAddress, timeoutMs: POST_START_MS_MAX }
  try {
    await runHook(hook, target, context)
  } catch (error) {
    const message = `PostStartHook failed: ${messageOf(error)}`
    recordPodEvent(recorder, pod, { ...event, type: 'Warning', reason: 'FailedPostStartHook', message })
    await runtime.stopContainer(id, (pod.spec?.terminationGracePeriodSeconds ?? 30) * 1_000)
    throw new ContainerStartError('PostStartHookError', error, id)
  }
  return id
}

async function step<T>(reason: StartReason, work: () => Promise<T>, containerId?: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const isConfig = error instanceof ContainerConfigError
    throw new ContainerStartError(isConfig ? 'CreateContainerConfigError' : reason, error, containerId)
  }
}

async function ensureImage({ pod, container }: StartRequest, context: PodContext): Promise<void> {
  const { runtime, recorder } = context
  const image = container.image ?? ''
  const policy = container.imagePullPolicy ?? 'IfNotPresent'
  const event = { type: 'Normal' as const, container: container.name }
  const present = await runtime.imageStatus(image)
  if (present !== null && (policy !== 'Always' || !runtime.pullsImages)) {
    const message = `Container image "${image}" already present on machine`
    return recordPodEvent(recorder, pod, { ...event, reason: 'Pulled', message })
  }
  if (policy === 'Never') {
    const message = `Container image "${image}" is not present with pull policy of Never`
    throw new ContainerStartError('ErrImageNeverPull', new Error(message))
  }
  recordPodEvent(recorder, pod, { ...event, reason: 'Pulling', message: `Pulling image "${image}"` })
  await step('ErrImagePull', () => runtime.ensureImage(image))
  const message = `Successfully pulled image "${image}"`
  recordPodEvent(recorder, pod, { ...event, reason: 'Pulled', message })
}

async function configOf(request: StartRequest, context: PodContext): Promise<ContainerConfig> {
  const { pod, container, attempt, facts, objects } = request
  const { host, settings } = context
  const services = await servicesFor(pod, context)
  const { serviceAddress } = settings
  const env = renderEnvironment({ pod, container, objects, facts, host, services, serviceAddress })
  const hostname = pod.spec?.hostname ?? pod.metadata.name ?? ''
  const { namespace, name, uid } = identityOf(pod)
  return {
    name: container.name,
    attempt,
    image: container.image ?? '',
    command: (container.command ?? []).map(word => expandVariables(word, env)),
    args: (container.args ?? []).map(word => expandVariables(word, env)),
    workingDir: container.workingDir ?? '',
    env: { HOSTNAME: hostname, ...env },
    mounts: await mountsOf(request, env, context),
    logPath: join(container.name, `${attempt}.log`),
    labels: {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
      'io.kubernetes.container.name': container.name,
    },
    annotations: { 'io.kubernetes.container.restartCount': String(attempt) },
    security: securityOf(pod, container),
  }
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
  { pod, container, attempt, volumes }: StartRequest,
  env: Environment,
  { directories }: PodContext,
): Promise<Mount[]> {
  const hostPath = terminationFile(directories.pods, pod.metadata.uid ?? '', container.name, attempt)
  await mkdir(dirname(hostPath), { recursive: true, mode: 0o755 })
  await writeFile(hostPath, '', { mode: 0o666 })
  const containerPath = container.terminationMessagePath ?? DEFAULT_TERMINATION_PATH
  const mounts = await volumes.mountsOf(pod, container, env)
  return [...mounts, { hostPath, containerPath, readOnly: false }]
}

function securityOf(pod: Pod, container: Container): ContainerSecurity {
  const shared = pod.spec?.securityContext
  const own = container.securityContext
  const runAsUser = own?.runAsUser ?? shared?.runAsUser
  if ((own?.runAsNonRoot ?? shared?.runAsNonRoot) && (runAsUser ?? 0) === 0) {
    const why =
      runAsUser === 0
        ? "container's runAsUser breaks non-root policy"
        : 'container has runAsNonRoot and image will run as root'
    throw new ContainerConfigError(why)
  }
  const group = shared?.fsGroup === undefined ? [] : [shared.fsGroup]
  return {
    runAsUser,
    runAsGroup: own?.runAsGroup ?? shared?.runAsGroup,
    supplementalGroups: [...(shared?.supplementalGroups ?? []), ...group],
  }
}
