/** `AuthenticationConfiguration` of apiserver.config.k8s.io: read from YAML and checked; expressions are compiled. */
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { compileExpression, type Program } from '../../../kube/cel/cel.ts'
import { TYPE_NAMES } from '../../../kube/cel/env.ts'
import { kubernetesFunctions } from '../../../kube/cel/library/library.ts'
import { DYN } from '../../../kube/cel/types.ts'
import { isMap } from '../../../kube/json-map.ts'
import { parseYaml } from '../../../kube/yaml.ts'

/** A claim, with a prefix for what it says, or an expression over `claims`. */
export type Mapping =
  | { readonly kind: 'claim'; readonly claim: string; readonly prefix: string }
  | { readonly kind: 'expression'; readonly program: Program }

export interface Rule {
  readonly program: Program
  readonly message: string
}

export interface JwtIssuer {
  readonly url: string
  readonly discoveryUrl: string
  /** PEM; empty: what this machine trusts. */
  readonly certificateAuthority: string
  readonly audiences: readonly string[]
  readonly requiredClaims: readonly { readonly claim: string; readonly value: string }[]
  readonly claimRules: readonly Rule[]
  readonly username: Mapping
  readonly groups: Mapping | null
  readonly uid: Mapping | null
  readonly extra: readonly { readonly key: string; readonly program: Program }[]
  readonly userRules: readonly Rule[]
}

export interface AuthenticationConfiguration {
  readonly issuers: readonly JwtIssuer[]
  /** Null: everybody may come without credentials. */
  readonly anonymous: { readonly enabled: boolean; readonly paths: readonly string[] } | null
}

type Fields = Readonly<Record<string, unknown>>

const VERSIONS = ['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1']
const WELL_KNOWN = '/.well-known/openid-configuration'

/** Throws `config/invalid` with everything that is wrong. */
export function parseAuthentication(text: string, path: string): AuthenticationConfiguration {
  let value: unknown
  try {
    value = parseYaml(text)
  } catch (error) {
    throw new Mk8sError('config/invalid', `${path} is not YAML`, { why: messageOf(error), cause: error })
  }
  const reader = new Reader()
  const fields = reader.map(value, 'it')
  if (!VERSIONS.includes(String(fields['apiVersion'])) || fields['kind'] !== 'AuthenticationConfiguration')
    reader.problems.push('it is not an AuthenticationConfiguration of apiserver.config.k8s.io/v1')
  const issuers = reader.list(fields['jwt'], 'jwt').map((one, at) => issuerOf(reader, one, `jwt[${at}]`))
  const urls = issuers.map(({ url }) => url)
  if (new Set(urls).size < urls.length) reader.problems.push('jwt: two issuers have the same url')
  const anonymous = anonymousOf(reader, fields['anonymous'])
  if (reader.problems.length > 0)
    throw new Mk8sError('config/invalid', `${path} cannot be used`, { why: reader.problems.join('\n') })
  return { issuers, anonymous }
}

class Reader {
  readonly problems: string[] = []

  map(value: unknown, where: string): Fields {
    if (isMap(value)) return value
    this.problems.push(`${where}: must be an object`)
    return {}
  }

  list(value: unknown, where: string): readonly unknown[] {
    if (value === undefined || value === null) return []
    if (Array.isArray(value)) return value
    this.problems.push(`${where}: must be a list`)
    return []
  }

  text(fields: Fields, key: string, where: string): string {
    const value = fields[key] ?? ''
    if (typeof value === 'string') return value
    this.problems.push(`${where}.${key}: must be text`)
    return ''
  }

  required(fields: Fields, key: string, where: string): string {
    const value = this.text(fields, key, where)
    if (value === '') this.problems.push(`${where}.${key}: Required value`)
    return value
  }

  program(source: string, variable: 'claims' | 'user', where: string): Program {
    const variables = new Map([[variable, DYN]])
    const env = { variables, functions: kubernetesFunctions, typeNames: TYPE_NAMES, isHomogeneous: true }
    const compiled = compileExpression(source, env)
    if (compiled.ok) return compiled.program
    this.problems.push(
      `${where}: Invalid value: ${JSON.stringify(source)}: compilation failed: ${compiled.message}`,
    )
    return NOTHING
  }
}

