/** The add-ons that one may enable: built-in ones and those of repositories, found by name or alias. Pure. */
import { Mk8sError } from '../../base/errors.ts'
import { nearest } from '../../base/nearest.ts'
import type { Addon } from './addon-object.ts'
import type { AddonSource } from './bundle.ts'

export interface CatalogEntry {
  readonly repository: string
  readonly source: AddonSource
}

export type Catalog = readonly CatalogEntry[]

/** A word of `enable` and `disable`: `NAME`, `REPOSITORY/NAME`, `NAME:ARGUMENT`. */
export interface AddonWord {
  readonly repository: string | null
  readonly name: string
  readonly argument: string
}

export function readAddonWord(word: string): AddonWord {
  const at = word.indexOf(':')
  const path = at < 0 ? word : word.slice(0, at)
  const argument = at < 0 ? '' : word.slice(at + 1)
  const slash = path.indexOf('/')
  return slash < 0
    ? { repository: null, name: path, argument }
    : { repository: path.slice(0, slash), name: path.slice(slash + 1), argument }
}

/** A name wins over an alias, a built-in add-on over others. Throws `addon/unknown`. */
export function findAddon(catalog: Catalog, { repository, name }: Omit<AddonWord, 'argument'>): CatalogEntry {
  const candidates = catalog.filter(entry => repository === null || entry.repository === repository)
  const byName = candidates.find(({ source }) => source.definition.name === name)
  const found = byName ?? candidates.find(({ source }) => source.definition.aliases.includes(name))
  if (found !== undefined) return found
  const names = candidates.flatMap(({ source }) => [source.definition.name, ...source.definition.aliases])
  const near = nearest(name, names)
  throw new Mk8sError('addon/unknown', `Addon ${name} was not found in any repository`, {
    hint: near === undefined ? 'mk8s addons list' : `mk8s enable ${near}`,
  })
}

/** It and what it needs, needed ones first; throws `addon/missing` for a need that nobody has. */
export function withDependencies(catalog: Catalog, entry: CatalogEntry): CatalogEntry[] {
  const ordered: CatalogEntry[] = []
  const visit = (current: CatalogEntry, path: readonly string[]): void => {
    const { name, dependencies } = current.source.definition
    if (ordered.some(({ source }) => source.definition.name === name)) return
    if (path.includes(name)) throw missing(name, `it needs itself: ${[...path, name].join(' → ')}`)
    for (const dependency of dependencies) visit(needed(catalog, name, dependency), [...path, name])
    ordered.push(current)
  }
  visit(entry, [])
  return ordered
}

const missing = (name: string, why: string): Mk8sError =>
  new Mk8sError('addon/missing', `${name} cannot be enabled`, {
    why,
    hint: 'mk8s addons repo add NAME SOURCE adds a repository',
  })

function needed(catalog: Catalog, name: string, dependency: string): CatalogEntry {
  const found = catalog.find(({ source }) => source.definition.name === dependency)
  if (found === undefined) throw missing(name, `it needs ${dependency}, which is in no repository`)
  return found
}

/** Enabled add-ons that need this one. */
export function dependents(catalog: Catalog, name: string, addons: readonly Addon[]): string[] {
  const enabled = addons.filter(({ spec }) => spec?.enabled !== false).map(({ metadata }) => metadata.name)
  return catalog
    .map(({ source }) => source.definition)
    .filter(one => enabled.includes(one.name) && one.name !== name && one.dependencies.includes(name))
    .map(one => one.name)
}
