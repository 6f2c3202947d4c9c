/** What a pod waits for before its volumes can be mounted. */

/** A volume that cannot be set up yet: FailedMount with this message. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError'
}

/** The driver says that no more volumes can be attached to this node, for now. */
export class AttachLimitError extends VolumeError {
  readonly driver: string
  /** As the pod calls it. */
  readonly volumeName: string

  constructor(message: string, about: { readonly driver: string; readonly volumeName: string }) {
    super(message)
    this.driver = about.driver
    this.volumeName = about.volumeName
  }
}

/** So long that the pod has to go elsewhere. */
export class AttachLimitReached extends Error {
  override readonly name = 'AttachLimitReached'
}
