/** What a server says of a shared key that is being replaced, and how a command asks for it over the admin socket. */
import { askAdmin } from './admin-client.ts'
import type { AuthorityRotationStatus } from './authority-rotation.ts'

/** `service-account` signs tokens; `secrets-encryption` encrypts the data keys of Secrets. */
export const RING_NAMES = ['service-account', 'secrets-encryption'] as const
export type RingName = (typeof RING_NAMES)[number]

/** `trust`: all servers get to know the next key; `sign`: it is in use; `drop`: the earlier one is forgotten. */
export type KeyRotationStatus = AuthorityRotationStatus

export interface KeyRotationHandlers {
  /** Null when nothing is being replaced. */
  status(): KeyRotationStatus | null
  /** Makes the next key; the servers follow by themselves. */
  begin(): Promise<void>
  /** False when there is no earlier key; otherwise it goes as soon as all servers can do without. */
  dropEarlier(): Promise<boolean>
}

const ANSWER_MS_MAX = 30_000

export async function keyRotation(socketPath: string, ring: RingName): Promise<KeyRotationStatus | null> {
  const answer = await askAdmin(socketPath, 'GET', `/v1/keys/${ring}`, ANSWER_MS_MAX)
  return (answer as { rotation: KeyRotationStatus | null }).rotation
}

export async function replaceKey(socketPath: string, ring: RingName): Promise<void> {
  await askAdmin(socketPath, 'POST', `/v1/keys/${ring}/replace`, ANSWER_MS_MAX)
}

export async function dropEarlierKey(socketPath: string, ring: RingName): Promise<boolean> {
  const answer = await askAdmin(socketPath, 'POST', `/v1/keys/${ring}/drop-earlier`, ANSWER_MS_MAX)
  return (answer as { dropped: boolean }).dropped
}