function issuerOf(reader: Reader, value: unknown, where: string): JwtIssuer {
  const fields = reader.map(value, where)
  const issuer = reader.map(fields['issuer'], `${where}.issuer`)
  const url = reader.required(issuer, 'url', `${where}.issuer`)
  const discovery = reader.text(issuer, 'discoveryURL', `${where}.issuer`)
  for (const [name, one] of [['url', url] as const, ['discoveryURL', discovery] as const])
    if (one !== '' && !isHttps(one)) reader.problems.push(`${where}.issuer.${name}: URL scheme must be https`)
  const audiences = reader.list(issuer['audiences'], `${where}.issuer.audiences`).map(String)
  if (audiences.length === 0) reader.problems.push(`${where}.issuer.audiences: Required value`)
  if (audiences.length > 1 && issuer['audienceMatchPolicy'] !== 'MatchAny')
    reader.problems.push(`${where}.issuer.audienceMatchPolicy: must be MatchAny for multiple audiences`)
  const at = `${where}.claimMappings`
  const mappings = reader.map(fields['claimMappings'], at)
  const rules = reader
    .list(fields['claimValidationRules'], `${where}.claimValidationRules`)
    .map(one => reader.map(one, where))
  const username = mappingOf(reader, mappings['username'], `${at}.username`, true)
  if (username === null) reader.problems.push(`${at}.username: claim or expression is required`)
  return {
    url,
    discoveryUrl: discovery === '' ? `${url.replace(/\/$/, '')}${WELL_KNOWN}` : discovery,
    certificateAuthority: reader.text(issuer, 'certificateAuthority', `${where}.issuer`),
    audiences,
    requiredClaims: rules
      .filter(rule => rule['claim'])
      .map(rule => ({ claim: String(rule['claim']), value: String(rule['requiredValue'] ?? '') })),
    claimRules: rulesOf(reader, rules, 'claims', `${where}.claimValidationRules`),
    username: username ?? { kind: 'claim', claim: 'sub', prefix: '' },
    groups: mappingOf(reader, mappings['groups'], `${at}.groups`, true),
    uid: mappingOf(reader, mappings['uid'], `${at}.uid`, false),
    extra: reader.list(mappings['extra'], `${at}.extra`).map((one, index) => {
      const item = reader.map(one, `${at}.extra[${index}]`)
      const source = reader.required(item, 'valueExpression', `${at}.extra[${index}]`)
      const key = reader.required(item, 'key', `${at}.extra[${index}]`)
      return { key, program: reader.program(source, 'claims', `${at}.extra[${index}].valueExpression`) }
    }),
    userRules: rulesOf(
      reader,
      reader.list(fields['userValidationRules'], where).map(one => reader.map(one, where)),
      'user',
      `${where}.userValidationRules`,
    ),
  }
}

function mappingOf(reader: Reader, value: unknown, where: string, wantsPrefix: boolean): Mapping | null {
  if (value === undefined || value === null) return null
  const fields = reader.map(value, where)
  const claim = reader.text(fields, 'claim', where)
  const expression = reader.text(fields, 'expression', where)
  if (claim !== '' && expression !== '')
    reader.problems.push(`${where}: claim and expression can't both be set`)
  if (expression !== '')
    return { kind: 'expression', program: reader.program(expression, 'claims', `${where}.expression`) }
  if (claim === '') return null
  if (wantsPrefix && fields['prefix'] === undefined)
    reader.problems.push(
      `${where}.prefix: prefix is required when claim is set. It can be set to an empty string`,
    )
  return { kind: 'claim', claim, prefix: reader.text(fields, 'prefix', where) }
}

function rulesOf(
  reader: Reader,
  rules: readonly Fields[],
  variable: 'claims' | 'user',
  where: string,
): readonly Rule[] {
  return rules
    .filter(rule => rule['expression'])
    .map(rule => {
      const source = String(rule['expression'])
      const message = String(rule['message'] ?? `expression '${source}' did not hold`)
      return { program: reader.program(source, variable, `${where}.expression`), message }
    })
}

function anonymousOf(reader: Reader, value: unknown): AuthenticationConfiguration['anonymous'] {
  if (value === undefined || value === null) return null
  const fields = reader.map(value, 'anonymous')
  const conditions = reader.list(fields['conditions'], 'anonymous.conditions')
  const paths = conditions.map((one, at) =>
    reader.required(reader.map(one, `anonymous.conditions[${at}]`), 'path', `anonymous.conditions[${at}]`),
  )
  return { enabled: fields['enabled'] === true, paths }
}

function isHttps(text: string): boolean {
  try {
    return new URL(text).protocol === 'https:'
  } catch {
    return false
  }
}

const compiledNothing = compileExpression('false', {
  variables: new Map(),
  functions: kubernetesFunctions,
  typeNames: TYPE_NAMES,
  isHomogeneous: true,
})
if (!compiledNothing.ok) throw new TypeError('the expression "false" is none')
/** Stands for an expression that is refused anyway. */
const NOTHING = compiledNothing.program
