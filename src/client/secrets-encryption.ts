/** What a server says of the encryption of Secrets at rest, and how a command asks for it over the admin socket. */
import { askAdmin } from './admin-client.ts'

export interface SecretsEncryptionStatus {
  readonly enabled: boolean
  /** Names of the data keys, the one that encrypts first; the others only read. */
  readonly keys: readonly { readonly id: string; readonly createdAt: string }[]
  /** Secrets that are stored as they should be. */
  readonly current: number
  /** Secrets that are yet to be rewritten: stored plain, or with an earlier key. */
  readonly stale: number
}

export interface SecretsEncryptionHandlers {
  status(): SecretsEncryptionStatus
  /** All resolve once every Secret has been rewritten; asked for again, they go on where they were. */
  enable(): Promise<SecretsEncryptionStatus>
  disable(): Promise<SecretsEncryptionStatus>
  rotate(): Promise<SecretsEncryptionStatus>
}

export const ENCRYPTION_ACTIONS = ['enable', 'disable', 'rotate'] as const
export type EncryptionAction = (typeof ENCRYPTION_ACTIONS)[number]

const STATUS_MS_MAX = 30_000
/** How long it may take to rewrite all Secrets. */
const REWRITE_MS_MAX = 10 * 60_000

export async function askEncryption(
  socketPath: string,
  action: EncryptionAction | null,
): Promise<SecretsEncryptionStatus> {
  const path = '/v1/secrets-encryption'
  const answer =
    action === null
      ? await askAdmin(socketPath, 'GET', path, STATUS_MS_MAX)
      : await askAdmin(socketPath, 'POST', `${path}/${action}`, REWRITE_MS_MAX)
  return answer as SecretsEncryptionStatus
}
