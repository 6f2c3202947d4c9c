/** Field selectors: `metadata.name=a,status.phase!=Running`. */
import { badRequest } from './status.ts'

export interface FieldRequirement {
  readonly field: string
  readonly operator: '=' | '!='
  readonly value: string
}

/** Terms of the text; a backslash escapes `,`, `=` and itself in values. Throws a 400 StatusError. */
export function parseFieldSelector(text: string): FieldRequirement[] {
  return splitTerms(text)
    .filter(term => term !== '')
    .map(term => parseTerm(term, text))
}

/** All terms must hold; an object without the field has the empty string there. */
export function matchesFields(
  requirements: readonly FieldRequirement[],
  fields: Readonly<Record<string, string>>,
): boolean {
  return requirements.every(({ field, operator, value }) => {
    const found = (Object.hasOwn(fields, field) ? fields[field] : undefined) ?? ''
    return (found === value) === (operator === '=')
  })
}

/** The value that the field must have, when the selector says so with `=`. */
export function requiredField(requirements: readonly FieldRequirement[], field: string): string | undefined {
  return requirements.find(term => term.field === field && term.operator === '=')?.value
}

export function formatFieldSelector(requirements: readonly FieldRequirement[]): string {
  const escaped = (value: string) => value.replace(/[\\,=]/g, '\\$&')
  return requirements.map(({ field, operator, value }) => `${field}${operator}${escaped(value)}`).join(',')
}

function splitTerms(text: string): string[] {
  const terms: string[] = []
  let start = 0
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === ',') {
      terms.push(text.slice(start, i))
      start = i + 1
    }
  }
  terms.push(text.slice(start))
  return terms
}

function parseTerm(term: string, text: string): FieldRequirement {
  const [, field, operator, value] = /^(.*?)(!=|==|=)(.*)$/s.exec(term) ?? []
  if (field === undefined || value === undefined) {
    throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
  }
  return { field, operator: operator === '!=' ? '!=' : '=', value: unescapeValue(value) }
}

function unescapeValue(value: string): string {
  if (/(^|[^\\])(\\\\)*=/.test(value)) {
    throw badRequest(`invalid field selector: unescaped character in value: =`)
  }
  return value.replace(/\\(.?)/gs, (whole, escaped: string) => {
    if (/^[\\,=]$/.test(escaped)) return escaped
    throw badRequest(`invalid field selector: invalid escape sequence: ${whole}`)
  })
}
