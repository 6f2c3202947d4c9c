/** Why a container does not run. */
import { messageOf } from '../../base/errors.ts'

export type StartReason =
  | 'ErrImagePull'
  | 'ErrImageNeverPull'
  | 'ImagePullBackOff'
  | 'InvalidImageName'
  | 'CreateContainerConfigError'
  | 'CreateContainerError'
  | 'RunContainerError'
  | 'PostStartHookError'

const ABOUT_IMAGES: readonly StartReason[] = [
  'ErrImagePull',
  'ErrImageNeverPull',
  'ImagePullBackOff',
  'InvalidImageName',
]

export interface StartErrorDetails {
  readonly containerId?: string | undefined
  /** Not before this time; the worker's own back-off unless given. */
  readonly retryAtMs?: number | undefined
}

/** Its reason is what the container waits for. */
export class ContainerStartError extends Error {
  override readonly name = 'ContainerStartError'
  readonly reason: StartReason
  readonly containerId: string | undefined
  readonly retryAtMs: number | undefined

  constructor(reason: StartReason, cause: unknown, details: StartErrorDetails = {}) {
    super(messageOf(cause), { cause })
    this.reason = reason
    this.containerId = details.containerId
    this.retryAtMs = details.retryAtMs
  }

  /** What the event says: for images the reason, since another event has told the rest. */
  get eventMessage(): string {
    return `Error: ${ABOUT_IMAGES.includes(this.reason) ? this.reason : this.message}`
  }
}
