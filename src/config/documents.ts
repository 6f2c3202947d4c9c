/**
 * Reads configuration files: YAML documents of our own kinds, of which only known keys are taken, and any
 * other Kubernetes objects, which are manifests to apply. Collects every problem before it complains.
 */
import { Mk8sError, messageOf } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { isMap } from '../kube/json-map.ts'
import type { KubeObject } from '../kube/object.ts'
import { parseYamlDocuments, renderYaml } from '../kube/yaml.ts'
import type { OptionInfo } from './option-info.ts'
import { options, recordedKeys } from './options.ts'

export const CONFIG_API_VERSION = 'mk8s.io/v1'
export const CONFIG_BYTES_MAX = 8 * 1024 * 1024

export interface ConfigDocuments {
  /** Option key → its text. */
  readonly values: ReadonlyMap<string, string>
  readonly recorded: Readonly<Record<string, string>>
  /** Objects that stand in the file itself. */
  readonly manifests: readonly KubeObject[]
  /** Further files with objects, as written: relative to the file that names them. */
  readonly manifestPaths: readonly string[]
  /** Sentences, each naming its place. */
  readonly problems: readonly string[]
}

export type ConfigKind = 'NodeConfig' | 'ClusterConfig'
type Fields = Record<string, unknown>

/** Throws `config/unreadable` only when the text is not YAML; everything else is a problem in the result. */
export function parseConfigDocuments(text: string, path: string): ConfigDocuments {
  const collected = {
    values: new Map<string, string>(),
    recorded: {} as Record<string, string>,
    manifests: [] as KubeObject[],
    manifestPaths: [] as string[],
    problems: [] as string[],
  }
  const seen = new Set<string>()
  for (const [index, document] of parseYaml(text, path).entries()) {
    if (document === null || document === undefined) continue
    const place = `${path}, document ${index + 1}`
    if (!isMap(document)) collected.problems.push(`${place} is not a mapping`)
    else if (isOurs(document)) collected.problems.push(`${place} ${unknownVersion(document['apiVersion'])}`)
    else if (document['apiVersion'] !== CONFIG_API_VERSION) takeManifest(document, place, collected)
    else takeConfig(document, { place, seen, collected })
  }
  return collected
}

/** Of our group, but of a version that this program does not read: no manifest, whatever else it says. */
const isOurs = ({ apiVersion }: Fields): boolean =>
  typeof apiVersion === 'string' && /^mk8s\.io(\/|$)/.test(apiVersion) && apiVersion !== CONFIG_API_VERSION

const unknownVersion = (apiVersion: unknown): string =>
  `has the unknown apiVersion ${JSON.stringify(apiVersion)}; this version of mk8s reads ${CONFIG_API_VERSION}`

/** The objects of a manifest file; lists are taken apart. */
export function parseManifests(text: string, path: string): { objects: KubeObject[]; problems: string[] } {
  const result = { manifests: [] as KubeObject[], problems: [] as string[] }
  for (const [index, document] of parseYaml(text, path).entries()) {
    if (document === null || document === undefined) continue
    const place = `${path}, document ${index + 1}`
    if (isMap(document)) takeManifest(document, place, result)
    else result.problems.push(`${place} is not a mapping`)
  }
  return { objects: result.manifests, problems: result.problems }
}

export const renderDocuments = (documents: readonly object[]): string =>
  documents.map(document => renderYaml(document)).join('---\n')

function parseYaml(text: string, path: string): unknown[] {
  if (text.length > CONFIG_BYTES_MAX) {
    throw new Mk8sError('config/unreadable', `${path} is larger than ${CONFIG_BYTES_MAX / 1024 / 1024} MiB`)
  }
  try {
    return parseYamlDocuments(text)
  } catch (error) {
    throw new Mk8sError('config/unreadable', `${path} is not valid YAML`, {
      why: messageOf(error).split('\n', 1)[0] ?? '',
      cause: error,
    })
  }
}

interface Target {
  readonly manifests: KubeObject[]
  readonly problems: string[]
}

function takeManifest(document: Fields, place: string, target: Target): void {
  const { apiVersion, kind, metadata, items } = document
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || apiVersion === '' || kind === '') {
    target.problems.push(`${place} has no apiVersion and kind`)
  } else if (kind.endsWith('List') && Array.isArray(items)) {
    for (const [index, item] of items.entries()) {
      if (isMap(item)) takeManifest(item, `${place}, items[${index}]`, target)
      else target.problems.push(`${place}, items[${index}] is not a mapping`)
    }
  } else if (!isMap(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '') {
    target.problems.push(`${place} (${kind}) has no metadata.name`)
  } else {
    target.manifests.push(document as unknown as KubeObject)
  }
}

interface Taking {
  readonly place: string
  readonly seen: Set<string>
  readonly collected: Target & {
    values: Map<string, string>
    recorded: Record<string, string>
    manifestPaths: string[]
  }
}

function takeConfig(document: Fields, taking: Taking): void {
  const { place, seen, collected } = taking
  const kind = document['kind']
  if (kind !== 'NodeConfig' && kind !== 'ClusterConfig') {
    const meant = nearest(String(kind), ['NodeConfig', 'ClusterConfig']) ?? 'NodeConfig or ClusterConfig'
    collected.problems.push(`${place} has the unknown kind ${JSON.stringify(kind)}; did you mean ${meant}?`)
    return
  }
  if (seen.has(kind)) collected.problems.push(`${place} is a second ${kind}`)
  seen.add(kind)
  const { apiVersion: _, kind: __, ...fields } = document
  for (const [key, value] of Object.entries(fields)) takeKey({ ...taking, kind }, key, value)
}

function takeKey(taking: Taking & { kind: ConfigKind }, key: string, value: unknown): void {
  const { kind, place, collected } = taking
  const recorded: readonly string[] = kind === 'NodeConfig' ? recordedKeys : []
  const option = options.find(each => each.key === key)
  if (key === 'manifests') takeManifestPaths(value, place, collected)
  else if (recorded.includes(key) && typeof value === 'string') collected.recorded[key] = value
  else if (option?.kind === kind) takeValue(option, value, taking)
  else if (isMap(value) && options.some(each => each.key.startsWith(`${key}.`))) {
    for (const [inner, innerValue] of Object.entries(value)) takeKey(taking, `${key}.${inner}`, innerValue)
  } else collected.problems.push(`${place}: ${unknownKey(key, kind, option)}`)
}

function takeValue(option: OptionInfo, value: unknown, { place, collected }: Taking): void {
  if (typeof value === 'string' || typeof value === 'number') collected.values.set(option.key, String(value))
  else collected.problems.push(`${place}: ${option.key} must be text or a number`)
}

function takeManifestPaths(value: unknown, place: string, collected: Taking['collected']): void {
  const good = Array.isArray(value) && value.every(path => typeof path === 'string' && path !== '')
  if (good) collected.manifestPaths.push(...(value as string[]))
  else collected.problems.push(`${place}: manifests must be a list of paths`)
}

function unknownKey(key: string, kind: ConfigKind, elsewhere: OptionInfo | undefined): string {
  if (elsewhere !== undefined) return `the key ${key} belongs into a document of kind ${elsewhere.kind}`
  const known = [...options.filter(each => each.kind === kind).map(each => each.key), 'manifests']
  const meant = nearest(key, known)
  return `unknown key ${key}; ${meant ? `did you mean ${meant}?` : `known are ${known.join(', ')}`}`
}
