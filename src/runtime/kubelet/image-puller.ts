/** Gets a container's image according to its pull policy, with upstream's events, errors and back-off. */
import { messageOf } from '../../base/errors.ts'
import type { Container, Pod } from '../../kube/types.ts'
import { ContainerStartError } from './container-start-error.ts'
import { imageNameProblem } from './image-name.ts'
import { type PodContext, type PodEvent, recordPodEvent } from './pod-context.ts'
import { BACKOFF_INITIAL_MS, BACKOFF_MAX_MS } from './restart-backoff.ts'
import { loginsFor } from './runtime/cri/credentials-for.ts'
import type { ImageStatus, RegistryCredentials } from './runtime/runtime.ts'

interface PullBackoff {
  readonly delayMs: number
  readonly untilMs: number
  /** Reason and words of the pull that failed. */
  readonly why: string
}

export interface PullRequest {
  readonly pod: Pod
  readonly container: Container
  readonly credentials: readonly RegistryCredentials[]
}

interface Pulled {
  readonly status: ImageStatus
  /** Those that it was pulled with. */
  readonly credentials: readonly RegistryCredentials[]
}

/** Remembers failed pulls of one pod. */
export class ImagePuller {
  readonly #context: PodContext
  readonly #backoffs = new Map<string, PullBackoff>()

  constructor(context: PodContext) {
    this.#context = context
  }

  /** Throws ContainerStartError. */
  async ensure(request: PullRequest): Promise<ImageStatus> {
    const { runtime } = this.#context
    const { container } = request
    const image = container.image ?? ''
    const policy = container.imagePullPolicy ?? 'IfNotPresent'
    if (runtime.pullsImages) this.#checkName(image, request)
    const present = await this.#present(image, request)
    if (present !== null && (policy !== 'Always' || !runtime.pullsImages)) {
      const message = `Container image "${image}" already present on machine and can be accessed by the pod`
      this.#event(request, { reason: 'Pulled', message })
      return present
    }
    if (policy === 'Never') {
      const message = `Container image "${image}" is not present with pull policy of Never`
      this.#event(request, { type: 'Warning', reason: 'ErrImageNeverPull', message })
      throw new ContainerStartError('ErrImageNeverPull', message)
    }
    this.#checkBackoff(image, request)
    return this.#pull(image, request)
  }

  /** Only what this pod could have pulled itself. */
  async #present(image: string, { credentials }: PullRequest): Promise<ImageStatus | null> {
    const { runtime, pullRecords } = this.#context
    const found = await runtime.imageStatus(image)
    if (found === null || !runtime.pullsImages) return found
    return pullRecords.mustPull(found.imageId, { image, credentials }) ? null : found
  }

  #checkName(image: string, request: PullRequest): void {
    const problem = imageNameProblem(image)
    if (problem === undefined) return
    const why = `couldn't parse image name "${image}": ${problem}`
    const message = `Failed to apply default image tag "${image}": ${why}`
    this.#event(request, { type: 'Warning', reason: 'InspectFailed', message })
    throw new ContainerStartError('InvalidImageName', message)
  }

  #checkBackoff(image: string, request: PullRequest): void {
    const backoff = this.#backoffs.get(image)
    if (backoff === undefined || this.#context.clock.now() >= backoff.untilMs) return
    const message = `Back-off pulling image "${image}"`
    this.#event(request, { reason: 'BackOff', message })
    const details = { retryAtMs: backoff.untilMs }
    throw new ContainerStartError('ImagePullBackOff', `${message}: ${backoff.why}`, details)
  }

  async #pull(image: string, request: PullRequest): Promise<ImageStatus> {
    const { runtime, clock, pullRecords } = this.#context
    const asked = { image, credentials: request.credentials }
    const keepsRecords = runtime.pullsImages
    this.#event(request, { reason: 'Pulling', message: `Pulling image "${image}"` })
    const begunMs = clock.monotonic()
    try {
      if (keepsRecords) pullRecords.began(asked)
      const { status, credentials } = await this.#pullWithEach(image, request.credentials)
      if (keepsRecords) pullRecords.succeeded(status.imageId, { image, credentials })
      this.#backoffs.delete(image)
      const took = goMilliseconds(clock.monotonic() - begunMs)
      const size = status.sizeBytes === undefined ? '' : `. Image size: ${status.sizeBytes} bytes.`
      const message = `Successfully pulled image "${image}" in ${took} (${took} including waiting)${size}`
      this.#event(request, { reason: 'Pulled', message })
      return status
    } catch (error) {
      if (keepsRecords) pullRecords.failed(asked)
      const why = messageOf(error)
      const message = `Failed to pull image "${image}": ${why}`
      this.#event(request, { type: 'Warning', reason: 'Failed', message })
      const before = this.#backoffs.get(image)?.delayMs ?? BACKOFF_INITIAL_MS / 2
      const delayMs = Math.min(before * 2, BACKOFF_MAX_MS)
      this.#backoffs.set(image, { delayMs, untilMs: clock.now() + delayMs, why: `ErrImagePull: ${why}` })
      throw new ContainerStartError('ErrImagePull', error)
    }
  }

  /** Of several logins for the image's registry each is tried, the pod's own first, as upstream does. */
  async #pullWithEach(image: string, credentials: readonly RegistryCredentials[]): Promise<Pulled> {
    const { runtime, providers } = this.#context
    const logins = loginsFor(image, credentials)
    const ofNode = loginsFor(image, runtime.pullsImages ? await providers.loginsFor(image) : [])
    const others = credentials.filter(each => !logins.includes(each))
    const all = [...logins, ...ofNode]
    const tries = all.length === 0 ? [others] : all.map(login => [login, ...others])
    const problems = new Set<string>()
    for (const [index, tried] of tries.entries()) {
      try {
        const status = await runtime.ensureImage(image, tried)
        // What the node may have, all of its pods may.
        return { status, credentials: index < logins.length ? tried : [] }
      } catch (error) {
        problems.add(messageOf(error))
      }
    }
    const [first = '', ...more] = problems
    throw new Error(more.length === 0 ? first : `[${[first, ...more].join(', ')}]`)
  }

  #event(
    { pod, container }: PullRequest,
    event: Partial<PodEvent> & Pick<PodEvent, 'reason' | 'message'>,
  ): void {
    recordPodEvent(this.#context.recorder, pod, { type: 'Normal', ...event, container: container.name })
  }
}

/** `1.234s`, `250ms`, as Go prints durations that are rounded to milliseconds. */
function goMilliseconds(ms: number): string {
  const whole = Math.round(ms)
  return whole < 1_000 ? `${whole}ms` : `${whole / 1_000}s`
}
