/** What `mk8s addons repo` does: repositories are read and checked here, and kept in the cluster for every server. */

import { Mk8sError } from '../../base/errors.ts'
import { isAlreadyExists, type KubeClient } from '../../client/kube-client.ts'
import { CONFIG_MAPS } from '../../client/resources.ts'
import type { ConfigMap } from '../../kube/types.ts'
import { BUNDLE_NAMESPACE } from '../../runtime/addons/bundle.ts'
import type { CatalogEntry } from '../../runtime/addons/catalog.ts'
import {
  entryMap,
  type KeptEntry,
  keptEntry,
  REPOSITORY_LABEL,
  type Repository,
  readEntry,
  readRepository,
  repositoryMap,
} from '../../runtime/addons/repository.ts'
import { readRepositoryFiles } from '../../runtime/addons/repository-index.ts'
import { fetchRepository } from './read-repository.ts'

const FIELD_MANAGER = 'mk8s-addons-repo'

async function keptMaps(client: KubeClient, name?: string): Promise<readonly ConfigMap[]> {
  const labelSelector = name === undefined ? REPOSITORY_LABEL : `${REPOSITORY_LABEL}=${name}`
  return (await client.list<ConfigMap>(CONFIG_MAPS, { namespace: BUNDLE_NAMESPACE, labelSelector })).items
}

/** The add-ons of all repositories, as the cluster has them. */
export const repositoryEntries = async (client: KubeClient): Promise<CatalogEntry[]> =>
  (await keptMaps(client)).flatMap(map => readEntry(map) ?? [])

export interface ListedRepository extends Repository {
  readonly addons: readonly KeptEntry[]
}

export async function listRepositories(client: KubeClient): Promise<ListedRepository[]> {
  const maps = await keptMaps(client)
  const entries = maps.flatMap(map => keptEntry(map) ?? [])
  return maps
    .flatMap(map => readRepository(map) ?? [])
    .map(repository => ({
      ...repository,
      addons: entries.filter(entry => entry.repository === repository.name),
    }))
}

/** Reads it from its source and keeps what is there; nothing is changed when anything is wrong with it. */
export async function keepRepository(
  client: KubeClient,
  repository: Repository,
  options: { readonly isNew: boolean },
): Promise<readonly KeptEntry[]> {
  const { files, commit } = await fetchRepository(repository.source, repository.reference)
  const allowUnsigned = repository.publicKey === ''
  const sources = readRepositoryFiles(files, { publicKey: repository.publicKey, allowUnsigned })
  const maps = sources.map(source => entryMap(repository.name, source))
  const head = repositoryMap({ ...repository, commit })
  if (options.isNew) await create(client, head)
  const wanted = new Set([...maps, head].map(({ metadata }) => metadata.name))
  for (const map of [...maps, head])
    await client.apply(CONFIG_MAPS, map, { fieldManager: FIELD_MANAGER, force: true })
  await removeMaps(
    client,
    (await keptMaps(client, repository.name)).filter(map => !wanted.has(map.metadata.name)),
  )
  return maps.flatMap(map => keptEntry(map) ?? [])
}

async function create(client: KubeClient, head: ConfigMap): Promise<void> {
  try {
    await client.create(CONFIG_MAPS, head)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
    throw new Mk8sError('refused', 'there is a repository of this name', {
      hint: 'mk8s addons repo update reads it again; mk8s addons repo remove forgets it',
    })
  }
}

export async function findRepository(client: KubeClient, name: string): Promise<ListedRepository> {
  const found = (await listRepositories(client)).find(one => one.name === name)
  if (found !== undefined) return found
  throw new Mk8sError('addon/unknown', `there is no repository ${name}`, { hint: 'mk8s addons repo list' })
}

/** What is enabled of it goes on running; its definition and manifests are kept apart. */
export async function removeRepository(client: KubeClient, name: string): Promise<void> {
  await findRepository(client, name)
  await removeMaps(client, await keptMaps(client, name))
}

async function removeMaps(client: KubeClient, maps: readonly ConfigMap[]): Promise<void> {
  for (const { metadata } of maps)
    await client.delete(CONFIG_MAPS, { namespace: BUNDLE_NAMESPACE, name: metadata.name ?? '' })
}
