/** Where one is: the address behind the #, `#/pods/default/web?q=x`. */
import { useEffect, useState } from 'preact/hooks'

export interface Place {
  readonly path: readonly string[]
  readonly query: URLSearchParams
}

function here(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?')
  return { path: path.split('/').filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) }
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here)
  useEffect(() => {
    const follow = () => setPlace(here())
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return place
}

export const linkTo = (...path: readonly string[]): string => `#/${path.map(encodeURIComponent).join('/')}`

/** Changes one parameter without a step in the history. */
export function setQuery(name: string, value: string): void {
  const { path, query } = here()
  if (value === '') query.delete(name)
  else query.set(name, value)
  const text = query.toString()
  history.replaceState(null, '', `${linkTo(...path)}${text === '' ? '' : `?${text}`}`)
  dispatchEvent(new HashChangeEvent('hashchange'))
}
