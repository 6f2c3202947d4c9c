/** The form of K3s' registries.yaml, and what can be wrong with one (pure). */
import { messageOf } from '../../base/errors.ts'

export interface MirrorDocument {
  readonly endpoint?: readonly string[]
  /** Regular expression to replacement, of the repository; for the endpoints. */
  readonly rewrite?: Readonly<Record<string, string>>
}

export interface HostDocument {
  readonly auth?: {
    readonly username?: string
    readonly password?: string
    /** `username:password` in base64. */
    readonly auth?: string
  }
  readonly tls?: {
    /** PEM texts. In a file for `mk8s registry add -f` also `ca_file`, `cert_file`, `key_file`. */
    readonly ca?: string
    readonly cert?: string
    readonly key?: string
    readonly insecure_skip_verify?: boolean
  }
}

export interface RegistriesDocument {
  readonly mirrors?: Readonly<Record<string, MirrorDocument>>
  readonly configs?: Readonly<Record<string, HostDocument>>
}

export const ENTRIES_MAX = 256
const ENDPOINTS_MAX = 16
const PATTERN_CHARACTERS_MAX = 256
const HOST = /^(\*|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(:[0-9]{1,5})?)$/
const FILES = ['ca_file', 'cert_file', 'key_file']

type Fields = Readonly<Record<string, unknown>>

/** One sentence each; none when it can be used. */
export function registriesProblems(value: unknown): string[] {
  const problems: string[] = []
  const root = fieldsOf(value, 'the document', problems)
  known(root, 'the document', ['mirrors', 'configs'], problems)
  for (const [host, mirror] of entriesOf(root, 'mirrors', problems)) checkMirror(host, mirror, problems)
  for (const [host, config] of entriesOf(root, 'configs', problems)) checkHost(host, config, problems)
  return problems
}

function entriesOf(root: Fields, name: string, problems: string[]): [string, unknown][] {
  const entries = Object.entries(fieldsOf(root[name] ?? {}, name, problems))
  if (entries.length > ENTRIES_MAX) problems.push(`${name}: more than ${ENTRIES_MAX} registries`)
  for (const [host] of entries) {
    if (!HOST.test(host))
      problems.push(`${name}: ${JSON.stringify(host)} is no registry's host, with or without port`)
  }
  return entries
}

function checkMirror(host: string, value: unknown, problems: string[]): void {
  const at = `mirrors[${host}]`
  const mirror = fieldsOf(value ?? {}, at, problems)
  known(mirror, at, ['endpoint', 'rewrite'], problems)
  const endpoints = mirror['endpoint'] ?? []
  if (!Array.isArray(endpoints)) problems.push(`${at}.endpoint is no list`)
  else {
    if (endpoints.length > ENDPOINTS_MAX) problems.push(`${at}.endpoint: more than ${ENDPOINTS_MAX}`)
    for (const endpoint of endpoints) checkEndpoint(`${at}.endpoint`, endpoint, problems)
  }
  for (const [pattern, replacement] of Object.entries(
    fieldsOf(mirror['rewrite'] ?? {}, `${at}.rewrite`, problems),
  )) {
    checkRewrite(`${at}.rewrite`, pattern, replacement, problems)
  }
}

function checkEndpoint(at: string, endpoint: unknown, problems: string[]): void {
  const text = String(endpoint)
  const whole = text.includes('://') ? text : `https://${text}`
  const url = URL.canParse(whole) ? new URL(whole) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    problems.push(`${at}: ${JSON.stringify(text)} is no URL with http or https`)
  } else if (url.username !== '' || url.password !== '') {
    problems.push(`${at}: ${url.host}: credentials belong under configs[${url.host}].auth`)
  } else if (url.search !== '' || url.hash !== '') problems.push(`${at}: ${JSON.stringify(text)} has a query`)
}

function checkRewrite(at: string, pattern: string, replacement: unknown, problems: string[]): void {
  if (typeof replacement !== 'string')
    problems.push(`${at}: what replaces ${JSON.stringify(pattern)} is no text`)
  if (pattern.length > PATTERN_CHARACTERS_MAX) problems.push(`${at}: a pattern is too long`)
  try {
    new RegExp(pattern)
  } catch (error) {
    problems.push(`${at}: ${messageOf(error)}`)
  }
}

/** Values are never told: they may be secrets. */
function checkHost(host: string, value: unknown, problems: string[]): void {
  const at = `configs[${host}]`
  const config = fieldsOf(value ?? {}, at, problems)
  known(config, at, ['auth', 'tls'], problems)
  const auth = fieldsOf(config['auth'] ?? {}, `${at}.auth`, problems)
  known(auth, `${at}.auth`, ['username', 'password', 'auth'], problems)
  texts(auth, `${at}.auth`, ['username', 'password', 'auth'], problems)
  if (auth['password'] !== undefined && auth['username'] === undefined)
    problems.push(`${at}.auth: a password without a username`)
  const tls = fieldsOf(config['tls'] ?? {}, `${at}.tls`, problems)
  for (const name of FILES.filter(file => tls[file] !== undefined)) {
    problems.push(
      `${at}.tls.${name}: nodes read no files; mk8s registry add -f puts what is in it in its place`,
    )
  }
  known(tls, `${at}.tls`, ['ca', 'cert', 'key', 'insecure_skip_verify', ...FILES], problems)
  texts(tls, `${at}.tls`, ['ca', 'cert', 'key'], problems)
  for (const name of ['ca', 'cert', 'key']) {
    const text = tls[name]
    if (typeof text === 'string' && !text.includes('-----BEGIN '))
      problems.push(`${at}.tls.${name} is not PEM`)
  }
  const skip = tls['insecure_skip_verify']
  if (skip !== undefined && typeof skip !== 'boolean') {
    problems.push(`${at}.tls.insecure_skip_verify is neither true nor false`)
  }
}

function fieldsOf(value: unknown, at: string, problems: string[]): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  problems.push(`${at} is no map`)
  return {}
}

function known(fields: Fields, at: string, names: readonly string[], problems: string[]): void {
  for (const name of Object.keys(fields)) {
    if (!names.includes(name)) problems.push(`${at}: unknown field ${JSON.stringify(name)}`)
  }
}

function texts(fields: Fields, at: string, names: readonly string[], problems: string[]): void {
  for (const name of names) {
    const value = fields[name]
    if (value !== undefined && typeof value !== 'string') problems.push(`${at}.${name} is no text`)
  }
}
