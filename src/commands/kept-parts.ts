/** Where this user's credentials are kept. */
import { homedir } from 'node:os'
import { systemRandom } from '../base/random.ts'
import type { KeptParts } from '../cli/kept-credential.ts'

export async function keptParts(): Promise<KeptParts> {
  const [{ systemKeychain }, { userConfigDirectory }] = await Promise.all([
    import('../host/keychain.ts'),
    import('../host/user-directory.ts'),
  ])
  const { platform, env } = process
  const directory = userConfigDirectory({ platform, env, home: homedir() })
  const passphrase = env['MK8S_PASSPHRASE'] || undefined
  return { directory, keychain: systemKeychain(), random: systemRandom, passphrase }
}
