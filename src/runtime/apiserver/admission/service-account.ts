/** Every pod runs as a service account; its containers find the account's token, the CA and the namespace. */
import { type Clock, sleep } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Container, PodSpec, ServiceAccount, Volume } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { isMirrorPod, podToCreate, refuse } from './refuse.ts'

export interface ServiceAccountParts {
  readonly objects: ObjectReader
  readonly clock: Clock
  readonly random: Random
}

const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
const VOLUME_PREFIX = 'kube-api-access-'
/** The audience's default lifetime plus a mark by which the issuer knows this request. */
const TOKEN_SECONDS = 3607
const SUFFIX_LENGTH = 5
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
/** A new namespace gets its default account a moment later, so that one is waited for. */
const DEFAULT_ACCOUNT_ATTEMPTS_MAX = 20
const RETRY_MS = 50

export function serviceAccount(parts: ServiceAccountParts): AdmissionPlugin {
  return {
    name: 'ServiceAccount',
    async admit(request) {
      const pod = podToCreate(request)
      if (pod?.spec === undefined) return
      if (isMirrorPod(pod)) return checkMirrorPod(request, pod.spec)
      const { spec } = pod
      spec.serviceAccountName ||= 'default'
      spec.serviceAccount = spec.serviceAccountName
      const account = await findAccount(request, spec.serviceAccountName, parts)
      const automount = spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true
      if (automount) mountToken(spec, parts.random)
      const pullSecrets = account.imagePullSecrets ?? []
      if ((spec.imagePullSecrets?.length ?? 0) === 0 && pullSecrets.length > 0) {
        spec.imagePullSecrets = pullSecrets.map(({ name }) => (name === undefined ? {} : { name }))
      }
    },
    validate(request) {
      const pod = podToCreate(request)
      if (pod?.spec === undefined || isMirrorPod(pod)) return
      const name = pod.spec.serviceAccountName ?? ''
      if (name === '')
        throw refuse(
          request,
          `no service account specified for pod ${request.namespace}/${pod.metadata.name}`,
        )
      if (lookUp(request.namespace, name, parts.objects) === null) throw missing(request, name)
    },
  }
}

function checkMirrorPod(request: AdmissionRequest, spec: PodSpec): void {
  if (spec.serviceAccountName) throw refuse(request, 'a mirror pod may not reference service accounts')
  const projects = (volume: Volume) => volume.projected?.sources?.some(source => source.serviceAccountToken)
  if (spec.volumes?.some(projects)) {
    throw refuse(request, 'a mirror pod may not use ServiceAccountToken volume projections')
  }
}

async function findAccount(
  request: AdmissionRequest,
  name: string,
  parts: ServiceAccountParts,
): Promise<ServiceAccount> {
  const attempts = name === 'default' ? DEFAULT_ACCOUNT_ATTEMPTS_MAX : 1
  for (let attempt = 1; ; attempt++) {
    const account = lookUp(request.namespace, name, parts.objects)
    if (account !== null) return account as unknown as ServiceAccount
    if (attempt >= attempts) throw missing(request, name)
    await sleep(parts.clock, RETRY_MS)
  }
}

const lookUp = (namespace: string, name: string, objects: ObjectReader): KubeObject | null =>
  objects.get('', 'serviceaccounts', namespace, name)

function missing(request: AdmissionRequest, name: string) {
  const what = `serviceaccount ${JSON.stringify(name)} not found`
  return refuse(request, `error looking up service account ${request.namespace}/${name}: ${what}`)
}

function mountToken(spec: PodSpec, random: Random): void {
  const known = spec.volumes?.find(isTokenVolume)
  const name = known?.name ?? unusedName(spec, random)
  const containers: Pick<Container, 'volumeMounts'>[] = [...(spec.initContainers ?? []), ...spec.containers]
  const lacking = containers.filter(
    container => !container.volumeMounts?.some(mount => mount.mountPath === MOUNT_PATH),
  )
  for (const container of lacking) {
    container.volumeMounts = [
      ...(container.volumeMounts ?? []),
      { name, readOnly: true, mountPath: MOUNT_PATH },
    ]
  }
  if (lacking.length > 0 && known === undefined) {
    spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)]
  }
}

/** A pod that comes from another one's YAML brings its token volume along. */
const isTokenVolume = (volume: Volume): boolean =>
  volume.name.startsWith(VOLUME_PREFIX) &&
  (volume.projected?.sources?.some(source => source.serviceAccountToken !== undefined) ?? false)

function unusedName(spec: PodSpec, random: Random): string {
  const taken = new Set(spec.volumes?.map(volume => volume.name))
  for (;;) {
    let name = VOLUME_PREFIX
    for (let i = 0; i < SUFFIX_LENGTH; i++) name += ALPHABET[Math.floor(random.float() * ALPHABET.length)]
    if (!taken.has(name)) return name
  }
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
    },
  }
}
