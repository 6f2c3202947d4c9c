/** The log of a container, followed. */
import { html } from 'htm/preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { linesOf, useCollection } from './collection.ts'
import { type Kind, pathOf, WORKLOADS } from './kinds.ts'
import { Heading, Trouble } from './parts.ts'
import { linkTo, type Place, setQuery } from './router.ts'
import { ask, Problem } from './session.ts'

const LINES_MAX = 5_000
const TAIL = 500
const SHOW_MS = 200

interface Followed {
  readonly lines: readonly string[]
  readonly state: 'loading' | 'following' | 'ended'
  readonly problem: Problem | null
}

const NOTHING: Followed = { lines: [], state: 'loading', problem: null }

function useLog(path: string): Followed {
  const [followed, setFollowed] = useState(NOTHING)
  useEffect(() => {
    setFollowed(NOTHING)
    const ended = new AbortController()
    let lines: string[] = []
    let timer = 0
    let state: Followed['state'] = 'following'
    const show = () => {
      timer ||= setTimeout(() => {
        timer = 0
        lines = lines.slice(-LINES_MAX)
        if (!ended.signal.aborted) setFollowed({ lines, state, problem: null })
      }, SHOW_MS)
    }
    const follow = async () => {
      const response = await ask(path, { signal: ended.signal })
      show()
      for await (const line of linesOf(response)) {
        lines.push(line)
        if (lines.length > LINES_MAX * 2) lines = lines.slice(-LINES_MAX)
        show()
      }
      state = 'ended'
      show()
    }
    follow().catch(error => {
      if (ended.signal.aborted) return
      const problem = error instanceof Problem ? error : new Problem(String(error), 0, '')
      setFollowed({ lines, state: 'ended', problem })
    })
    return () => {
      clearTimeout(timer)
      ended.abort()
    }
  }, [path])
  return followed
}

interface LogsProps {
  readonly namespace: string
  readonly name: string
  readonly place: Place
}

export function Logs({ namespace, name, place }: LogsProps) {
  const pods = WORKLOADS.find(({ word }) => word === 'pods') as Kind
  const found = useCollection({
    path: pathOf(pods, namespace),
    fieldSelector: `metadata.name=${name}`,
    whole: true,
  })
  const spec = found.rows[0]?.object.spec ?? {}
  const containers: string[] = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(
    ({ name }) => name,
  )
  const container = place.query.get('container') ?? containers[0] ?? ''
  const isPrevious = place.query.get('previous') === 'true'
  const onContainer = (event: Event) => setQuery('container', (event.target as HTMLSelectElement).value)
  return html`<p class="crumbs"><a href=${linkTo('workloads', 'pods')}>Pods</a> / ${namespace} / <a href=${linkTo('pods', namespace, name)}>${name}</a></p>
    <${Heading}>${`Logs of ${name}`}<//>
    <form class="filter" onSubmit=${(event: Event) => event.preventDefault()}>
      <label>Container <select value=${container} onChange=${onContainer}>
        ${(containers.length === 0 ? [container] : containers).map(each => html`<option key=${each} value=${each} selected=${each === container}>${each}</option>`)}
      </select></label>
      <label class="check"><input type="checkbox" checked=${isPrevious} onChange=${() => setQuery('previous', isPrevious ? '' : 'true')} /> Of the run before</label>
    </form>
    ${container !== '' && html`<${Log} key=${container + isPrevious} namespace=${namespace} name=${name} container=${container} isPrevious=${isPrevious} />`}
    <${Trouble} problem=${found.problem} />`
}

interface LogProps {
  readonly namespace: string
  readonly name: string
  readonly container: string
  readonly isPrevious: boolean
}

function Log({ namespace, name, container, isPrevious }: LogProps) {
  const query = new URLSearchParams({
    container,
    tailLines: String(TAIL),
    ...(isPrevious ? { previous: 'true' } : { follow: 'true' }),
  })
  const { lines, state, problem } = useLog(`/kube/api/v1/namespaces/${namespace}/pods/${name}/log?${query}`)
  const [word, setWord] = useState('')
  const [isWrapped, setWrapped] = useState(true)
  const ref = useRef<HTMLPreElement>(null)
  const isAtEnd = useRef(true)
  const shown = word === '' ? lines : lines.filter(line => line.toLowerCase().includes(word.toLowerCase()))
  useEffect(() => {
    const { current } = ref
    if (current !== null && isAtEnd.current) current.scrollTop = current.scrollHeight
  }, [shown.length, lines])
  const onScroll = () => {
    const { current } = ref
    if (current !== null)
      isAtEnd.current = current.scrollHeight - current.scrollTop - current.clientHeight < 40
  }
  const told =
    state === 'loading'
      ? 'Loading …'
      : state === 'following'
        ? 'Following; new lines come by themselves.'
        : 'The log has ended.'
  return html`<div class="filter">
      <label>Lines with <input type="search" value=${word} onInput=${(event: InputEvent) => setWord((event.target as HTMLInputElement).value)} /></label>
      <label class="check"><input type="checkbox" checked=${isWrapped} onChange=${() => setWrapped(!isWrapped)} /> Wrap</label>
    </div>
    <${Trouble} problem=${problem} />
    <p class="count" role="status">${told} ${shown.length === LINES_MAX ? `The last ${LINES_MAX} lines.` : ''}</p>
    <pre class=${`log ${isWrapped ? 'wrapped' : ''}`} role="log" aria-label=${`Log of ${container}`} aria-live="off" tabindex="0" ref=${ref} onScroll=${onScroll}>${
      shown.length === 0 && state !== 'loading'
        ? word === ''
          ? 'Nothing has been written.'
          : 'No line has that.'
        : shown.join('\n')
    }</pre>`
}
