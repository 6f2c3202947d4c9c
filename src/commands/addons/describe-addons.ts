/** What the commands tell of add-ons: of the catalog and of the cluster together. */
import type { Addon } from '../../runtime/addons/addon-object.ts'
import { bundleMap } from '../../runtime/addons/bundle.ts'
import type { CatalogEntry } from '../../runtime/addons/catalog.ts'
import type { AddonCluster } from './cluster.ts'

export interface DescribedAddon {
  readonly name: string
  readonly repository: string
  readonly description: string
  readonly state: 'enabled' | 'disabled' | 'not ready' | 'failed'
  /** Of what is enabled; empty where nothing is. */
  readonly version: string
  readonly latest: string
  readonly outdated: boolean
  readonly message: string
}

export async function describeAddons(cluster: AddonCluster): Promise<DescribedAddon[]> {
  const [catalog, addons] = await Promise.all([cluster.catalog(), cluster.addons()])
  const described = catalog.map(entry => describe(entry, find(addons, entry.source.definition.name)))
  const known = new Set(described.map(({ name }) => name))
  const orphans = addons.filter(
    ({ metadata, spec }) => !known.has(metadata.name ?? '') && spec?.enabled !== false,
  )
  return [...described, ...orphans.map(describeOrphan)]
}

const find = (addons: readonly Addon[], name: string) => addons.find(({ metadata }) => metadata.name === name)

function stateOf(addon: Addon | undefined): DescribedAddon['state'] {
  if (addon === undefined || addon.spec?.enabled === false) return 'disabled'
  if (addon.status?.phase === 'Ready') return 'enabled'
  return addon.status?.phase === 'Failed' ? 'failed' : 'not ready'
}

const messageOf = (addon: Addon | undefined): string =>
  [addon?.status?.failing, addon?.status?.message]
    .filter(text => text !== undefined && text !== '')
    .join(': ')

function describe({ repository, source }: CatalogEntry, addon: Addon | undefined): DescribedAddon {
  const { name, description, version: latest } = source.definition
  const state = stateOf(addon)
  const version = state === 'disabled' ? '' : (addon?.spec?.version ?? '')
  const outdated = state !== 'disabled' && isOutdated(source, addon)
  return { name, repository, description, state, version, latest, outdated, message: messageOf(addon) }
}

/** A chart is bundled as it was rendered, so only its version tells. */
export function isOutdated(source: CatalogEntry['source'], addon: Addon | undefined): boolean {
  if (source.definition.chart !== null) return addon?.spec?.version !== source.definition.version
  return addon?.spec?.bundle !== bundleMap(source).metadata.name
}

function describeOrphan(addon: Addon): DescribedAddon {
  const { spec, metadata } = addon
  const version = spec?.version ?? ''
  return {
    ...{
      name: metadata.name ?? '',
      repository: spec?.repository ?? '',
      description: '',
      state: stateOf(addon),
    },
    ...{ version, latest: version, outdated: false, message: messageOf(addon) },
  }
}
