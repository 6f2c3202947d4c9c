/** What the node's options say of images. */
import { dirname } from 'node:path'
import { readOrEmpty } from '../../host/files.ts'
import { parseProviders } from './credential-providers.ts'
import type { KubeletSettings } from './kubelet-parts.ts'
import type { VerificationPolicy } from './pull-records.ts'

type ImageSettings = Pick<KubeletSettings, 'verification' | 'credentialProviders'>

/** Throws `config/invalid`. */
export function imageSettings(options: Readonly<Record<string, string>>): ImageSettings {
  const file = options['imageCredentialProviderConfig'] ?? ''
  const directory = options['imageCredentialProviderBinDir'] || dirname(file)
  return {
    verification: options['imagePullCredentialsVerificationPolicy'] as VerificationPolicy | undefined,
    ...(file !== '' && { credentialProviders: { providers: parseProviders(readOrEmpty(file)), directory } }),
  }
}
