/** Who is signed in, and every request that the page makes: with the key that belongs to this origin alone. */

const KEY = 'mk8s-dashboard-key'
/** How long before a failed request is sent again. */
const AGAIN_MS = 400
const KEY_HEADER = 'x-mk8s-dashboard-key'

export interface Who {
  readonly user: string
  readonly expiresAt: string
}

/** What went wrong, in words, and what to do. */
export class Problem extends Error {
  readonly status: number
  readonly next: string

  constructor(message: string, status: number, next: string) {
    super(message)
    this.status = status
    this.next = next
  }
}

let onSignedOut = () => {}

/** Called when the server no longer knows the session. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener
}

/** What signs in: a token, or the code of a link, which does so once. */
export type Given = { readonly token: string } | { readonly code: string }

/** Behind the #, out of a link of `mk8s dashboard`; taken from the address and the history at once. */
export function takeFromLink(): Given | null {
  const match = /^#(token|once)=(.+)$/.exec(location.hash)
  if (match === null) return null
  history.replaceState(null, '', '/')
  const [, kind, text = ''] = match
  return kind === 'once' ? { code: text } : { token: text }
}

export async function currentWho(): Promise<Who | null> {
  if (localStorage.getItem(KEY) === null) return null
  try {
    return (await (await ask('/session')).json()) as Who
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null
    throw error
  }
}

export async function signIn(given: Given): Promise<Who> {
  const body = JSON.stringify(given)
  const response = await send('/session', {
    ...{ method: 'POST', body },
    headers: { 'content-type': 'application/json' },
  })
  if (!response.ok) throw await problemOf(response)
  const { key, ...who } = (await response.json()) as Who & { key: string }
  localStorage.setItem(KEY, key)
  return who
}

export async function signOut(): Promise<void> {
  await ask('/session', { method: 'DELETE' }).catch(() => {})
  localStorage.removeItem(KEY)
  onSignedOut()
}

/** Throws a Problem for every answer but a good one. */
export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const key = localStorage.getItem(KEY) ?? ''
  const response = await send(path, { ...options, headers: { ...options.headers, [KEY_HEADER]: key } })
  if (response.ok) return response
  const problem = await problemOf(response)
  if (problem.status === 401) {
    localStorage.removeItem(KEY)
    onSignedOut()
  }
  throw problem
}

export async function askJson<T>(path: string, options: RequestInit = {}): Promise<T> {
  return (await (await ask(`/kube${path}`, options)).json()) as T
}

/** A browser drops its connections when its network changes; so what failed is sent once more, unless it changes much. */
async function send(path: string, options: RequestInit, isAgain = false): Promise<Response> {
  try {
    return await fetch(path, { cache: 'no-store', credentials: 'same-origin', ...options })
  } catch (error) {
    if (options.signal?.aborted) throw error
    const isHarmless = options.method === undefined || path === '/session'
    if (!isAgain && isHarmless) {
      await new Promise(resolve => setTimeout(resolve, AGAIN_MS))
      return await send(path, options, true)
    }
    throw new Problem(
      'The server does not answer.',
      0,
      'Look whether mk8s runs there (mk8s status); other servers of the cluster have the dashboard too.',
    )
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => '')
  let message = text
  try {
    message = (JSON.parse(text) as { message?: string }).message ?? text
  } catch {
    // It is plain text.
  }
  return new Problem(
    message || `The server answers ${response.status}.`,
    response.status,
    nextOf(response.status),
  )
}

function nextOf(status: number): string {
  if (status === 401) return 'Sign in with a new token: mk8s dashboard'
  if (status === 403) return 'Your account may not. Sign in with another one, or have somebody grant it.'
  if (status === 404) return 'It may have been deleted meanwhile.'
  if (status === 429) return 'Wait a moment, and try again.'
  if (status >= 500) return 'Look at mk8s status on a server.'
  return ''
}
