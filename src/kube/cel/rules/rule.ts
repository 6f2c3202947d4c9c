/** One rule of `x-kubernetes-validations`, compiled. */
import type { Structural } from '../../structural-schema/structural.ts'
import { compileExpression, type Program } from '../cel.ts'
import { type CelEnv, TYPE_NAMES } from '../env.ts'
import { kubernetesFunctions } from '../library/library.ts'
import { type CelType, optionalOf } from '../types.ts'
import type { SchemaType } from './schema-type.ts'

/** As it stands in the schema. */
export interface RuleJson {
  readonly rule?: string
  readonly message?: string
  readonly messageExpression?: string
  readonly reason?: string
  readonly fieldPath?: string
  readonly optionalOldSelf?: boolean
}

export interface CompiledRule {
  readonly json: RuleJson
  readonly program: Program | null
  readonly messageProgram: Program | null
  readonly usesOldSelf: boolean
  /** The rule was not given at all. */
  readonly isMissing: boolean
  readonly error: string | null
  readonly messageError: string | null
}

export function rulesOf(schema: Structural): readonly RuleJson[] {
  const rules = schema.json['x-kubernetes-validations']
  return Array.isArray(rules) ? (rules as RuleJson[]) : []
}

export function compileRulesOf(schema: Structural, { type }: SchemaType): readonly CompiledRule[] {
  return rulesOf(schema).map(json => compileRule(json, type))
}

function envFor(self: CelType, isOldOptional: boolean): CelEnv {
  return {
    variables: new Map([
      ['self', self],
      ['oldSelf', isOldOptional ? optionalOf(self) : self],
    ]),
    functions: kubernetesFunctions,
    typeNames: TYPE_NAMES,
    isHomogeneous: true,
  }
}

const FAILED = {
  program: null,
  messageProgram: null,
  usesOldSelf: false,
  isMissing: false,
  messageError: null,
}

function compileRule(json: RuleJson, self: CelType): CompiledRule {
  const source = json.rule ?? ''
  if (source.trim() === '') return { ...FAILED, json, isMissing: true, error: 'rule is not specified' }
  const env = envFor(self, json.optionalOldSelf === true)
  const compiled = compileExpression(source, env)
  if (!compiled.ok) return { ...FAILED, json, error: `compilation failed: ${compiled.message}` }
  const { program } = compiled
  if (program.type.kind !== 'bool') {
    return { ...FAILED, json, error: 'cel expression must evaluate to a bool' }
  }
  const usesOldSelf = program.refersTo('oldSelf')
  return { ...FAILED, ...compileMessage(json, env), json, program, usesOldSelf, error: null }
}

function compileMessage(
  { messageExpression }: RuleJson,
  env: CelEnv,
): Pick<CompiledRule, 'messageProgram' | 'messageError'> {
  if (messageExpression === undefined || messageExpression === '') {
    return { messageProgram: null, messageError: null }
  }
  const compiled = compileExpression(messageExpression, env)
  if (!compiled.ok) {
    return { messageProgram: null, messageError: `messageExpression compilation failed: ${compiled.message}` }
  }
  if (compiled.program.type.kind !== 'string') {
    return { messageProgram: null, messageError: 'messageExpression must evaluate to a string' }
  }
  return { messageProgram: compiled.program, messageError: null }
}
