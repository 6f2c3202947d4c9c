/** The page for those who are not signed in. */
import { html } from 'htm/preact'
import { useState } from 'preact/hooks'
import { Heading, Trouble } from './parts.ts'
import { Problem, signIn, type Who } from './session.ts'

interface SignInProps {
  readonly first: Problem | null
  readonly onSignedIn: (who: Who) => void
}

export function SignIn({ first, onSignedIn }: SignInProps) {
  const [token, setToken] = useState('')
  const [problem, setProblem] = useState(first)
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      onSignedIn(await signIn({ token: token.trim() }))
    } catch (error) {
      setProblem(error instanceof Problem ? error : new Problem(String(error), 0, ''))
      setBusy(false)
    }
  }
  // A refused token is said here, though it is answered with 401.
  const shown =
    problem === null ? null : new Problem(problem.message, problem.status === 401 ? 400 : problem.status, '')
  return html`<main id="main" class="sign-in" tabindex="-1">
    <img src="/icon.svg" alt="" width="48" height="48" />
    <${Heading}>Sign in<//>
    <p>On a server of the cluster, <code>mk8s dashboard</code> prints a link that signs in, and a token for this field.</p>
    <form onSubmit=${submit}>
      <label for="token">Token</label>
      <input id="token" type="password" autocomplete="off" spellcheck=${false} required value=${token}
        onInput=${(event: InputEvent) => setToken((event.target as HTMLInputElement).value)} />
      <${Trouble} problem=${shown} />
      <button type="submit" class="main" disabled=${isBusy}>${isBusy ? 'Signing in …' : 'Sign in'}</button>
    </form>
    <p class="small">Any token that the cluster accepts will do, a service account’s or one of OpenID Connect; the page shows what its account may see.</p>
  </main>`
}
