/** The door. Runs the rules of a schema over an object and what it was before. */
import { equalJson } from '../../equality.ts'
import { duplicate, type FieldError, forbidden, invalid, required } from '../../field-error.ts'
import { isMap } from '../../json-map.ts'
import { fieldOf, type Structural } from '../../structural-schema/structural.ts'
import type { Program } from '../cel.ts'
import { fromJson } from '../json-value.ts'
import type { CelType } from '../types.ts'
import { CelError, type CelValue, NONE, Optional } from '../values.ts'
import { appendFieldPath } from './field-path.ts'
import { type CompiledRule, compileRulesOf, rulesOf } from './rule.ts'
import { typeOfSchema } from './schema-type.ts'

/** Of one rule at one place, and of all rules over one object. */
const CALL_COST_MAX = 1_000_000
const OBJECT_COST_MAX = 10_000_000
const MESSAGE_MAX = 5 * 1024

export interface RuleResult {
  readonly errors: readonly FieldError[]
  /** What would be an error, were the value not as it was before. */
  readonly warnings: readonly string[]
}

export interface RuleSubject {
  readonly value: unknown
  /** Undefined at creation. */
  readonly oldValue?: unknown
  readonly path?: string
}

export interface RuleSet {
  validate(subject: RuleSubject): RuleResult
}

/** One node of the schema with its rules; null below it where there are none. */
interface Node {
  readonly schema: Structural
  readonly type: CelType
  readonly rules: readonly CompiledRule[]
  readonly below: (key: string | null) => Node | null
}

/** Null when nothing in the schema has a rule. */
export function compileRules(schema: Structural): RuleSet | null {
  const root = nodeOf(schema, true)
  if (root === null) return null
  return {
    validate({ value, oldValue, path = '' }) {
      const run = new RuleRun()
      run.visit(root, { value, old: oldValue, isCorrelated: oldValue !== undefined, path })
      return { errors: run.errors, warnings: run.warnings }
    },
  }
}

function hasRules(schema: Structural): boolean {
  if (rulesOf(schema).length > 0) return true
  const { properties, items, additional } = schema
  if (items !== null && hasRules(items)) return true
  if (typeof additional === 'object' && additional !== null && hasRules(additional)) return true
  return properties.values().some(hasRules)
}

function nodeOf(schema: Structural, isRoot: boolean): Node | null {
  if (!hasRules(schema)) return null
  const found = typeOfSchema(schema, isRoot)
  const known = new Map<string | null, Node | null>()
  const below = (key: string | null): Node | null => {
    const next = key === null ? schema.items : fieldOf(schema, key)
    if (next === null) return null
    const place = key !== null && !schema.properties.has(key) ? '*' : key
    const remembered = known.get(place)
    if (remembered !== undefined) return remembered
    const node = nodeOf(next, false)
    known.set(place, node)
    return node
  }
  const rules = found === null ? [] : compileRulesOf(schema, found)
  return { schema, type: found?.type ?? { kind: 'dyn' }, rules, below }
}

interface Place {
  readonly value: unknown
  readonly old: unknown
  /** `old` is what this very value was before. */
  readonly isCorrelated: boolean
  readonly path: string
}

