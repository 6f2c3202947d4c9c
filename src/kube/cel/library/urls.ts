/** URLs, as `url(…)` takes them: absolute, or an absolute path. */
import { fn, method, type Overload, traversal } from '../functions.ts'
import { BOOL, listOf, mapOf, opaque, STRING } from '../types.ts'
import { CelError, LiteralMap, OpaqueValue } from '../values.ts'

const URL_TYPE = opaque('kubernetes.URL')
const FORM = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s
const FORBIDDEN = /[\s\p{Cc}]/u
const BAD_ESCAPE = /%(?![0-9a-fA-F]{2})/
const HOST = /^(?:\[[0-9A-Fa-f:.%]*\]|[^:[\]]*)(?::\d*)?$/

interface Parts {
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly query: string
}

class UrlValue extends OpaqueValue {
  readonly type = URL_TYPE
  readonly text: string
  readonly parts: Parts

  constructor(text: string, parts: Parts) {
    super()
    this.text = text
    this.parts = parts
  }

  equals(other: OpaqueValue): boolean {
    return other instanceof UrlValue && other.text === this.text
  }
}

function read(text: string): UrlValue | null {
  const match = FORM.exec(text)
  if (match === null || text === '' || FORBIDDEN.test(text)) return null
  const [, scheme = '', authority, path = '', query = ''] = match
  if (scheme === '' && !path.startsWith('/') && authority === undefined) return null
  if (scheme === '' && authority !== undefined && !text.startsWith('/')) return null
  const host = (authority ?? '').slice((authority ?? '').lastIndexOf('@') + 1)
  if (!HOST.test(host) || BAD_ESCAPE.test(path)) return null
  return new UrlValue(text, { scheme: scheme.toLowerCase(), host, path, query })
}

function parse(text: string): UrlValue {
  const found = read(text)
  if (found === null) {
    throw new CelError(
      `URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI for request`,
    )
  }
  return found
}

function hostname({ parts: { host } }: UrlValue): string {
  const bare = host.replace(/:\d*$/, '')
  return bare.startsWith('[') ? bare.slice(1, -1) : bare
}

const port = ({ parts: { host } }: UrlValue): string => /:(\d*)$/.exec(host)?.[1] ?? ''

function escapedPath({ parts: { path } }: UrlValue): string {
  return path.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/gu, char => encodeURIComponent(char))
}

function query({ parts }: UrlValue): LiteralMap {
  const byName = new Map<string, string[]>()
  for (const [name, value] of new URLSearchParams(parts.query)) {
    const values = byName.get(name)
    if (values === undefined) byName.set(name, [value])
    else values.push(value)
  }
  const map = new LiteralMap()
  for (const [name, values] of byName) map.add(name, values)
  return map
}

const walked = { cost: (size = 0) => traversal(size) }

export const urls: readonly Overload[] = [
  fn('url', [[STRING], URL_TYPE], parse, walked),
  fn('isURL', [[STRING], BOOL], (text: string) => read(text) !== null, walked),
  fn('string', [[URL_TYPE], STRING], ({ text }: UrlValue) => text),
  method('getScheme', [[URL_TYPE], STRING], ({ parts }: UrlValue) => parts.scheme),
  method('getHost', [[URL_TYPE], STRING], ({ parts }: UrlValue) => parts.host),
  method('getHostname', [[URL_TYPE], STRING], hostname),
  method('getPort', [[URL_TYPE], STRING], port),
  method('getEscapedPath', [[URL_TYPE], STRING], escapedPath),
  method('getQuery', [[URL_TYPE], mapOf(STRING, listOf(STRING))], query),
]
