/**
 * A table of nftables as data, in parts that change by themselves, and what is to be said to nft when parts change:
 * only chains and elements that differ (pure).
 */

/** Names are those of the whole table; two parts have none in common, nor an element. */
export interface TablePart {
  /** Lines by name; the first one of a chain that a hook calls says so. */
  readonly chains: ReadonlyMap<string, readonly string[]>
  /** `map { type … }` by name. */
  readonly sets: ReadonlyMap<string, string>
  /** By set: key to verdict; empty where the set is no map. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, string>>
}

export interface PartChange {
  readonly before: TablePart | null
  readonly after: TablePart | null
}

export interface TableChange {
  /** For `nft -f -`; everything or nothing; empty when nothing differs. */
  readonly text: string
  /** For afterwards: what nothing leads to any more. Kernels refuse it together with what led there. */
  readonly cleaning: readonly string[]
}

const NOTHING: TablePart = { chains: new Map(), sets: new Map(), elements: new Map() }

/** `table` with its family: `ip mk8s`. */
export function changeTable(table: string, changes: readonly PartChange[]): TableChange {
  const told = changes.map(({ before, after }) => changePart(table, before ?? NOTHING, after ?? NOTHING))
  // Elements and rules may lead to chains and sets of other parts.
  const lines = (['declare', 'forget', 'rules', 'elements'] as const).flatMap(step =>
    told.flatMap(each => each[step]),
  )
  return { text: lines.map(line => `${line}\n`).join(''), cleaning: told.flatMap(({ cleaning }) => cleaning) }
}

/** Lines in the order in which nft has to read them. */
interface Told {
  readonly declare: readonly string[]
  readonly forget: readonly string[]
  readonly rules: readonly string[]
  readonly elements: readonly string[]
  readonly cleaning: readonly string[]
}

function changePart(table: string, before: TablePart, after: TablePart): Told {
  const declare: string[] = []
  const rules: string[] = []
  const cleaning: string[] = []
  for (const [name, text] of after.sets) {
    const [kind = '', ...rest] = text.split(' ')
    if (!before.sets.has(name)) declare.push(`add ${kind} ${table} ${name} ${rest.join(' ')}`)
  }
  for (const [name, lines] of after.chains) {
    const known = before.chains.get(name)
    if (known !== undefined && isSame(known, lines)) continue
    const hook = lines[0]?.startsWith('type ') === true ? lines[0] : ''
    declare.push(`add chain ${table} ${name}${hook === '' ? '' : ` { ${hook} }`}`)
    if (known !== undefined) rules.push(`flush chain ${table} ${name}`)
    const own = hook === '' ? lines : lines.slice(1)
    rules.push(...own.map(line => `add rule ${table} ${name} ${line}`))
  }
  for (const [name] of before.chains) {
    if (after.chains.has(name)) continue
    rules.push(`flush chain ${table} ${name}`)
    cleaning.push(`delete chain ${table} ${name}`)
  }
  for (const [name, text] of before.sets) {
    const kind = text.split(' ')[0]
    if (!after.sets.has(name)) cleaning.push(`delete ${kind} ${table} ${name}`)
  }
  return { declare, rules, cleaning, ...changeElements(table, before, after) }
}

function changeElements(
  table: string,
  before: TablePart,
  after: TablePart,
): { readonly forget: readonly string[]; readonly elements: readonly string[] } {
  const forget: string[] = []
  const elements: string[] = []
  const tell = (verb: string, set: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`${verb} element ${table} ${set} { ${values.join(', ')} }`]
  for (const set of new Set([...before.elements.keys(), ...after.elements.keys()])) {
    const old = before.elements.get(set) ?? new Map<string, string>()
    const next = after.elements.get(set) ?? new Map<string, string>()
    const show = ([key, verdict]: readonly [string, string]) => (verdict === '' ? key : `${key} : ${verdict}`)
    const gone = [...old].filter(([key, verdict]) => next.get(key) !== verdict)
    const come = [...next].filter(([key, verdict]) => old.get(key) !== verdict)
    forget.push(...tell('delete', set, gone.map(show)))
    elements.push(...tell('add', set, come.map(show)))
  }
  return { forget, elements }
}

const isSame = (one: readonly string[], other: readonly string[]) =>
  one.length === other.length && one.every((line, index) => line === other[index])

/** Gathers a part line by line. */
export class PartBuilder {
  readonly #chains = new Map<string, readonly string[]>()
  readonly #sets = new Map<string, string>()
  readonly #elements = new Map<string, Map<string, string>>()

  chain(name: string, lines: readonly string[]): void {
    this.#chains.set(name, lines)
  }

  set(name: string, text: string): void {
    this.#sets.set(name, text)
  }

  element(set: string, key: string, verdict = ''): void {
    const known = this.#elements.get(set) ?? new Map<string, string>()
    this.#elements.set(set, known.set(key, verdict))
  }

  build(): TablePart {
    return { chains: this.#chains, sets: this.#sets, elements: this.#elements }
  }
}
