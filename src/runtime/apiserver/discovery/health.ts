/** /livez, /readyz and /healthz: `ok`, or which check fails; the reasons stay in the log. */
import type { HealthFigures } from '../../../base/health-figures.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { textResponse } from '../requests/respond.ts'

export interface HealthParts {
  /** Names of what is not ready. */
  readonly isReady: () => readonly string[]
  /** All names that it may give. */
  readonly readyChecks?: readonly string[]
  /** What was asked for is counted. */
  readonly healthFigures: HealthFigures
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
  const [, endpoint = '', ...rest] = path.split('/')
  const check = rest.join('/')
  const isLiveness = endpoint === 'livez'
  const failing = isLiveness ? [] : parts.isReady()
  const names = ['ping', ...(isLiveness ? [] : (parts.readyChecks ?? [])), ...failing]
  const checks = new Map(names.map(name => [name, !failing.includes(name)]))
  if (check !== '') {
    const ok = checks.get(check)
    if (ok === undefined) return null
    return ok ? textResponse(200, 'ok') : textResponse(500, `internal server error: ${check} is not ready\n`)
  }
  const excluded = new Set(query.getAll('exclude'))
  for (const [name, ok] of checks) if (!excluded.has(name)) parts.healthFigures.record(endpoint, name, ok)
  const isOk = [...checks].every(([name, ok]) => ok || excluded.has(name))
  if (isOk && !query.has('verbose')) return textResponse(200, 'ok')
  const verdict = `${endpoint} check ${isOk ? 'passed' : 'failed'}\n`
  return textResponse(isOk ? 200 : 500, lines(checks, excluded) + verdict)
}
