/** What a pod waits for before its volumes can be mounted. */

/** A volume that cannot be set up yet: FailedMount with this message. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError'
}
