/** The add-ons that come with the program: data in `addons/`, one directory each. */
import { readAddonFiles } from '../../host/assets.ts'
import { type AddonSource, readSource } from './bundle.ts'

/** By name; read once. */
export function builtInAddons(): ReadonlyMap<string, AddonSource> {
  known ??= readAll(readAddonFiles())
  return known
}

let known: ReadonlyMap<string, AddonSource> | undefined

/** From paths that begin with the add-on's directory. */
export function readAll(files: Readonly<Record<string, string>>): ReadonlyMap<string, AddonSource> {
  const byName = new Map<string, Record<string, string>>()
  for (const [path, text] of Object.entries(files)) {
    const at = path.indexOf('/')
    if (at < 1) continue
    const directory = path.slice(0, at)
    const own = byName.get(directory) ?? {}
    own[path.slice(at + 1)] = text
    byName.set(directory, own)
  }
  const sources = Array.from(byName, ([directory, own]) => [directory, readSource(own, directory)] as const)
  return new Map(sources.sort(([a], [b]) => (a < b ? -1 : 1)))
}
