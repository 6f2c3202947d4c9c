/** The operating system's keychain, with the functions of keytar: macOS' and Windows' own, Secret Service on Linux. */
import type { AsyncEntry, findCredentialsAsync } from '@napi-rs/keyring'
import { loadKeyring } from './native-addon.ts'

interface Keyring {
  readonly AsyncEntry: typeof AsyncEntry
  readonly findCredentialsAsync: typeof findCredentialsAsync
}

export interface Keychain {
  /** Null: there is none. */
  getPassword(service: string, account: string): Promise<string | null>
  setPassword(service: string, account: string, password: string): Promise<void>
  /** False when there was none. */
  deletePassword(service: string, account: string): Promise<boolean>
  findCredentials(
    service: string,
  ): Promise<readonly { readonly account: string; readonly password: string }[]>
}

/** A locked keychain may ask its user, which must not take for ever. */
const ANSWER_MS_MAX = 60_000

/** Every function throws where there is no keychain, as on most servers. */
export function systemKeychain(): Keychain {
  const keyring = () => loadKeyring() as Keyring
  // Never the automatic choice: the kernel's keyring forgets at logout.
  const entry = (service: string, account: string) =>
    new (keyring().AsyncEntry)(service, account, { linux: { store: 'secret-service' } })
  const limit = () => AbortSignal.timeout(ANSWER_MS_MAX)
  return {
    getPassword: async (service, account) => (await entry(service, account).getPassword(limit())) ?? null,
    setPassword: async (service, account, password) => entry(service, account).setPassword(password, limit()),
    deletePassword: async (service, account) => entry(service, account).deletePassword(limit()),
    findCredentials: async service => keyring().findCredentialsAsync(service, null, limit()),
  }
}
