/** Where this user's credentials are kept. */
import { homedir } from 'node:os'
import { systemRandom } from '../base/random.ts'
import { userConfigDirectory } from '../host/user-directory.ts'
import type { Kept, KeptParts } from './kept-credential.ts'
import { remark } from './terminal.ts'

export function userDirectory(): string {
  const { platform, env } = process
  return userConfigDirectory({ platform, env, home: homedir() })
}

export async function keptParts(): Promise<KeptParts> {
  const { systemKeychain } = await import('../host/keychain.ts')
  const passphrase = process.env['MK8S_PASSPHRASE'] || undefined
  const ask = async (question: string) => (await import('./ask-hidden.ts')).askHidden(question)
  return { directory: userDirectory(), keychain: systemKeychain(), random: systemRandom, passphrase, ask }
}

/** Says so where the key could not go into a keychain. */
export function remarkPlace(kept: Kept): void {
  if (kept.place === 'keychain') return
  const under = kept.place === 'passphrase' ? 'the passphrase' : "this machine's key"
  remark(`There is no keychain here (${kept.why}).`)
  remark(`The key is in ${kept.path}, encrypted under ${under}.`)
}
