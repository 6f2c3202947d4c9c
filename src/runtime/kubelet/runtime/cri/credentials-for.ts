/** Which of a pod's registry credentials belong to an image (pure). */

import { registryOf } from '../../image-name.ts'
import type { RegistryCredentials } from '../runtime.ts'

export function credentialsFor(
  image: string,
  credentials: readonly RegistryCredentials[],
): { username: string; password: string } | undefined {
  const registry = registryOf(image)
  const found = credentials.find(({ server }) => hostOf(server) === registry)
  return found && { username: found.username, password: found.password }
}

/** `https://index.docker.io/v1/` and `registry.example:5000` alike. */
function hostOf(server: string): string {
  const host = server.replace(/^https?:\/\//, '').split('/')[0] ?? ''
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host
}
