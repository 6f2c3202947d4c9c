/** What has no watch and is asked for again and again, while somebody looks; and one object that is. */
import { useEffect, useState } from 'preact/hooks'
import { askJson, Problem } from './session.ts'

export interface Polled<T> {
  readonly value: T | null
  readonly problem: Problem | null
}

export function usePolled<T>(path: string | null, everyMs: number, take?: (value: T) => void): Polled<T> {
  const [polled, setPolled] = useState<Polled<T>>({ value: null, problem: null })
  useEffect(() => {
    setPolled({ value: null, problem: null })
    if (path === null) return
    const ended = new AbortController()
    let timer = 0
    const look = async () => {
      clearTimeout(timer)
      if (!document.hidden) {
        try {
          const value = await askJson<T>(path, { signal: ended.signal })
          take?.(value)
          setPolled({ value, problem: null })
        } catch (error) {
          if (ended.signal.aborted) return
          const problem = error instanceof Problem ? error : new Problem(String(error), 0, '')
          setPolled(({ value }) => ({ value, problem }))
        }
      }
      if (!ended.signal.aborted) timer = setTimeout(look, everyMs)
    }
    const onShown = () => {
      if (!document.hidden) void look()
    }
    document.addEventListener('visibilitychange', onShown)
    void look()
    return () => {
      document.removeEventListener('visibilitychange', onShown)
      clearTimeout(timer)
      ended.abort()
    }
  }, [path, everyMs])
  return polled
}
