/** A collection as a table: filtered, sorted, and a page at a time, so that thousands of rows cost no more than fifty. */
import { html } from 'htm/preact'
import type { ComponentChildren } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Collected, Row } from './collection.ts'
import { ageOf, plural } from './format.ts'
import { Badge, Empty, Loading, Trouble, toneOf } from './parts.ts'

const PAGE = 50

interface TableProps {
  readonly label: string
  readonly of: Collected
  readonly what: string
  /** Shown when there is nothing. */
  readonly empty?: string
  readonly isNamespaced?: boolean
  readonly filter?: string
  readonly keep?: (row: Row) => boolean
  readonly linkOf?: (row: Row) => string | undefined
  /** Names of columns that are left out. */
  readonly without?: readonly string[]
  readonly sortBy?: string
  readonly isDescending?: boolean
}

interface Shown {
  readonly name: string
  readonly isNumber: boolean
  readonly text: (row: Row) => string
  readonly order: (row: Row) => string | number
}

/** Ages run on. */
const TICK_MS = 10_000

function useTick(everyMs: number): void {
  const [, setTick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => setTick(tick => tick + 1), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
}

const TONED = ['Status', 'Phase', 'Type', 'Ready']

/** Ages run on, so they are counted here and not taken from the server's table. */
function columnsOf({ of, isNamespaced, without = [] }: TableProps): Shown[] {
  const namespace: Shown = {
    name: 'Namespace',
    isNumber: false,
    text: row => row.object.metadata.namespace ?? '',
    order: row => row.object.metadata.namespace ?? '',
  }
  const shown = of.columns.flatMap(({ name, type, priority }, at): Shown[] => {
    if (priority > 0 || without.includes(name)) return []
    const isAge = name === 'Age'
    const isNumber = type === 'integer' || type === 'number'
    const text = (row: Row) =>
      isAge ? ageOf(row.object.metadata.creationTimestamp) : String(row.cells[at] ?? '')
    const order = (row: Row) => {
      if (isAge) return -Date.parse(row.object.metadata.creationTimestamp ?? '') || 0
      return isNumber ? Number(row.cells[at]) : text(row)
    }
    return [{ name, isNumber, text, order }]
  })
  return isNamespaced ? [...shown.slice(0, 1), namespace, ...shown.slice(1)] : shown
}

const collator = new Intl.Collator('en', { numeric: true })
const compare = (a: string | number, b: string | number): number =>
  typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b))

