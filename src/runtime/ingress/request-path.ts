/** The path of a request as it is matched and as it is sent on, which is the same. Pure. */

export interface Target {
  readonly path: string
  /** With its question mark, or empty. */
  readonly query: string
}

const UNRESERVED = /[A-Za-z0-9\-._~]/

/**
 * Letters that need no escape lose it, repeated slashes become one, `.` and `..` are resolved; null for what is no path
 * or would leave the root, so that no backend reads another path than the one that was matched.
 */
export function normalizeTarget(target: string): Target | null {
  if (!target.startsWith('/') || hasControl(target)) return null
  const mark = target.search(/[?#]/)
  const raw = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 || target[mark] === '#' ? '' : (target.slice(mark).split('#')[0] ?? '')
  if (/%(?![0-9A-Fa-f]{2})/.test(raw) || /%00/.test(raw) || raw.includes('\\')) return null
  const decoded = raw.replace(/%[0-9A-Fa-f]{2}/g, code => {
    const letter = String.fromCharCode(Number.parseInt(code.slice(1), 16))
    return UNRESERVED.test(letter) ? letter : code.toUpperCase()
  })
  const kept: string[] = []
  const segments = decoded.split('/').slice(1)
  for (const segment of segments) {
    if (segment === '..' && kept.pop() === undefined) return null
    if (segment !== '' && segment !== '.' && segment !== '..') kept.push(segment)
  }
  const last = segments.at(-1)
  const isFolder = last === '' || last === '.' || last === '..'
  return { path: `/${kept.join('/')}${isFolder && kept.length > 0 ? '/' : ''}`, query }
}

function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code <= 0x20 || code >= 0x7f) return true
  }
  return false
}

/** Without port, in small letters and without a dot at the end; null for what is no host. */
export function hostOf(authority: string): string | null {
  const match = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/.exec(authority)
  return match?.[1]?.toLowerCase().replace(/\.$/, '') ?? null
}
