/** Which objects of a backup are meant: `pods`, `deploy/default`, `Deployment.apps/default/web`, `node/n1`. Pure. */
import { Mk8sError } from '../../base/errors.ts'
import { nearest } from '../../base/nearest.ts'
import { isMap } from '../../kube/json-map.ts'
import type { Model } from '../../kube/model-types.ts'
import type { BackupState } from '../store/sqlite/backup-state.ts'
import { type KeyValue, prefixEnd } from '../store/store.ts'
import { decode, parseObjectKey, prefixOf, resourceNameOf } from './state-contents.ts'

export interface KindInBackup {
  readonly group: string
  readonly resource: string
  readonly namespaced: boolean
  /** In lower case: plural, singular, kind, short names. */
  readonly names: readonly string[]
}

export interface ObjectSelector {
  readonly kinds: readonly KindInBackup[]
  /** Null: of all namespaces. */
  readonly namespace: string | null
  /** Null: all of them. */
  readonly name: string | null
}

const CRDS = prefixOf({ group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' })

/** The kinds that Kubernetes has, as they are stored, and those that this backup's definitions add. */
export function kindsIn(state: Pick<BackupState, 'keys' | 'range'>, model: Model): readonly KindInBackup[] {
  const known = new Map<string, KindInBackup>()
  for (const { storage, namespaced, resource, singular, kind, shortNames } of model.resources) {
    const names = [resource, singular, kind.toLowerCase(), ...shortNames]
    const entry = { group: storage.group, resource: storage.resource, namespaced, names }
    known.set(resourceNameOf(entry), known.get(resourceNameOf(entry)) ?? entry)
  }
  for (const definition of state.range(CRDS, prefixEnd(CRDS))) {
    const entry = kindOfDefinition(definition)
    if (entry !== null) known.set(resourceNameOf(entry), entry)
  }
  return [...known.values()]
}

function kindOfDefinition({ value }: KeyValue): KindInBackup | null {
  const spec = decode(value)?.['spec']
  const names = isMap(spec) ? spec['names'] : null
  if (!isMap(spec) || !isMap(names)) return null
  const { plural, singular, kind, shortNames } = names
  const short = Array.isArray(shortNames) ? shortNames : []
  const texts = [plural, singular, kind, ...short].filter(name => typeof name === 'string')
  return {
    group: String(spec['group']),
    resource: String(plural),
    namespaced: spec['scope'] === 'Namespaced',
    names: texts.map(name => name.toLowerCase()),
  }
}

/** `KIND`, `KIND/NAME` of the whole cluster's, `KIND/NAMESPACE` or `KIND/NAMESPACE/NAME`. Throws `usage`. */
export function parseSelector(text: string, kinds: readonly KindInBackup[]): ObjectSelector {
  const [kind = '', ...rest] = text.split('/').map(word => word.trim())
  const meant = kindsNamed(kind, kinds)
  const [first] = meant
  if (first === undefined) {
    const words = kinds.flatMap(({ names }) => names)
    const like = nearest(kind.toLowerCase(), words)
    throw new Mk8sError(
      'usage',
      `there is no kind ${kind}`,
      like === undefined ? {} : { hint: `did you mean ${like}?` },
    )
  }
  const namespaced = meant.some(each => each.namespaced)
  if (rest.length > (namespaced ? 2 : 1) || rest.some(word => word === ''))
    throw new Mk8sError('usage', `${text} does not name an object`, {
      hint: namespaced ? `${kind}/NAMESPACE/NAME` : `${kind}/NAME`,
    })
  const [outer = null, name = null] = rest
  return namespaced
    ? { kinds: meant, namespace: outer, name }
    : { kinds: meant, namespace: null, name: outer }
}

/** By any of its names, with or without its group: `pods`, `deploy`, `deployments.apps`. */
export function kindsNamed(text: string, kinds: readonly KindInBackup[]): readonly KindInBackup[] {
  const [word = '', ...groupWords] = text.toLowerCase().split('.')
  const group = groupWords.join('.')
  return kinds.filter(kind => kind.names.includes(word) && (group === '' || kind.group === group))
}

/** The objects, in order of their keys. */
export function* selectObjects(
  state: Pick<BackupState, 'range'>,
  selector: ObjectSelector,
): Generator<KeyValue> {
  for (const kind of selector.kinds) {
    const all = prefixOf(kind)
    const start = selector.namespace === null ? all : `${all}${selector.namespace}/`
    for (const kv of state.range(start, prefixEnd(start))) {
      const object = parseObjectKey(kv.key)
      if (object !== null && (selector.name === null || object.name === selector.name)) yield kv
    }
  }
}
