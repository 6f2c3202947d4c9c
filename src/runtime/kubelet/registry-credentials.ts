/** A pod's image pull secrets as credentials (pure). */
import type { Pod, Secret } from '../../kube/types.ts'
import type { ReferencedObjects } from './environment.ts'
import type { RegistryCredentials } from './runtime/runtime.ts'

interface Entry {
  readonly username?: string
  readonly password?: string
  readonly auth?: string
}

/** A secret that is not there or damaged is left out: the pull then says what the registry thinks of that. */
export function registryCredentials(pod: Pod, objects: ReferencedObjects): RegistryCredentials[] {
  return (pod.spec?.imagePullSecrets ?? []).flatMap(({ name = '' }) => credentialsIn(objects.secret(name)))
}

/** Names of those that are not there. */
export function missingPullSecrets(pod: Pod, objects: ReferencedObjects): string[] {
  const names = (pod.spec?.imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : []))
  return names.filter(name => objects.secret(name) === null)
}

function credentialsIn(secret: Secret | null): RegistryCredentials[] {
  try {
    const current = secret?.data?.['.dockerconfigjson']
    const old = secret?.data?.['.dockercfg']
    const text = Buffer.from(current ?? old ?? '', 'base64').toString('utf8')
    const parsed = JSON.parse(text) as { auths?: Record<string, Entry> } & Record<string, Entry>
    const entries = (current === undefined ? parsed : parsed.auths) ?? {}
    return Object.entries(entries).map(([server, entry]) => ({ server, ...loginOf(entry) }))
  } catch {
    return []
  }
}

function loginOf({ username, password, auth }: Entry): { username: string; password: string } {
  if (username !== undefined && password !== undefined) return { username, password }
  const text = Buffer.from(auth ?? '', 'base64').toString('utf8')
  const at = text.indexOf(':')
  return { username: text.slice(0, at), password: text.slice(at + 1) }
}
