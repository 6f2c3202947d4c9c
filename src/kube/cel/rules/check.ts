/** What must hold of rules when a CustomResourceDefinition is written. */
import { type FieldError, forbidden, invalid, notSupported, required } from '../../field-error.ts'
import type { Structural } from '../../structural-schema/structural.ts'
import { isFieldPath } from './field-path.ts'
import { type CompiledRule, compileRulesOf, type RuleJson, rulesOf } from './rule.ts'
import { typeOfSchema } from './schema-type.ts'

const RULE_COST_MAX = 10_000_000
const TOTAL_COST_MAX = 100_000_000
const EXPENSIVE_SHOWN_MAX = 10
const COST_MAX = 2 ** 64
const REASONS = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired']

interface Place {
  readonly path: string
  /** How many values of this kind an object may have, by the sizes of the lists and maps around. */
  readonly count: number
  /** Where the old value cannot be found any more; null while it can. */
  readonly uncorrelated: string | null
  readonly isRoot: boolean
}

/** `path` leads to the schema: `spec.validation.openAPIV3Schema`. */
export function checkRules(schema: Structural, path: string): readonly FieldError[] {
  const checker = new RuleChecker()
  checker.visit(schema, { path, count: 1, uncorrelated: null, isRoot: true })
  return [...checker.errors, ...checker.totalProblems(path)]
}

class RuleChecker {
  readonly errors: FieldError[] = []
  readonly #costs: { readonly path: string; readonly cost: number }[] = []

  visit(schema: Structural, place: Place): void {
    const found = typeOfSchema(schema, place.isRoot)
    this.#checkNode(schema, place, found === null ? [] : compileRulesOf(schema, found))
    const { path, uncorrelated } = place
    const most =
      found !== null && 'maxElements' in found.type ? (found.type.maxElements ?? COST_MAX) : COST_MAX
    const many = Math.min(COST_MAX, place.count * most)
    const isAtomic = schema.mapType === 'atomic' ? path : null
    for (const [name, below] of schema.properties) {
      const at = `${path}.properties[${name}]`
      this.visit(below, { ...place, path: at, uncorrelated: uncorrelated ?? isAtomic, isRoot: false })
    }
    if (typeof schema.additional === 'object' && schema.additional !== null) {
      const at = `${path}.additionalProperties`
      this.visit(schema.additional, {
        path: at,
        count: many,
        uncorrelated: uncorrelated ?? isAtomic,
        isRoot: false,
      })
    }
    if (schema.items !== null) {
      const lost = schema.listType === 'map' ? null : path
      this.visit(schema.items, {
        path: `${path}.items`,
        count: many,
        uncorrelated: uncorrelated ?? lost,
        isRoot: false,
      })
    }
  }

  #checkNode(schema: Structural, place: Place, compiled: readonly CompiledRule[]): void {
    rulesOf(schema).forEach((json, index) => {
      const at = `${place.path}.x-kubernetes-validations[${index}]`
      this.errors.push(...textProblems(json, at, schema))
      const rule = compiled[index]
      if (rule !== undefined) this.#checkCompiled(rule, at, place)
    })
  }

  #checkCompiled(rule: CompiledRule, at: string, { count, uncorrelated }: Place): void {
    const { json, program, messageProgram, error, messageError } = rule
    if (program !== null) this.#observe(`${at}.rule`, program.estimate().max * count, 'estimated rule cost')
    if (rule.isMissing) this.errors.push(required(`${at}.rule`, error ?? ''))
    else if (error !== null) this.errors.push(invalid(`${at}.rule`, json, error))
    if (messageError !== null) this.errors.push(invalid(`${at}.messageExpression`, json, messageError))
    if (messageProgram !== null) {
      const cost = messageProgram.estimate().max * count
      this.#observe(`${at}.messageExpression`, cost, 'estimated messageExpression cost')
    }
    if (rule.usesOldSelf && uncorrelated !== null) {
      const detail = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${uncorrelated}`
      this.errors.push(invalid(`${at}.rule`, json.rule ?? '', detail))
    }
    if (json.optionalOldSelf === true && !rule.usesOldSelf && error === null) {
      const detail = 'may not be set to true if oldSelf is not used in rule'
      this.errors.push(invalid(`${at}.optionalOldSelf`, true, detail))
    }
  }

  #observe(path: string, cost: number, name: string): void {
    this.#costs.push({ path, cost })
    if (cost > RULE_COST_MAX) this.errors.push(forbidden(path, excess(name, cost, RULE_COST_MAX)))
  }

  totalProblems(path: string): readonly FieldError[] {
    const total = this.#costs.reduce((sum, { cost }) => sum + cost, 0)
    if (total <= TOTAL_COST_MAX) return []
    const dearest = this.#costs
      .filter(({ cost }) => cost > TOTAL_COST_MAX / EXPENSIVE_SHOWN_MAX)
      .sort((a, b) => b.cost - a.cost)
      .slice(0, EXPENSIVE_SHOWN_MAX)
    const contributed =
      'contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema'
    const name = 'x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema'
    return [
      ...dearest.map(one => forbidden(one.path, contributed)),
      forbidden(path, excess(name, total, TOTAL_COST_MAX)),
    ]
  }
}

const FAR = 100
const NEAR = 1.5

function excess(name: string, cost: number, limit: number): string {
  const factor = cost / limit
  const shown = factor > FAR ? 'more than 100x' : `${factor.toFixed(factor < NEAR ? 6 : 1)}x`
  return (
    `${name} exceeds budget by factor of ${shown} (try simplifying the rule, or adding maxItems, maxProperties, ` +
    'and maxLength where arrays, maps, and strings are declared)'
  )
}

function textProblems(json: RuleJson, at: string, schema: Structural): readonly FieldError[] {
  const { rule = '', message = '', messageExpression = '', reason, fieldPath } = json
  const errors: FieldError[] = []
  if (message !== '' && message.trim() === '') {
    errors.push(invalid(`${at}.message`, message, 'message must be non-empty if specified'))
  } else if (message.trim().includes('\n')) {
    errors.push(invalid(`${at}.message`, message, 'message must not contain line breaks'))
  } else if (rule.trim().includes('\n') && message.trim() === '' && messageExpression === '') {
    errors.push(required(`${at}.message`, 'message must be specified if rule contains line breaks'))
  }
  if (messageExpression !== '' && messageExpression.trim() === '') {
    errors.push(required(`${at}.messageExpression`, 'must be non-empty if specified'))
  }
  if (reason !== undefined && reason !== '' && !REASONS.includes(reason)) {
    errors.push(notSupported(`${at}.reason`, reason, REASONS))
  }
  if (fieldPath !== undefined && fieldPath !== '' && !isFieldPath(fieldPath, schema)) {
    errors.push(invalid(`${at}.fieldPath`, fieldPath, 'fieldPath must be a valid path'))
  }
  return errors
}
