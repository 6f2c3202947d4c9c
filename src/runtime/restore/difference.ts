/** What a restore would add, change and remove, per resource. Pure. */
import { parseObjectKey, REGISTRY, resourceNameOf } from '../backup/state-contents.ts'
import { type KeyValue, prefixEnd } from '../store/store.ts'
import type { StateReader } from './restored-state.ts'

export interface ResourceDifference {
  /** As in `kubectl api-resources -o name`. */
  readonly resource: string
  readonly added: number
  readonly changed: number
  readonly removed: number
}

type Change = 'added' | 'changed' | 'removed'

/** Only resources that differ, in order of their names. Values never hold a resourceVersion, so equal ones are equal. */
export function differencesOf(
  backup: StateReader,
  present: StateReader | null,
): readonly ResourceDifference[] {
  const counts = new Map<string, Record<Change, number>>()
  for (const [key, change] of changesOf(backup, present)) {
    const object = parseObjectKey(key)
    if (object === null) continue
    const resource = resourceNameOf(object)
    const count = counts.get(resource) ?? { added: 0, changed: 0, removed: 0 }
    count[change]++
    counts.set(resource, count)
  }
  return [...counts].map(([resource, count]) => ({ resource, ...count })).sort(byName)
}

const byName = (a: ResourceDifference, b: ResourceDifference): number => (a.resource < b.resource ? -1 : 1)

/** Both in order of their keys, side by side. */
function* changesOf(backup: StateReader, present: StateReader | null): Generator<[string, Change]> {
  const all = (state: StateReader | null) =>
    (state?.range(REGISTRY, prefixEnd(REGISTRY)) ?? [])[Symbol.iterator]()
  const [wanted, found] = [all(backup), all(present)]
  let [want, have] = [take(wanted), take(found)]
  while (want !== null || have !== null) {
    if (have === null || (want !== null && before(want.key, have.key))) {
      if (want !== null) yield [want.key, 'added']
      want = take(wanted)
    } else if (want === null || before(have.key, want.key)) {
      yield [have.key, 'removed']
      have = take(found)
    } else {
      if (!want.value.equals(have.value)) yield [want.key, 'changed']
      want = take(wanted)
      have = take(found)
    }
  }
}

const take = (states: Iterator<KeyValue>): KeyValue | null => states.next().value ?? null

/** As SQLite orders text: by its bytes. */
const before = (a: string, b: string): boolean => Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
