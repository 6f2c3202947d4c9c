/** What the files of a volume hold (pure): ConfigMaps, Secrets, the downward API, and projections of them. */
import type { ConfigMap, KeyToPath, Pod, Secret, Volume } from '../../../kube/types.ts'
import type { ReferencedObjects } from '../environment.ts'
import type { HostFacts } from '../host-facts.ts'
import { type PodFacts, podField, resourceField } from '../pod-fields.ts'
import type { ClaimedPlaces } from './claim-volumes.ts'
import { VolumeError } from './volume-error.ts'

export interface VolumeFile {
  readonly data: Buffer
  readonly mode: number
}

/** Relative path to file. */
export type VolumeFiles = Map<string, VolumeFile>

export interface VolumeParts {
  readonly pod: Pod
  readonly objects: ReferencedObjects
  readonly facts: PodFacts
  readonly host: HostFacts
  /** Tokens by `tokenKey`, already requested. */
  readonly tokens: ReadonlyMap<string, string>
  /** What its claims have led to; absent without any. */
  readonly places?: ClaimedPlaces
}

/** Which token a projection wants; several volumes of a pod may have different ones at the same path. */
export const tokenKey = (wanted: {
  readonly audience?: string
  readonly expirationSeconds?: number
}): string => JSON.stringify([wanted.audience ?? '', wanted.expirationSeconds ?? 0])

const DEFAULT_MODE = 0o644

/** The files of a volume whose content comes from the API; null for volumes of another sort. */
export function renderVolume(volume: Volume, parts: VolumeParts): VolumeFiles | null {
  if (volume.configMap) {
    const { name = '', items, optional, defaultMode } = volume.configMap
    return configMapFiles({ name, items, optional, mode: defaultMode ?? DEFAULT_MODE }, parts)
  }
  if (volume.secret) {
    const { secretName = '', items, optional, defaultMode } = volume.secret
    return secretFiles({ name: secretName, items, optional, mode: defaultMode ?? DEFAULT_MODE }, parts)
  }
  if (volume.downwardAPI) {
    const { items, defaultMode } = volume.downwardAPI
    return downwardFiles(items ?? [], defaultMode ?? DEFAULT_MODE, parts)
  }
  if (volume.projected) return projectedFiles(volume.projected, parts)
  return null
}

interface Source {
  readonly name: string
  readonly items: readonly KeyToPath[] | undefined
  readonly optional: boolean | undefined
  readonly mode: number
}

function configMapFiles(source: Source, { objects }: VolumeParts): VolumeFiles {
  const found = objects.configMap(source.name)
  if (found === null && !source.optional) throw new VolumeError(`configmap "${source.name}" not found`)
  return pickItems(source, configMapData(found), ['configmap ', 'config'])
}

function configMapData(object: ConfigMap | null): Map<string, Buffer> {
  const data = new Map<string, Buffer>()
  for (const [key, text] of Object.entries(object?.data ?? {})) data.set(key, Buffer.from(text))
  for (const [key, text] of Object.entries(object?.binaryData ?? {})) data.set(key, fromBase64(text))
  return data
}

function secretFiles(source: Source, { objects }: VolumeParts): VolumeFiles {
  const found: Secret | null = objects.secret(source.name)
  if (found === null && !source.optional) throw new VolumeError(`secret "${source.name}" not found`)
  const data = new Map(Object.entries(found?.data ?? {}).map(([key, text]) => [key, fromBase64(text)]))
  // Upstream does not say that it is about a Secret otherwise.
  return pickItems(source, data, ['', 'secret'])
}

const fromBase64 = (text: string) => Buffer.from(text, 'base64')

function pickItems(
  source: Source,
  data: ReadonlyMap<string, Buffer>,
  [kind, key]: readonly [kind: string, key: string],
): VolumeFiles {
  if (!source.items || source.items.length === 0) {
    return new Map([...data].map(([key, bytes]) => [key, { data: bytes, mode: source.mode }]))
  }
  const files: VolumeFiles = new Map()
  for (const item of source.items) {
    const bytes = data.get(item.key)
    if (bytes === undefined) {
      if (source.optional) continue
      throw new VolumeError(`${kind}references non-existent ${key} key: ${item.key}`)
    }
    files.set(item.path, { data: bytes, mode: item.mode ?? source.mode })
  }
  return files
}

function downwardFiles(
  items: NonNullable<NonNullable<Volume['downwardAPI']>['items']>,
  mode: number,
  { pod, facts, host }: VolumeParts,
): VolumeFiles {
  const files: VolumeFiles = new Map()
  for (const item of items) {
    const selector = item.resourceFieldRef
    const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
    const target = containers.find(({ name }) => name === selector?.containerName)
    const value = item.fieldRef
      ? podField(pod, item.fieldRef, facts)
      : selector && target
        ? resourceField(target, selector, host)
        : null
    if (value === null) throw new VolumeError(`downward API item ${item.path} names no known field`)
    files.set(item.path, { data: Buffer.from(value), mode: item.mode ?? mode })
  }
  return files
}

function projectedFiles(projected: NonNullable<Volume['projected']>, parts: VolumeParts): VolumeFiles {
  const mode = projected.defaultMode ?? DEFAULT_MODE
  const files: VolumeFiles = new Map()
  for (const source of projected.sources ?? []) {
    const { configMap, secret, downwardAPI, serviceAccountToken } = source
    if (configMap) {
      const { name = '', items, optional } = configMap
      addAll(files, configMapFiles({ name, items, optional, mode }, parts))
    } else if (secret) {
      const { name = '', items, optional } = secret
      addAll(files, secretFiles({ name, items, optional, mode }, parts))
    } else if (downwardAPI) {
      addAll(files, downwardFiles(downwardAPI.items ?? [], mode, parts))
    } else if (serviceAccountToken) {
      const token = parts.tokens.get(tokenKey(serviceAccountToken))
      if (token === undefined) throw new VolumeError('the service account token is not there yet')
      // Upstream narrows the token's mode unless the pod has a group to read it with.
      const isShared = parts.pod.spec?.securityContext?.fsGroup !== undefined || runsAsOthers(parts.pod)
      files.set(serviceAccountToken.path, { data: Buffer.from(token), mode: isShared ? 0o644 : mode })
    } else throw new VolumeError('a projected source of this kind is not supported')
  }
  return files
}

function runsAsOthers(pod: Pod): boolean {
  const contexts = [pod.spec?.securityContext, ...(pod.spec?.containers ?? []).map(c => c.securityContext)]
  return contexts.some(context => (context?.runAsUser ?? 0) !== 0)
}

function addAll(files: VolumeFiles, more: VolumeFiles): void {
  for (const [path, file] of more) files.set(path, file)
}
