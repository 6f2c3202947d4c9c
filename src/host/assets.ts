/**
 * Files that travel with the program: beside the sources in development, inside the executable when packaged.
 * `packaging/assets.ts` lists the same names.
 */
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export type AssetName =
  | 'model.json'
  | 'descriptions.json'
  | 'protobuf.json'
  | 'raft-worker.cjs'
  | 'store-worker.cjs'
  | 'dns-worker.cjs'
  | 'registry-worker.cjs'
  | 'hash-worker.cjs'
  | 'ingress-worker.cjs'
  | 'addons.json'
  | 'dashboard.json'

declare const MK8S_BUNDLED: boolean | undefined

/** True inside the packaged executable. */
export const isBundled = typeof MK8S_BUNDLED !== 'undefined' && MK8S_BUNDLED

const inSources: Partial<Record<AssetName, string>> = {
  'model.json': '../../build/model/model.json',
  'descriptions.json': '../../build/model/descriptions.json',
  'protobuf.json': '../../build/model/protobuf.json',
  'dashboard.json': '../../build/dashboard/dashboard.json',
}

/** Assets that travel in front of the program's text, where the executable cannot have any (`packaging/pkg.ts`). */
function carried(): Readonly<Record<string, string>> | undefined {
  return (globalThis as { mk8sAssets?: Readonly<Record<string, string>> }).mk8sAssets
}

/** The asset's text. */
export function readAsset(name: AssetName): string {
  if (isBundled) return carried()?.[name] ?? unpacked(name)
  const path = inSources[name]
  if (path === undefined) throw new Error(`asset ${name} exists in the packaged executable only`)
  return readFileSync(new URL(path, import.meta.url), 'utf8')
}

function unpacked(name: AssetName): string {
  const packed = process.getBuiltinModule('node:sea').getRawAsset(`${name}.br`)
  return process.getBuiltinModule('node:zlib').brotliDecompressSync(packed).toString('utf8')
}

/** The built-in add-ons' files, by path below `addons/`. */
export function readAddonFiles(): Readonly<Record<string, string>> {
  if (isBundled) return JSON.parse(readAsset('addons.json')) as Record<string, string>
  return addonFilesIn(fileURLToPath(new URL('../../addons', import.meta.url)))
}

/** As the executable keeps them. */
export function addonFilesIn(directory: string): Readonly<Record<string, string>> {
  const paths = globSync('*/**/*', { cwd: directory, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => `${entry.parentPath}/${entry.name}`.slice(directory.length + 1))
  return Object.fromEntries(paths.sort().map(path => [path, readFileSync(`${directory}/${path}`, 'utf8')]))
}
