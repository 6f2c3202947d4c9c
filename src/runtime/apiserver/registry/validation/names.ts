/** What is wrong with a name, a port or a path, in upstream's words: lists of problems, empty when it is fine. */
const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`
const DNS1035 = '[a-z]([-a-z0-9]*[a-z0-9])?'
const NAME = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const VALUE = `(${NAME})?`
const CONFIG_KEY = '[-._a-zA-Z0-9]+'

const ALNUM_ENDS = 'must start and end with an alphanumeric character'

const matches = (pattern: string, value: string): boolean => new RegExp(`^(?:${pattern})$`).test(value)

function regexProblem(text: string, pattern: string, ...examples: readonly string[]): string {
  const shown = examples.map(example => `'${example}', `).join(' or ')
  const lead = examples.length === 0 ? '(' : `(e.g. ${shown}`
  return `${text} ${lead}regex used for validation is '${pattern}')`
}

const maxLength = (length: number): string => `must be no more than ${length} bytes`

function problems(value: string, max: number, pattern: string, message: string): string[] {
  const found: string[] = []
  if (Buffer.byteLength(value) > max) found.push(maxLength(max))
  if (!matches(pattern, value)) found.push(message)
  return found
}

export const dnsLabelProblems = (value: string): string[] =>
  problems(
    value,
    63,
    LABEL,
    regexProblem(
      `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and ${ALNUM_ENDS}`,
      LABEL,
      'my-name',
      '123-abc',
    ),
  )

export const dnsSubdomainProblems = (value: string): string[] =>
  problems(
    value,
    253,
    SUBDOMAIN,
    regexProblem(
      `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and ${ALNUM_ENDS}`,
      SUBDOMAIN,
      'example.com',
    ),
  )

export const dns1035Problems = (value: string): string[] =>
  problems(
    value,
    63,
    DNS1035,
    regexProblem(
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
      DNS1035,
      'my-name',
      'abc-123',
    ),
  )

export const labelValueProblems = (value: string): string[] =>
  problems(
    value,
    63,
    VALUE,
    regexProblem(
      `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and ${ALNUM_ENDS}`,
      VALUE,
      'MyValue',
      'my_value',
      '12345',
    ),
  )

const NAME_TEXT = `must consist of alphanumeric characters, '-', '_' or '.', and ${ALNUM_ENDS}`
const nameExamples = ['MyName', 'my.name', '123-abc'] as const

/** `[prefix/]name`: keys of labels and annotations, resource names. */
export function qualifiedNameProblems(value: string): string[] {
  const parts = value.split('/')
  if (parts.length > 2) {
    const text = regexProblem(`a qualified name ${NAME_TEXT}`, NAME, ...nameExamples)
    return [`${text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`]
  }
  const found: string[] = []
  const name = parts.at(-1) ?? ''
  if (parts.length === 2) {
    const prefix = parts[0] ?? ''
    if (prefix === '') found.push('prefix part must be non-empty')
    else found.push(...dnsSubdomainProblems(prefix).map(problem => `prefix part ${problem}`))
  }
  if (name === '') found.push('name part must be non-empty')
  else if (Buffer.byteLength(name) > 63) found.push(`name part ${maxLength(63)}`)
  if (!matches(NAME, name)) found.push(`name part ${regexProblem(NAME_TEXT, NAME, ...nameExamples)}`)
  return found
}

/** A key of a ConfigMap or Secret. */
export function configKeyProblems(value: string): string[] {
  const found = problems(
    value,
    253,
    CONFIG_KEY,
    regexProblem(
      "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
      CONFIG_KEY,
      'key.name',
      'KEY_NAME',
      'key-name',
    ),
  )
  return [...found, ...dotProblems(value)]
}

function dotProblems(value: string): string[] {
  if (value === '.') return ["must not be '.'"]
  if (value === '..') return ["must not be '..'"]
  return value.startsWith('..') ? ["must not start with '..'"] : []
}

/** An environment variable: any printable ASCII but `=`, as upstream since 1.34. */
export function envNameProblems(value: string): string[] {
  if (value === '') return ['environment variable name must not be empty']
  if (/^[ -<>-~]+$/.test(value)) return []
  return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
}

export function portProblems(port: number): string[] {
  return Number.isInteger(port) && port >= 1 && port <= 65535
    ? []
    : ['must be between 1 and 65535, inclusive']
}

/** The name of a port (an IANA service name). */
export function portNameProblems(name: string): string[] {
  const found: string[] = []
  if (name.length > 15) found.push(maxLength(15))
  if (!/^[-a-z0-9]+$/.test(name))
    found.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  if (!/[a-z]/.test(name)) found.push('must contain at least one letter (a-z)')
  if (name.includes('--')) found.push('must not contain consecutive hyphens')
  if (/^-|-$/.test(name)) found.push('must not begin or end with a hyphen')
  return found
}

/** What upstream says of anything that is no address. */
export const IP_PROBLEM = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
