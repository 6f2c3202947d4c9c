/**
 * The rules for names, keys and values of labels, port names and the like. Each function returns what is wrong,
 * in upstream's words; an empty list means the name is fine.
 */

const LABEL_BYTES_MAX = 63
const SUBDOMAIN_BYTES_MAX = 253
const PORT_NAME_BYTES_MAX = 15

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?'
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const VALUE = `(${QUALIFIED})?`
const CONFIG_KEY = '[-._a-zA-Z0-9]+'

const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`)
const regexes = {
  label: whole(LABEL),
  subdomain: whole(SUBDOMAIN),
  label1035: whole(LABEL_1035),
  qualified: whole(QUALIFIED),
  value: whole(VALUE),
  configKey: whole(CONFIG_KEY),
}

/** `rule (e.g. 'a',  or 'b', regex used for validation is '…')`. */
const explain = (rule: string, pattern: string, ...examples: string[]): string =>
  `${rule} (e.g. ${examples.map(example => `'${example}', `).join(' or ')}regex used for validation is '${pattern}')`

const LABEL_RULE = explain(
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  LABEL,
  'my-name',
  '123-abc',
)
const SUBDOMAIN_RULE = explain(
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  SUBDOMAIN,
  'example.com',
)
const LABEL_1035_RULE = explain(
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
  LABEL_1035,
  'my-name',
  'abc-123',
)
const QUALIFIED_RULE = explain(
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  QUALIFIED,
  'MyName',
  'my.name',
  '123-abc',
)
const VALUE_RULE = explain(
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  VALUE,
  'MyValue',
  'my_value',
  '12345',
)
const CONFIG_KEY_RULE = explain(
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
  CONFIG_KEY,
  'key.name',
  'KEY_NAME',
  'key-name',
)

const WILDCARD = `\\*\\.${SUBDOMAIN}`
const WILDCARD_RULE = explain(
  "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
  WILDCARD,
  '*.example.com',
)
const WILDCARD_PATTERN = whole(WILDCARD)
const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
const HTTP_PATH_PATTERN = whole(HTTP_PATH)

const tooLong = (max: number): string => `must be no more than ${max} bytes`
/** A non-ASCII text fails the patterns anyway, so its length in units is good enough for the length rule. */
const check = (text: string, max: number, pattern: RegExp, rule: string): string[] => [
  ...(text.length > max ? [tooLong(max)] : []),
  ...(pattern.test(text) ? [] : [rule]),
]

export const checkDns1123Label = (text: string): string[] =>
  check(text, LABEL_BYTES_MAX, regexes.label, LABEL_RULE)

export const checkDns1123Subdomain = (text: string): string[] =>
  check(text, SUBDOMAIN_BYTES_MAX, regexes.subdomain, SUBDOMAIN_RULE)

/** `*.example.com`. */
export const checkWildcardSubdomain = (text: string): string[] =>
  check(text, SUBDOMAIN_BYTES_MAX, WILDCARD_PATTERN, WILDCARD_RULE)

/** What is wrong with `example.com/anything`, and with which part of it. */
export function checkDomainPrefixedPath(text: string): readonly { part: string; problem: string }[] {
  const slash = text.indexOf('/')
  const host = text.slice(0, slash)
  const path = text.slice(slash + 1)
  if (slash <= 0 || path === '') {
    return [{ part: text, problem: 'must be a domain-prefixed path (such as "acme.io/foo")' }]
  }
  const problems = checkDns1123Subdomain(host).map(problem => ({ part: host, problem }))
  if (HTTP_PATH_PATTERN.test(path)) return problems
  return [...problems, { part: path, problem: `Invalid path (regex used for validation is '${HTTP_PATH}')` }]
}

export const checkDns1035Label = (text: string): string[] =>
  check(text, LABEL_BYTES_MAX, regexes.label1035, LABEL_1035_RULE)

export const checkLabelValue = (text: string): string[] =>
  check(text, LABEL_BYTES_MAX, regexes.value, VALUE_RULE)

/** `name` or `prefix/name`: label keys, annotation keys, finalizers, resource names. */
export function checkQualifiedName(text: string): string[] {
  const parts = text.split('/')
  if (parts.length > 2) {
    return [
      `a qualified name ${QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ]
  }
  const [name = '', prefix] = parts.reverse()
  const problems: string[] = []
  if (prefix === '') problems.push('prefix part must be non-empty')
  else if (prefix !== undefined) {
    problems.push(...checkDns1123Subdomain(prefix).map(problem => `prefix part ${problem}`))
  }
  if (name === '') problems.push('name part must be non-empty')
  else if (name.length > LABEL_BYTES_MAX) problems.push(`name part ${tooLong(LABEL_BYTES_MAX)}`)
  if (!regexes.qualified.test(name)) problems.push(`name part ${QUALIFIED_RULE}`)
  return problems
}

export const checkLabelKey = checkQualifiedName

/** Names that stand in URLs as they are: RBAC's roles and bindings. */
export function checkPathSegmentName(text: string): string[] {
  if (text === '.' || text === '..') return [`may not be '${text}'`]
  return ['/', '%'].filter(part => text.includes(part)).map(part => `may not contain '${part}'`)
}

/** Name of a container's or a service's port. */
export function checkPortName(text: string): string[] {
  const problems: string[] = []
  if (text.length > PORT_NAME_BYTES_MAX) problems.push(tooLong(PORT_NAME_BYTES_MAX))
  if (!/^[-a-z0-9]+$/.test(text)) {
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  }
  if (!/[a-z]/.test(text)) problems.push('must contain at least one letter (a-z)')
  if (text.includes('--')) problems.push('must not contain consecutive hyphens')
  if (text.startsWith('-') || text.endsWith('-')) problems.push('must not begin or end with a hyphen')
  return problems
}

export const checkPortNumber = (port: number): string[] =>
  Number.isInteger(port) && port >= 1 && port <= 65535 ? [] : ['must be between 1 and 65535, inclusive']

export const checkEnvVarName = (text: string): string[] =>
  /^[\x20-\x3c\x3e-\x7e]+$/.test(text)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]

/** Key of a ConfigMap or Secret. */
export function checkConfigMapKey(text: string): string[] {
  const problems = check(text, SUBDOMAIN_BYTES_MAX, regexes.configKey, CONFIG_KEY_RULE)
  if (text === '.') problems.push("must not be '.'")
  else if (text === '..') problems.push("must not be '..'")
  else if (text.startsWith('..')) problems.push("must not start with '..'")
  return problems
}

/** The prefix of generated names: a trailing dash is fine, because more comes behind it. */
export function checkPrefix(prefix: string, rule: (name: string) => readonly string[]): readonly string[] {
  return rule(prefix.length > 1 && prefix.endsWith('-') ? `${prefix.slice(0, -1)}a` : prefix)
}
