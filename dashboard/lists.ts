/** The pages that are one list: nodes, workloads of a kind, events. */
import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import { type Row, useCollection } from './collection.ts'
import { EVENTS, NODES, pathOf, WORKLOADS } from './kinds.ts'
import { Empty, Heading } from './parts.ts'
import { linkTo, type Place, setQuery } from './router.ts'
import { Table } from './table.ts'

export const isObjectPage = (word: string): boolean =>
  word === 'nodes' || WORKLOADS.some(each => each.word === word)

export function rowLink(word: string): (row: Row) => string {
  return ({ object: { metadata } }) =>
    linkTo(word, ...(metadata.namespace ? [metadata.namespace] : []), metadata.name)
}

interface FilterProps {
  readonly place: Place
  readonly namespaced: boolean
}

function Filter({ place, namespaced }: FilterProps) {
  const namespaces = useCollection(namespaced ? { path: '/api/v1/namespaces' } : null)
  const [text, setText] = useState(place.query.get('q') ?? '')
  const chosen = place.query.get('ns') ?? ''
  const names = namespaces.rows.map(({ object }) => object.metadata.name).sort()
  const offered = chosen === '' || names.includes(chosen) ? names : [chosen, ...names]
  const onText = (event: InputEvent) => {
    const { value } = event.target as HTMLInputElement
    setText(value)
    setQuery('q', value)
  }
  return html`<form class="filter" role="search" onSubmit=${(event: Event) => event.preventDefault()}>
    ${
      namespaced &&
      html`<label>Namespace <select value=${chosen} onChange=${(event: Event) => setQuery('ns', (event.target as HTMLSelectElement).value)}>
        <option value="">All</option>
        ${offered.map(name => html`<option key=${name} value=${name} selected=${name === chosen}>${name}</option>`)}
      </select></label>`
    }
    <label>Filter <input type="search" value=${text} onInput=${onText} placeholder="words in any column" /></label>
  </form>`
}

export function Nodes({ place }: { place: Place }) {
  const nodes = useCollection({ path: pathOf(NODES) })
  return html`<${Heading}>Nodes<//>
    <${Filter} place=${place} namespaced=${false} />
    <${Table} label="Nodes" what="node" of=${nodes} filter=${place.query.get('q') ?? ''} linkOf=${rowLink('nodes')} />`
}

export function Workloads({ place }: { place: Place }) {
  const kind = WORKLOADS.find(({ word }) => word === (place.path[1] ?? 'deployments'))
  const namespace = place.query.get('ns') ?? ''
  const collected = useCollection(kind === undefined ? null : { path: pathOf(kind, namespace) })
  if (kind === undefined) return html`<${Heading}>Workloads<//><${Empty}>There is no such kind here.<//>`
  const query = namespace === '' ? '' : `?ns=${encodeURIComponent(namespace)}`
  return html`<${Heading}>${kind.title}<//>
    <nav class="tabs" aria-label="Kinds of workloads">${WORKLOADS.map(
      ({ word, title }) =>
        html`<a key=${word} href=${`${linkTo('workloads', word)}${query}`} aria-current=${word === kind.word ? 'page' : undefined}>${title}</a>`,
    )}</nav>
    <${Filter} key=${kind.word} place=${place} namespaced=${true} />
    <${Table} key=${`${kind.word}/${namespace}`} label=${kind.title} what=${kind.one} of=${collected} isNamespaced=${namespace === ''}
      filter=${place.query.get('q') ?? ''} linkOf=${rowLink(kind.word)} without=${['Selector', 'Images', 'Containers']}
      empty=${`There are no ${kind.title}${namespace === '' ? '' : ` in ${namespace}`}.`} />`
}

export function Events({ place }: { place: Place }) {
  const namespace = place.query.get('ns') ?? ''
  const [isWarnings, setWarnings] = useState(false)
  const fieldSelector = isWarnings ? 'type=Warning' : undefined
  return html`<${Heading}>Events<//>
    <${Filter} place=${place} namespaced=${true} />
    <label class="check"><input type="checkbox" checked=${isWarnings} onChange=${() => setWarnings(!isWarnings)} /> Warnings only</label>
    <${EventTable} namespace=${namespace} fieldSelector=${fieldSelector} filter=${place.query.get('q') ?? ''} />`
}

interface EventTableProps {
  readonly namespace: string
  readonly fieldSelector?: string | undefined
  readonly filter?: string
}

interface EventObject {
  readonly metadata: { readonly creationTimestamp?: string }
  readonly lastTimestamp?: string
  readonly eventTime?: string
  readonly series?: { readonly lastObservedTime?: string }
}

/** The latest first. When it was last seen is told by the event itself, and runs on. */
export function EventTable({ namespace, fieldSelector, filter = '' }: EventTableProps) {
  const collected = useCollection({ path: pathOf(EVENTS, namespace), fieldSelector, whole: true })
  const seen = collected.columns.findIndex(({ name }) => name === 'Last Seen')
  const rows = collected.rows.map(row => {
    const event = row.object as EventObject
    const at =
      event.series?.lastObservedTime ??
      event.lastTimestamp ??
      event.eventTime ??
      event.metadata.creationTimestamp
    const metadata = { ...row.object.metadata, ...(at && { creationTimestamp: at }) }
    return { cells: row.cells, object: { ...row.object, metadata } }
  })
  const columns = collected.columns.map((column, at) => (at === seen ? { ...column, name: 'Age' } : column))
  const ordered = [...columns]
  return html`<${Table} key=${namespace + fieldSelector} label="Events" what="event" of=${{ ...collected, columns: ordered, rows }}
    filter=${filter} isNamespaced=${false} sortBy="Age" empty="Nothing has been told lately; events are kept for an hour." />`
}