export function Table(props: TableProps) {
  const { of, filter = '', keep, label, what, sortBy, isDescending = false } = props
  const [sort, setSort] = useState({ by: sortBy ?? 'Name', isDescending })
  const [page, setPage] = useState(0)
  const columns = useMemo(() => columnsOf(props), [of.columns, props.isNamespaced])
  const rows = useMemo(() => {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
    const has = (row: Row) => {
      const text = columns
        .map(column => column.text(row))
        .join(' ')
        .toLowerCase()
      return words.every(word => text.includes(word))
    }
    const found = of.rows.filter(row => (keep?.(row) ?? true) && (words.length === 0 || has(row)))
    const column = columns.find(({ name }) => name === sort.by)
    if (column === undefined) return found
    const direction = sort.isDescending ? -1 : 1
    return found.sort((a, b) => direction * compare(column.order(a), column.order(b)))
  }, [of.rows, columns, filter, keep, sort])
  useTick(TICK_MS)
  const pages = Math.max(1, Math.ceil(rows.length / PAGE))
  const at = Math.min(page, pages - 1)
  useEffect(() => setPage(0), [filter, sort])
  if (!of.isLoaded && of.rows.length === 0)
    return of.problem === null ? html`<${Loading} />` : html`<${Trouble} problem=${of.problem} />`
  return html`<${Trouble} problem=${of.problem} />
    <p class="count" role="status">${countText(rows.length, of, what)}</p>
    ${rows.length > 1 && html`<${SortChoice} columns=${columns} sort=${sort} onSort=${setSort} />`}
    ${
      rows.length === 0
        ? html`<${Empty}>${filter === '' ? (props.empty ?? 'There is nothing here.') : `Nothing fits “${filter}”.`}<//>`
        : html`<div class="scroll" role="region" aria-label=${label} tabindex="0">
            <table role="table" aria-rowcount=${rows.length + 1}>
              <thead><tr>${columns.map(
                column =>
                  html`<${Head} key=${column.name} column=${column} sort=${sort} onSort=${setSort} />`,
              )}</tr></thead>
              <tbody>${rows.slice(at * PAGE, (at + 1) * PAGE).map(
                (
                  row,
                  index,
                ) => html`<tr role="row" key=${row.object.metadata.uid} aria-rowindex=${at * PAGE + index + 2}>
                  ${columns.map((column, number) => cellOf(column, row, number === 0, props.linkOf?.(row)))}
                </tr>`,
              )}</tbody>
            </table>
          </div>
          ${pages > 1 && html`<${Pager} at=${at} pages=${pages} label=${label} go=${setPage} />`}`
    }`
}

function countText(shown: number, { rows, isLive, isLoaded }: Collected, what: string): string {
  const count =
    shown === rows.length ? plural(shown, what) : `${shown.toLocaleString()} of ${plural(rows.length, what)}`
  if (!isLoaded) return `${count}, loading more …`
  return isLive ? `${count}, live` : count
}

interface Sort {
  readonly by: string
  readonly isDescending: boolean
}

function Head({ column, sort, onSort }: { column: Shown; sort: Sort; onSort: (sort: Sort) => void }) {
  const isBy = sort.by === column.name
  const order = isBy ? (sort.isDescending ? 'descending' : 'ascending') : 'none'
  const onClick = () => onSort({ by: column.name, isDescending: isBy && !sort.isDescending })
  return html`<th scope="col" aria-sort=${order} class=${column.isNumber ? 'number' : ''}>
    <button type="button" class="sort" onClick=${onClick}>${column.name}<span aria-hidden="true">${
      isBy ? (sort.isDescending ? ' ↓' : ' ↑') : ''
    }</span></button></th>`
}

/** Where there is no room for a head of columns. */
function SortChoice({
  columns,
  sort,
  onSort,
}: {
  columns: readonly Shown[]
  sort: Sort
  onSort: (sort: Sort) => void
}) {
  const onChange = (event: Event) => {
    const [by = '', order] = (event.target as HTMLSelectElement).value.split('\t')
    onSort({ by, isDescending: order === 'down' })
  }
  const value = `${sort.by}\t${sort.isDescending ? 'down' : 'up'}`
  const options = columns.flatMap(({ name }) =>
    [
      [`${name}\tup`, `${name}, ascending`],
      [`${name}\tdown`, `${name}, descending`],
    ].map(([id, text]) => html`<option key=${id} value=${id} selected=${id === value}>${text}</option>`),
  )
  return html`<label class="narrow">Sorted by <select value=${value} onChange=${onChange}>${options}</select></label>`
}

function cellOf(column: Shown, row: Row, isFirst: boolean, link: string | undefined): ComponentChildren {
  const text = column.text(row)
  const shown = TONED.includes(column.name) ? toned(text) : text
  if (isFirst)
    return html`<th scope="row" role="rowheader" data-head=${column.name}>${link === undefined ? shown : html`<a href=${link}>${shown}</a>`}</th>`
  return html`<td role="cell" data-head=${column.name} class=${column.isNumber ? 'number' : ''}>${shown}</td>`
}

/** `1/3` is not all there yet. */
function toned(text: string): ComponentChildren {
  const [have, want] = text.split('/')
  if (want !== undefined && have !== want) return html`<${Badge} tone="warn">${text}<//>`
  const tone = toneOf(text)
  return tone === 'plain' ? text : html`<${Badge} tone=${tone}>${text}<//>`
}

function Pager({
  at,
  pages,
  label,
  go,
}: {
  at: number
  pages: number
  label: string
  go: (page: number) => void
}) {
  return html`<nav class="pager" aria-label=${`Pages of ${label}`}>
    <button type="button" disabled=${at === 0} onClick=${() => go(at - 1)}>Previous</button>
    <span role="status">Page ${at + 1} of ${pages}</span>
    <button type="button" disabled=${at === pages - 1} onClick=${() => go(at + 1)}>Next</button>
  </nav>`
}
