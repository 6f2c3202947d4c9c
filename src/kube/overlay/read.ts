/** Reads the overlay's compact tables into maps. */

/** What merges how, of one field (or of a whole type, under `*`). */
export interface MergingFacts {
  patchMergeKey?: string
  patchStrategy?: ('merge' | 'replace' | 'retainKeys')[]
  listType?: 'atomic' | 'set' | 'map'
  listMapKeys?: string[]
  mapType?: 'atomic' | 'granular'
}

/** Full type name → the rest of its line, continuation lines joined. */
function readLines(tables: Readonly<Record<string, string>>): Map<string, string> {
  const lines = new Map<string, string>()
  for (const [prefix, table] of Object.entries(tables)) {
    for (const line of table.trim().replaceAll(/\n\s+/g, ' ').split('\n')) {
      const colon = line.indexOf(': ')
      lines.set(`${prefix}.${line.slice(0, colon)}`, line.slice(colon + 2))
    }
  }
  return lines
}

/** `Type: field field` → field names per type. */
export function readFieldLists(tables: Readonly<Record<string, string>>): Map<string, Set<string>> {
  return new Map([...readLines(tables)].map(([type, fields]) => [type, new Set(fields.split(' '))]))
}

/** `Type: field fact fact; field fact` → facts per type and field. */
export function readMergingFacts(
  tables: Readonly<Record<string, string>>,
): Map<string, Map<string, MergingFacts>> {
  const read = (text: string): [string, MergingFacts] => {
    const [field = '', ...words] = text.trim().split(' ')
    return [field, Object.assign({}, ...words.map(readFact))]
  }
  return new Map([...readLines(tables)].map(([type, facts]) => [type, new Map(facts.split(';').map(read))]))
}

function readFact(word: string): MergingFacts {
  const [, name = '', argument] = /^([a-zA-Z+-]+)(?:\((.*)\))?$/.exec(word) ?? []
  switch (name) {
    case 'atomic':
    case 'set':
      return { listType: name }
    case 'map':
      return { listType: 'map', listMapKeys: (argument ?? '').split(',') }
    case 'map-atomic':
      return { mapType: 'atomic' }
    case 'map-granular':
      return { mapType: 'granular' }
    default:
      return {
        patchStrategy: name.split('+') as ('merge' | 'retainKeys')[],
        ...(argument === undefined ? {} : { patchMergeKey: argument }),
      }
  }
}
