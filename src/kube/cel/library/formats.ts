/** Named formats, which say what is wrong with a string: `format.dns1123Label().validate(name)`. */
import {
  checkDns1035Label,
  checkDns1123Label,
  checkDns1123Subdomain,
  checkLabelValue,
  checkPrefix,
  checkQualifiedName,
} from '../../names.ts'
import { fn, method, type Overload, traversal } from '../functions.ts'
import { listOf, opaque, optionalOf, STRING } from '../types.ts'
import { NONE, OpaqueValue, Optional } from '../values.ts'
import { parseTimestamp } from './time.ts'

type Check = (text: string) => readonly string[]

const FORMAT = opaque('kubernetes.NamedFormat')

class FormatValue extends OpaqueValue {
  readonly type = FORMAT
  readonly name: string
  readonly check: Check

  constructor(name: string, check: Check) {
    super()
    this.name = name
    this.check = check
  }

  equals(other: OpaqueValue): boolean {
    return other instanceof FormatValue && other.name === this.name
  }
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const DATE = /^\d{4}-\d\d-\d\d$/

const holds =
  (test: (text: string) => boolean, problem: string): Check =>
  text =>
    test(text) ? [] : [problem]

const isUri = (text: string): boolean => URL.canParse(text) || text.startsWith('/')
const isDate = (text: string): boolean => DATE.test(text) && parseTimestamp(`${text}T00:00:00Z`) !== null
const prefixed =
  (check: (text: string) => readonly string[]): Check =>
  text =>
    checkPrefix(text, check)

const FORMATS: Readonly<Record<string, Check>> = {
  dns1123Label: checkDns1123Label,
  dns1123Subdomain: checkDns1123Subdomain,
  dns1035Label: checkDns1035Label,
  qualifiedName: checkQualifiedName,
  dns1123LabelPrefix: prefixed(checkDns1123Label),
  dns1123SubdomainPrefix: prefixed(checkDns1123Subdomain),
  dns1035LabelPrefix: prefixed(checkDns1035Label),
  labelValue: checkLabelValue,
  uri: holds(isUri, 'must be a valid URI'),
  uuid: holds(text => UUID.test(text), 'does not match the UUID format'),
  byte: holds(text => BASE64.test(text), 'invalid base64'),
  date: holds(isDate, 'invalid date'),
  datetime: holds(text => parseTimestamp(text) !== null, 'invalid datetime'),
}

const values = new Map(Object.entries(FORMATS).map(([name, check]) => [name, new FormatValue(name, check)]))

function named(name: string): Optional {
  const found = values.get(name)
  return found === undefined ? NONE : new Optional(found)
}

function validate({ check }: FormatValue, text: string): Optional {
  const problems = check(text)
  return problems.length === 0 ? NONE : new Optional([...problems])
}

export const formats: readonly Overload[] = [
  ...[...values].map(([name, value]) => fn(`format.${name}`, [[], FORMAT], () => value)),
  fn('format.named', [[STRING], optionalOf(FORMAT)], named),
  method('validate', [[FORMAT, STRING], optionalOf(listOf(STRING))], validate, {
    cost: (_format = 0, text = 0) => traversal(text) + 1,
  }),
]
