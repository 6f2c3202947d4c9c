/** The dashboard's page: the frame, and which page stands in it. */
import { html } from 'htm/preact'
import { type ComponentChildren, render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Addons, Backups } from './addons-page.ts'
import { Events, isObjectPage, Nodes, Workloads } from './lists.ts'
import { Logs } from './logs.ts'
import { ObjectPage } from './objects.ts'
import { Overview } from './overview.ts'
import { Empty, Heading, Loading } from './parts.ts'
import { linkTo, type Place, usePlace } from './router.ts'
import { currentWho, Problem, signIn, signOut, takeFromLink, type Who, whenSignedOut } from './session.ts'
import { SignIn } from './sign-in.ts'
import { applyTheme, ThemeSwitch } from './theme.ts'

const PAGES = [
  ['', 'Overview'],
  ['nodes', 'Nodes'],
  ['workloads', 'Workloads'],
  ['events', 'Events'],
  ['addons', 'Add-ons'],
  ['backups', 'Backups'],
] as const

function pageOf(place: Place): ComponentChildren {
  const [word = '', first = '', second = ''] = place.path
  if (word === '') return html`<${Overview} />`
  if (word === 'nodes' && first === '') return html`<${Nodes} place=${place} />`
  if (word === 'workloads') return html`<${Workloads} place=${place} />`
  if (word === 'events') return html`<${Events} place=${place} />`
  if (word === 'addons') return html`<${Addons} />`
  if (word === 'backups') return html`<${Backups} />`
  if (word === 'logs')
    return html`<${Logs} key=${first + second} namespace=${first} name=${second} place=${place} />`
  if (!isObjectPage(word))
    return html`<${Heading}>Not found<//><${Empty}>There is no such page. <a href="#/">Overview</a><//>`
  const [namespace, name] = word === 'nodes' ? ['', first] : [first, second]
  return html`<${ObjectPage} key=${`${word}/${namespace}/${name}`} word=${word} namespace=${namespace} name=${name} />`
}

function currentPage([word = '']: readonly string[]): string {
  return word !== 'nodes' && (isObjectPage(word) || word === 'logs') ? 'workloads' : word
}

function Frame({ who }: { who: Who }) {
  const place = usePlace()
  const current = currentPage(place.path)
  const skip = (event: Event) => {
    event.preventDefault()
    document.getElementById('main')?.focus()
  }
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header>
      <a class="brand" href="#/"><img src="/icon.svg" alt="" width="24" height="24" /> mk8s</a>
      <span class="who" title=${`until ${new Date(who.expiresAt).toLocaleString()}`}>${shortName(who.user)}</span>
      <${ThemeSwitch} />
      <button type="button" onClick=${signOut}>Sign out</button>
    </header>
    <div class="frame">
      <nav class="pages" aria-label="Pages">${PAGES.map(
        ([word, title]) =>
          html`<a key=${word} href=${word === '' ? '#/' : linkTo(word)} aria-current=${word === current ? 'page' : undefined}>${title}</a>`,
      )}</nav>
      <main id="main" tabindex="-1">${pageOf(place)}</main>
    </div>`
}

const shortName = (user: string): string => user.replace(/^system:serviceaccount:/, '')

type State =
  | { readonly kind: 'starting' }
  | { readonly kind: 'out'; readonly problem: Problem | null }
  | { readonly kind: 'in'; readonly who: Who }

async function begin(): Promise<State> {
  try {
    const given = takeFromLink()
    const who = given === null ? await currentWho() : await signIn(given).catch(orStillIn)
    return who === null ? { kind: 'out', problem: null } : { kind: 'in', who }
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem(String(error), 0, '')
    return { kind: 'out', problem }
  }
}

/** A link that was used is as good as none where its session lives on. */
async function orStillIn(problem: unknown): Promise<Who> {
  const who = await currentWho().catch(() => null)
  if (who === null) throw problem
  return who
}

function App() {
  const [state, setState] = useState<State>({ kind: 'starting' })
  useEffect(() => {
    whenSignedOut(() => setState({ kind: 'out', problem: null }))
    const start = () => void begin().then(setState)
    start()
    // A link that is opened where the page is open already.
    const onHash = () => /^#(token|once)=/.test(location.hash) && start()
    addEventListener('hashchange', onHash)
    return () => removeEventListener('hashchange', onHash)
  }, [])
  if (state.kind === 'starting') return html`<${Loading} />`
  if (state.kind === 'in') return html`<${Frame} who=${state.who} />`
  const enter = (who: Who) => setState({ kind: 'in', who })
  return html`<${SignIn} key=${state.problem?.message ?? ''} first=${state.problem} onSignedIn=${enter} />`
}

applyTheme()
const root = document.getElementById('app')
if (root !== null) render(html`<${App} />`, root)
