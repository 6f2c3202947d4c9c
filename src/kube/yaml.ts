/**
 * Kubernetes YAML: one place that knows the library. Manifests are read as kubectl reads them: `yes`, `on` and `n`
 * are booleans, `0644` and `0o17` octal, `1_000` a number, while dates and times of day stay strings.
 */
import {
  boolYaml11Tag,
  CORE_SCHEMA,
  defineScalarTag,
  dump,
  floatCoreTag,
  intCoreTag,
  loadAll,
  mergeTag,
  NOT_RESOLVED,
  YAMLException,
} from 'js-yaml'

const DIGITS = [...'+-0123456789']
const INTEGER = /^([-+]?)(?:0b([01]+)|0o?([0-7]+)|0x([0-9a-fA-F]+)|(0|[1-9]\d*))$/
const FLOAT = /^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/
const DEPTH_MAX = 100
const ALIASES_MAX = 1_000
/** How many values aliases may unfold to, so that a few lines cannot fill the memory. */
const VALUES_MAX = 2_000_000
/** The same for the characters of all strings together. */
const CHARACTERS_MAX = 16 * 1024 * 1024

function resolveInteger(source: string): number | typeof NOT_RESOLVED {
  const match = INTEGER.exec(source.replaceAll('_', ''))
  if (match === null) return NOT_RESOLVED
  const [, sign, binary, octal, hex, decimal] = match
  const [digits = '', base] =
    binary !== undefined
      ? [binary, 2]
      : octal !== undefined
        ? [octal, 8]
        : hex !== undefined
          ? [hex, 16]
          : [decimal, 10]
  const value = Number.parseInt(digits, base)
  return sign === '-' && value !== 0 ? -value : value
}

function resolveFloat(source: string): number | typeof NOT_RESOLVED {
  const plain = source.replaceAll('_', '')
  return FLOAT.test(plain) ? Number(plain) : NOT_RESOLVED
}

const schema = CORE_SCHEMA.withTags(
  boolYaml11Tag,
  defineScalarTag('tag:yaml.org,2002:int', {
    implicit: true,
    implicitFirstChars: DIGITS,
    resolve: resolveInteger,
    identify: intCoreTag.identify,
  }),
  defineScalarTag('tag:yaml.org,2002:float', {
    implicit: true,
    implicitFirstChars: [...DIGITS, '.'],
    resolve: resolveFloat,
    identify: floatCoreTag.identify,
    represent: floatCoreTag.represent,
  }),
  mergeTag,
)

/** Every document of the text; an empty one is null or undefined. Throws when the text is not YAML. */
export const parseYamlDocuments = (text: string): unknown[] => parseAll(text, false)

/** `lastWins`: of one key twice in a mapping the last counts, and otherwise it is an error. */
function parseAll(text: string, lastWins: boolean): unknown[] {
  const limits = { maxDepth: DEPTH_MAX, maxAliases: ALIASES_MAX }
  const documents = loadAll(text, { schema, ...limits, json: lastWins })
  let values = 0
  let characters = 0
  const count = (value: unknown): void => {
    values++
    if (typeof value === 'string') characters += value.length
    if (values > VALUES_MAX || characters > CHARACTERS_MAX) {
      throw new Error('document contains excessive aliasing')
    }
    if (typeof value !== 'object' || value === null) return
    for (const inner of Object.values(value)) count(inner)
  }
  if (/[*&]/.test(text)) documents.forEach(count)
  return documents
}

/** One document; throws when there are more. */
export const parseYaml = (text: string): unknown => only(parseYamlDocuments(text))

function only(documents: readonly unknown[]): unknown {
  if (documents.length > 1) throw new Error(`expected one YAML document, found ${documents.length}`)
  return documents[0] ?? null
}

/** YAML as kubectl prints it; strings that would read as something else are quoted. */
export const renderYaml = (value: unknown): string =>
  dump(value, { schema, noRefs: true, lineWidth: -1, seqNoIndent: true })

/** How many keys that come twice are told. */
const DUPLICATES_MAX = 100

/** One document in which the last of two equal keys counts, and what is to say about such keys; null: nothing. */
export function readYaml(text: string): { readonly value: unknown; readonly duplicates: string | null } {
  const lines: string[] = []
  let rest = text
  for (;;) {
    const found = lines.length < DUPLICATES_MAX ? firstDuplicate(rest) : null
    if (found === null) break
    lines.push(`  line ${found.line}: key ${JSON.stringify(found.key)} already set in map`)
    const end = found.position + found.key.length
    rest = `${rest.slice(0, found.position)}duplicate${lines.length}-${found.position}${rest.slice(end)}`
  }
  const duplicates = lines.length === 0 ? null : `yaml: unmarshal errors:\n${lines.join('\n')}`
  return { value: only(parseAll(text, lines.length > 0)), duplicates }
}

function firstDuplicate(text: string): { key: string; line: number; position: number } | null {
  try {
    parseAll(text, false)
    return null
  } catch (error) {
    const isDuplicate = error instanceof YAMLException && error.reason === 'duplicated mapping key'
    if (!isDuplicate || !error.mark) throw error
    const { position, line } = error.mark
    return { key: keyAt(text, position), line: line + 1, position }
  }
}

/** A key as it is written, without its quotes. */
function keyAt(text: string, position: number): string {
  const quote = text[position - 1]
  if (quote === '"' || quote === "'") return text.slice(position, text.indexOf(quote, position))
  return /^.*?(?=\s*:(\s|$))/m.exec(text.slice(position))?.[0] ?? ''
}
