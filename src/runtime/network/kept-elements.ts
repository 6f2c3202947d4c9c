/** What clients have written into a table's sets, so that it outlives the table's replacement (pure). */
import type { TablePart } from './table-part.ts'

interface ListedElement {
  readonly elem?: { readonly val?: unknown; readonly expires?: number }
}

interface Listed {
  readonly nftables?: readonly {
    readonly set?: { readonly name: string; readonly elem?: readonly (ListedElement | string)[] }
  }[]
}

/** Sets that packets fill: the endpoints that clients keep to. */
export const filledSets = (parts: Iterable<TablePart>): ReadonlySet<string> =>
  new Set(
    Array.from(parts).flatMap(({ sets }) =>
      Array.from(sets).flatMap(([name, text]) => (text.includes('flags dynamic') ? [name] : [])),
    ),
  )

/** Lines for `nft -f -` that fill these sets as they were, of what `nft -j list table` says of the earlier table. */
export function keptElements(listed: string, table: string, names: ReadonlySet<string>): string[] {
  return readListed(listed).flatMap(({ set }) => {
    if (set === undefined || !names.has(set.name)) return []
    const elements = (set.elem ?? []).flatMap(each => (typeof each === 'string' ? [] : textOf(each)))
    return elements.length === 0 ? [] : [`add element ${table} ${set.name} { ${elements.join(', ')} }`]
  })
}

function textOf({ elem }: ListedElement): string[] {
  const { val, expires = 0 } = elem ?? {}
  return typeof val === 'string' && expires > 0 ? [`${val} expires ${expires}s`] : []
}

function readListed(text: string): NonNullable<Listed['nftables']> {
  try {
    return (JSON.parse(text) as Listed).nftables ?? []
  } catch {
    // There is no such table.
    return []
  }
}
