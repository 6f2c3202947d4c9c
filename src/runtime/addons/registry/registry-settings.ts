/** What the registry is told, out of the add-on's parameters and the Secrets that they name (pure). */
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../../../kube/endpoint-slice-labels.ts'
import { familyOf } from '../../../kube/ip-family.ts'
import { COLLECTED } from '../../../kube/registries/collect-garbage.ts'
import type { EndpointSlice, Secret, Service } from '../../../kube/types.ts'
import type { Anonymous } from '../../image-registry/access.ts'
import type { RegistryConfig } from '../../image-registry/messages.ts'
import { isShaCrypt } from '../../image-registry/sha-crypt.ts'
import type { ParameterValues } from '../addon-object.ts'

export const NAMESPACE = 'container-registry'
export const CLAIM = 'registry-claim'
export const SERVICE = 'registry'
export const SLICE = 'registry-node'
const HOUR_MS = 60 * 60 * 1_000
/** What is younger is never garbage of the schedule's: a push takes its time. */
const GRACE_MS = HOUR_MS

/** By the parameter that names them; absent: there is no such Secret. */
export type Secrets = Readonly<Record<string, Secret | undefined>>

/** Parameters that name a Secret. */
export const SECRET_PARAMETERS = ['users', 'tls', 'mirror-login'] as const

interface Place {
  readonly directory: string
  readonly bytesMax: number
  readonly address: string
  readonly trusted: readonly string[]
}

export type Settings =
  | { readonly ok: true; readonly config: RegistryConfig }
  | { readonly ok: false; readonly problem: string }

/** Nothing is opened to more people because a Secret is missing or damaged. */
export function planSettings(parameters: ParameterValues, secrets: Secrets, place: Place): Settings {
  for (const name of SECRET_PARAMETERS) {
    const secret = String(parameters[name] ?? '')
    if (secret !== '' && secrets[name] === undefined) {
      return { ok: false, problem: `there is no Secret ${NAMESPACE}/${secret}` }
    }
  }
  const { users, problem } = usersOf(textIn(secrets['users'], 'htpasswd'))
  if (problem !== '') return { ok: false, problem: `Secret ${parameters['users']}: ${problem}` }
  const tls = { certificate: textIn(secrets['tls'], 'tls.crt'), key: textIn(secrets['tls'], 'tls.key') }
  if (secrets['tls'] !== undefined && (tls.certificate === '' || tls.key === '')) {
    return { ok: false, problem: `Secret ${parameters['tls']}: tls.crt or tls.key is missing` }
  }
  const server = String(parameters['mirror'] ?? '')
  const login = secrets['mirror-login']
  const config: RegistryConfig = {
    ...{ directory: place.directory, bytesMax: place.bytesMax, trusted: place.trusted },
    ...{ addresses: [place.address], port: Number(parameters['port']) },
    access: {
      anonymousPull: parameters['anonymous-pull'] as Anonymous,
      anonymousPush: parameters['anonymous-push'] as Anonymous,
      users,
    },
    tls: secrets['tls'] === undefined ? null : tls,
    mirror:
      server === ''
        ? null
        : {
            server,
            login:
              login === undefined
                ? null
                : { username: textIn(login, 'username'), password: textIn(login, 'password') },
          },
    garbage: {
      intervalMs: Number(parameters['collect-every']) * HOUR_MS,
      graceMs: GRACE_MS,
      untagged: parameters['collect-untagged'] === true,
    },
  }
  return { ok: true, config }
}

const textIn = (secret: Secret | undefined, key: string): string =>
  Buffer.from(secret?.data?.[key] ?? '', 'base64').toString('utf8')

/** Lines of `name:hash`. */
function usersOf(text: string): {
  readonly users: Readonly<Record<string, string>>
  readonly problem: string
} {
  const users: Record<string, string> = {}
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const colon = trimmed.indexOf(':')
    const hash = trimmed.slice(colon + 1)
    if (colon < 1 || !isShaCrypt(hash)) {
      return { users: {}, problem: `line ${index + 1} of htpasswd is not NAME:HASH as of openssl passwd -6` }
    }
    users[trimmed.slice(0, colon)] = hash
  }
  return { users, problem: '' }
}

interface Endpoint {
  readonly service: Service
  readonly nodeName: string
  readonly address: string
  readonly port: number
  readonly isReady: boolean
  /** What came of the last collection of garbage that was asked for; empty: nothing yet. */
  readonly collected: string
}

/** Goes with its Service. */
export function renderSlice({
  service,
  nodeName,
  address,
  port,
  isReady,
  collected,
}: Endpoint): EndpointSlice {
  const { name = SERVICE, uid = '' } = service.metadata
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: SLICE,
      namespace: NAMESPACE,
      labels: {
        [SERVICE_NAME_LABEL]: name,
        [MANAGED_BY_LABEL]: 'mk8s-registry',
        'app.kubernetes.io/managed-by': 'mk8s',
        'addons.mk8s.io/name': 'registry',
      },
      ...(collected === '' ? {} : { annotations: { [COLLECTED]: collected } }),
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name, uid }],
    },
    addressType: familyOf(address),
    endpoints: [{ addresses: [address], conditions: { ready: isReady }, nodeName }],
    ports: [{ name: 'registry', port, protocol: 'TCP' }],
  }
}