const below = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`)

class RuleRun {
  readonly errors: FieldError[] = []
  readonly warnings: string[] = []
  #remaining = OBJECT_COST_MAX
  #isExhausted = false

  visit(node: Node, place: Place): void {
    if (place.value === null || place.value === undefined || this.#isExhausted) return
    this.#runRules(node, place)
    if (Array.isArray(place.value)) this.#visitItems(node, place, place.value)
    else if (isMap(place.value)) this.#visitFields(node, place, place.value)
  }

  #visitItems(node: Node, { old, path }: Place, items: readonly unknown[]): void {
    const next = node.below(null)
    if (next === null) return
    const { listType, listMapKeys } = node.schema
    const oldItems = listType === 'map' && Array.isArray(old) ? (old as unknown[]) : []
    items.forEach((item, index) => {
      const before = oldItems.find(one => hasSameKeys(one, item, listMapKeys))
      this.visit(next, {
        value: item,
        old: before,
        isCorrelated: before !== undefined,
        path: `${path}[${index}]`,
      })
    })
  }

  #visitFields(node: Node, { old, path, isCorrelated }: Place, value: Record<string, unknown>): void {
    const oldFields = isCorrelated && isMap(old) && node.schema.mapType !== 'atomic' ? old : {}
    for (const [key, one] of Object.entries(value)) {
      const next = node.below(key)
      if (next === null) continue
      const before = Object.hasOwn(oldFields, key) ? oldFields[key] : undefined
      const isMapKey = !node.schema.properties.has(key)
      const at = isMapKey ? `${path}[${key}]` : below(path, key)
      this.visit(next, { value: one, old: before, isCorrelated: before !== undefined, path: at })
    }
  }

  #runRules({ rules, schema, type }: Node, place: Place): void {
    if (rules.length === 0) return
    let self: CelValue
    let oldSelf: CelValue | undefined
    try {
      self = fromJson(place.value, type)
      oldSelf = place.isCorrelated && place.old !== null ? fromJson(place.old, type) : undefined
    } catch (error) {
      if (!(error instanceof CelError)) throw error
      this.errors.push(invalid(place.path, schema.type, error.message))
      return
    }
    for (const rule of rules) {
      if (this.#isExhausted) return
      this.#runRule(rule, { self, oldSelf }, schema, place)
    }
  }

  #runRule(
    rule: CompiledRule,
    { self, oldSelf }: { readonly self: CelValue; readonly oldSelf: CelValue | undefined },
    { type }: Structural,
    place: Place,
  ): void {
    const { json, program } = rule
    if (program === null) {
      this.errors.push(invalid(place.path, type, `rule compile error: ${rule.error ?? ''}`))
      return
    }
    if (rule.usesOldSelf && oldSelf === undefined && json.optionalOldSelf !== true) return
    const old =
      json.optionalOldSelf === true ? (oldSelf === undefined ? NONE : new Optional(oldSelf)) : oldSelf
    const bindings = { self, oldSelf: old }
    const outcome = this.#evaluate(program, bindings, place.path, type)
    if (outcome === null || (outcome.ok && outcome.value === true)) return
    const add = (error: FieldError): void => this.#add(rule, place, error)
    if (!outcome.ok) {
      this.#reportFailure(outcome, json, { path: place.path, type, add })
      return
    }
    const detail = this.#messageOf(rule, bindings, place.path, type)
    if (detail !== null) add(problem(appendFieldPath(place.path, json.fieldPath), type, detail, json.reason))
  }

  #add({ usesOldSelf }: CompiledRule, place: Place, error: FieldError): void {
    const isUnchanged = !usesOldSelf && place.isCorrelated && equalJson(place.value, place.old)
    if (isUnchanged) this.warnings.push(`${error.field}: ${error.message}`)
    else this.errors.push(error)
  }

  /** Null when the budget is spent, which is an error already. */
  #evaluate(program: Program, bindings: Record<string, CelValue | undefined>, path: string, type: string) {
    const outcome = program.evaluate(bindings, CALL_COST_MAX)
    if (outcome.cost > this.#remaining) {
      this.#isExhausted = true
      const detail =
        'validation failed due to running out of cost budget, no further validation rules will be run'
      this.errors.push(invalid(path, type, detail))
      return null
    }
    this.#remaining -= outcome.cost
    return outcome
  }

  #reportFailure(
    { error, isOverLimit }: { readonly error: string; readonly isOverLimit: boolean },
    json: CompiledRule['json'],
    { path, type, add }: { readonly path: string; readonly type: string; add(error: FieldError): void },
  ): void {
    const rule = ruleText(json)
    if (isOverLimit) {
      this.#isExhausted = true
      const detail = `'${error}': no further validation rules will be run due to call cost exceeds limit for rule: ${rule}`
      this.errors.push(invalid(path, type, detail))
      return
    }
    if (error.startsWith('no such overload')) {
      const what = 'call arguments did not match a supported operator, function or macro signature for rule'
      add(invalid(path, type, `'${error}': ${what}: ${rule}`))
      return
    }
    add(invalid(path, type, `${error} evaluating rule: ${rule}`))
  }

  #messageOf(
    { json, messageProgram }: CompiledRule,
    bindings: Record<string, CelValue | undefined>,
    path: string,
    type: string,
  ): string | null {
    if (messageProgram === null) return defaultMessage(json)
    const outcome = this.#evaluate(messageProgram, bindings, path, type)
    if (outcome === null) return null
    const text = outcome.ok && typeof outcome.value === 'string' ? outcome.value.trim() : ''
    const isUsable = text !== '' && !text.includes('\n') && Buffer.byteLength(text) <= MESSAGE_MAX
    return isUsable ? text : defaultMessage(json)
  }
}

const ruleText = ({ message = '', rule = '' }: CompiledRule['json']): string =>
  message === '' ? rule.trim() : message.trim()

const defaultMessage = ({ message = '', rule = '' }: CompiledRule['json']): string =>
  message === '' ? `failed rule: ${rule.trim()}` : message.trim()

function problem(path: string, type: string, detail: string, reason = ''): FieldError {
  switch (reason) {
    case 'FieldValueForbidden':
      return forbidden(path, detail)
    case 'FieldValueRequired':
      return required(path, detail)
    case 'FieldValueDuplicate':
      return duplicate(path, type)
    default:
      return invalid(path, type, detail)
  }
}

function hasSameKeys(a: unknown, b: unknown, keys: readonly string[]): boolean {
  return isMap(a) && isMap(b) && keys.every(key => equalJson(a[key], b[key]))
}
