/** /livez, /readyz and /healthz: `ok`, or which check fails; the reasons stay in the log. */
import type { KubeResponse } from '../../../client/transport.ts'
import { textResponse } from '../requests/respond.ts'

export interface HealthParts {
  /** Names of what is not ready. */
  readonly isReady: () => readonly string[]
}

const endpoints = new Set(['livez', 'readyz', 'healthz'])

export const isHealthPath = (path: string): boolean => endpoints.has(path.split('/')[1] ?? '')

function lines(checks: ReadonlyMap<string, boolean>, excluded: ReadonlySet<string>): string {
  return [...checks]
    .map(([name, ok]) => {
      if (excluded.has(name)) return `[+]${name} excluded: ok\n`
      return ok ? `[+]${name} ok\n` : `[-]${name} failed: reason withheld\n`
    })
    .join('')
}

/** Null when there is no such check. */
export function healthResponse(
  parts: HealthParts,
  path: string,
  query: URLSearchParams,
): KubeResponse | null {
  const [, endpoint = '', check = '', ...rest] = path.split('/')
  if (rest.length > 0) return null
  const failing = endpoint === 'livez' ? [] : parts.isReady()
  const checks = new Map<string, boolean>([['ping', true], ...failing.map(name => [name, false] as const)])
  if (check !== '') {
    const ok = checks.get(check) ?? (endpoint === 'readyz' ? true : undefined)
    if (ok === undefined) return null
    return ok ? textResponse(200, 'ok') : textResponse(500, `internal server error: ${check} is not ready\n`)
  }
  const excluded = new Set(query.getAll('exclude'))
  const isOk = [...checks].every(([name, ok]) => ok || excluded.has(name))
  if (isOk && !query.has('verbose')) return textResponse(200, 'ok')
  const verdict = `${endpoint} check ${isOk ? 'passed' : 'failed'}\n`
  return textResponse(isOk ? 200 : 500, lines(checks, excluded) + verdict)
}
