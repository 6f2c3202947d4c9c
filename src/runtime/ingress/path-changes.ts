/** What rewrites and redirects make of a path. Pure. */
import type { Target } from './request-path.ts'
import type { PathRewrite, Redirect } from './route.ts'

/** The query stays, unless the new path brings one. */
export function rewritePath(rewrite: PathRewrite | null, { path, query }: Target): string {
  const changed = changedPath(rewrite, path)
  return changed.includes('?') ? changed : `${changed}${query}`
}

function changedPath(rewrite: PathRewrite | null, path: string): string {
  switch (rewrite?.kind) {
    case undefined:
      return path
    case 'whole':
      return fromRoot(rewrite.path)
    case 'prefix': {
      const rest = path.slice(rewrite.prefix.replace(/\/+$/, '').length).replace(/^\/+/, '')
      const start = rewrite.replacement.replace(/\/+$/, '')
      return fromRoot(rest === '' ? rewrite.replacement || '/' : `${start}/${rest}`)
    }
    case 'groups': {
      const matcher = rewrite.pattern.matcher(path)
      if (!matcher.lookingAt()) return path
      const groups = matcher.groupCount()
      const filled = rewrite.template.replace(/\$(\d)/g, (_, digit: string) =>
        Number(digit) <= groups ? (matcher.group(Number(digit)) ?? '') : '',
      )
      return fromRoot(filled)
    }
  }
}

const fromRoot = (path: string): string => (path.startsWith('/') ? path : `/${path}`)

/** Where a request is sent to; `own` is where it came in, with the ports as clients know them. */
export function locationOf(
  redirect: Redirect,
  own: { readonly scheme: string; readonly host: string; readonly port: number },
  target: Target,
): string {
  const scheme = redirect.scheme || own.scheme
  const usual = scheme === 'https' ? 443 : 80
  const kept = redirect.scheme === '' || redirect.scheme === own.scheme ? own.port : usual
  const port = redirect.port || kept
  const authority = `${redirect.host || own.host}${port === usual ? '' : `:${port}`}`
  return `${scheme}://${authority}${rewritePath(redirect.path, target)}`
}
