/**
 * Repositories of add-ons as the cluster keeps them, so that every server knows the same: a ConfigMap per repository
 * (where it came from, the key it is signed with) and one per add-on of it, with its bundle. Pure.
 */
import type { ConfigMap } from '../../kube/types.ts'
import { type AddonSource, BUNDLE_NAMESPACE, bundleMap, readBundle } from './bundle.ts'
import type { CatalogEntry } from './catalog.ts'

export const REPOSITORY_LABEL = 'addons.mk8s.io/repository'
const NOTES = 'addons.mk8s.io/'
const SOURCE = 'source'

export interface Repository {
  readonly name: string
  /** A directory, an archive or a git URL. */
  readonly source: string
  /** A branch, tag or commit of a git URL. */
  readonly reference: string
  /** PEM of the Ed25519 key that its index is signed with; empty: unsigned ones are taken. */
  readonly publicKey: string
  readonly commit: string
}

export interface KeptEntry {
  readonly name: string
  readonly repository: string
  readonly version: string
  readonly description: string
}

export function repositoryMap({ name, ...data }: Repository): ConfigMap {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `mk8s-addon-repository-${name}`,
      namespace: BUNDLE_NAMESPACE,
      labels: { 'app.kubernetes.io/managed-by': 'mk8s', [REPOSITORY_LABEL]: name },
    },
    data: { ...data },
  }
}

export function readRepository({ metadata, data }: ConfigMap): Repository | null {
  const name = metadata.labels?.[REPOSITORY_LABEL]
  if (name === undefined || data?.[SOURCE] === undefined) return null
  return {
    name,
    source: data[SOURCE],
    reference: data['reference'] ?? '',
    publicKey: data['publicKey'] ?? '',
    commit: data['commit'] ?? '',
  }
}

/** An add-on of a repository, whether it is enabled or not. */
export function entryMap(repository: string, source: AddonSource): ConfigMap {
  const bundle = bundleMap(source)
  const { name, version, description } = source.definition
  return {
    ...bundle,
    metadata: {
      name: `mk8s-addon-repository-${repository}-${name}`,
      namespace: BUNDLE_NAMESPACE,
      labels: { 'app.kubernetes.io/managed-by': 'mk8s', [REPOSITORY_LABEL]: repository },
      annotations: {
        [`${NOTES}addon`]: name,
        [`${NOTES}version`]: version,
        [`${NOTES}description`]: description,
      },
    },
    immutable: false,
  }
}

/** Without unpacking anything; null: it is no add-on of a repository. */
export function keptEntry({ metadata }: ConfigMap): KeptEntry | null {
  const repository = metadata.labels?.[REPOSITORY_LABEL]
  const name = metadata.annotations?.[`${NOTES}addon`]
  if (repository === undefined || name === undefined) return null
  const { [`${NOTES}version`]: version = '', [`${NOTES}description`]: description = '' } =
    metadata.annotations ?? {}
  return { name, repository, version, description }
}

export function readEntry(map: ConfigMap): CatalogEntry | null {
  const kept = keptEntry(map)
  return kept === null ? null : { repository: kept.repository, source: readBundle(map) }
}
