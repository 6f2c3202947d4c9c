/** What this server knows of the add-ons out of its own memory: for the status, and for what an add-on switches. */
import type { AddonStatus, Problem } from '../client/node-status.ts'
import { parseTime } from '../kube/time.ts'
import type { ConfigMap } from '../kube/types.ts'
import { type Addon, CORE_REPOSITORY } from './addons/addon-object.ts'
import { builtInAddons } from './addons/built-in.ts'
import { isContested } from './addons/drift.ts'
import { keptEntry } from './addons/repository.ts'
import { type KeyValue, prefixEnd, type Store } from './store/store.ts'

type Reader = Pick<Store, 'get' | 'range'>

const PREFIX = '/registry/addons.mk8s.io/addons/'
const FORMAT_BYTES = 1
const parsed = new WeakMap<KeyValue, Addon>()

function parse(kv: KeyValue): Addon {
  const known = parsed.get(kv)
  if (known !== undefined) return known
  const addon = JSON.parse(kv.value.toString('utf8', FORMAT_BYTES)) as Addon
  parsed.set(kv, addon)
  return addon
}

const readAddons = (store: Reader): Addon[] =>
  store.range({ start: PREFIX, end: prefixEnd(PREFIX) }).entries.map(parse)

/** A built-in add-on that is on unless somebody has disabled it. */
export function isAddonOn(store: Reader, name: string): boolean {
  const kv = store.get(`${PREFIX}${name}`)
  return kv === null || parse(kv).spec?.enabled !== false
}

/** Built-in ones and those of repositories, in MicroK8s' manner. `maps`: the ConfigMaps of kube-system. */
export function addonStates(store: Reader, maps: readonly ConfigMap[]): AddonStatus[] {
  const addons = new Map(readAddons(store).map(addon => [addon.metadata.name ?? '', addon]))
  const builtIn = Array.from(builtInAddons().values(), ({ definition }) => ({
    ...{ name: definition.name, repository: CORE_REPOSITORY },
    ...{ version: definition.version, description: definition.description, isDefault: definition.default },
  }))
  const kept = maps.flatMap(map => keptEntry(map) ?? []).map(entry => ({ ...entry, isDefault: false }))
  const shadowed = new Set(builtIn.map(({ name }) => name))
  const all = [...builtIn, ...kept.filter(({ name }) => !shadowed.has(name))]
  return all.map(({ isDefault, ...entry }) => {
    const addon = addons.get(entry.name)
    const enabled = addon === undefined ? isDefault : addon.spec?.enabled !== false
    return { ...entry, version: (enabled && addon?.status?.version) || entry.version, enabled }
  })
}

/** A moment of not being ready is no problem yet. */
const PATIENCE_MS = 15_000

/** Enabled ones that do not work, or that somebody keeps changing. */
export function addonProblems(store: Reader, nowMs: number): Problem[] {
  return readAddons(store).flatMap(addon => {
    const problem = brokenness(addon, nowMs) ?? contest(addon, nowMs)
    return problem === null ? [] : [{ object: `addon/${addon.metadata.name}`, ...problem }]
  })
}

type Trouble = Omit<Problem, 'object'>

function brokenness({ metadata, status }: Addon, nowMs: number): Trouble | null {
  const { phase = '', failing = '', message = '', conditions = [] } = status ?? {}
  const since = conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? ''
  if (nowMs - (parseTime(since) ?? nowMs) < PATIENCE_MS) return null
  if (phase !== 'Failed' && (phase !== 'Progressing' || failing === '')) return null
  const text = [failing, message].filter(part => part !== '').join(': ')
  const reason = phase === 'Failed' ? 'Failed' : 'NotReady'
  return { reason, message: text, next: `mk8s addons info ${metadata.name}` }
}

function contest({ metadata, spec, status }: Addon, nowMs: number): Trouble | null {
  const { corrections = [] } = status ?? {}
  const contested = corrections.find(one => isContested(one, nowMs - (parseTime(one.time) ?? nowMs)))
  if (contested === undefined || spec?.enabled === false) return null
  const { object, by, count } = contested
  const message = `${object}: ${by || 'somebody'} changes it again and again; it was put back ${count} times`
  return { reason: 'Contested', message, next: `mk8s addons info ${metadata.name}` }
}
