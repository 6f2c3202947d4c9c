/** Values of an add-on's parameters: what was given on a command line or in the cluster, checked and completed. Pure. */
import { Mk8sError } from '../../base/errors.ts'
import { nearest } from '../../base/nearest.ts'
import { parseQuantity } from '../../kube/quantity.ts'
import type { ParameterValue, ParameterValues } from './addon-object.ts'
import type { AddonDefinition, Parameter } from './definition.ts'

const VALUE_LENGTH_MAX = 8_192
const LIST_ITEMS_MAX = 256

/** Null: the value may be used as it is. */
export function problemOf(parameter: Parameter, value: unknown): string | null {
  switch (parameter.type) {
    case 'boolean':
      return typeof value === 'boolean' ? null : `${show(value)} has to be true or false`
    case 'integer':
      return integerProblem(parameter, value)
    case 'list':
      return listProblem(parameter, value)
    case 'enum':
      return parameter.values?.includes(value as string)
        ? null
        : `${show(value)} has to be one of ${(parameter.values ?? []).join(', ')}`
    case 'quantity':
      return isQuantity(value) ? null : `${show(value)} has to be a quantity such as 20Gi`
    case 'string':
      return textProblem(parameter, value)
  }
}

const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing'

function integerProblem({ minimum, maximum }: Parameter, value: unknown): string | null {
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    return `${show(value)} has to be a whole number`
  if (minimum !== undefined && value < minimum) return `${value} has to be at least ${minimum}`
  if (maximum !== undefined && value > maximum) return `${value} has to be at most ${maximum}`
  return null
}

function listProblem(parameter: Parameter, value: unknown): string | null {
  if (!Array.isArray(value)) return `${show(value)} has to be a list`
  if (value.length > LIST_ITEMS_MAX) return `has more than ${LIST_ITEMS_MAX} items`
  const problems = value.map(item => textProblem(parameter, item))
  return problems.find(problem => problem !== null) ?? null
}

function textProblem({ pattern }: Parameter, value: unknown): string | null {
  if (typeof value !== 'string') return `${show(value)} has to be a text`
  if (value.length > VALUE_LENGTH_MAX) return `is longer than ${VALUE_LENGTH_MAX} characters`
  if (pattern === undefined || value === '' || new RegExp(`^(?:${pattern})$`, 'v').test(value)) return null
  return `${show(value)} does not match ${pattern}`
}

function isQuantity(value: unknown): boolean {
  try {
    return typeof value === 'string' && parseQuantity(value).nano >= 0n
  } catch {
    return false
  }
}

/** A word of a command line as a value of this type; what does not fit stays a text, and is refused later. */
export function readWord({ type }: Parameter, word: string): ParameterValue {
  if (type === 'boolean' && (word === 'true' || word === 'false')) return word === 'true'
  if (type === 'integer' && /^-?\d{1,15}$/.test(word)) return Number(word)
  if (type === 'list')
    return word
      .split(',')
      .map(item => item.trim())
      .filter(item => item !== '')
  return word
}

/**
 * What stands behind the colon in `enable NAME:ARGUMENT`: `key=value,key=value`, or the value of the parameter that
 * the definition says.
 */
export function readArgument(definition: AddonDefinition, argument: string): ParameterValues {
  if (argument === '') return {}
  const keys = argument.split(/[,;]/).map(piece => /^([a-z][-a-z0-9]*)=/.exec(piece)?.[1])
  const isPlain = keys[0] === undefined
  if (isPlain && definition.argument !== '')
    return readWords(definition, [`${definition.argument}=${argument}`])
  if (isPlain) {
    const names = definition.parameters.map(({ name }) => `${name}=…`)
    throw new Mk8sError('usage', `${definition.name} does not take the argument ${argument}`, {
      hint: names.length === 0 ? `mk8s enable ${definition.name}` : `it has ${names.join(', ')}`,
    })
  }
  // A piece without a key belongs to the list before it.
  const words: string[] = []
  for (const [at, piece] of argument.split(/[,;]/).entries()) {
    if (keys[at] !== undefined) words.push(piece)
    else words.push(`${words.pop()},${piece}`)
  }
  return readWords(definition, words)
}

/** `key=value` each. */
export function readWords(definition: AddonDefinition, words: readonly string[]): ParameterValues {
  const entries = words.map(word => {
    const at = word.indexOf('=')
    if (at < 1) throw new Mk8sError('usage', `${word} is no parameter`, { hint: 'give it as NAME=VALUE' })
    const key = word.slice(0, at)
    const parameter = mustFind(definition, key)
    return [key, readWord(parameter, word.slice(at + 1))] as const
  })
  return Object.fromEntries(entries)
}

function mustFind(definition: AddonDefinition, key: string): Parameter {
  const found = definition.parameters.find(({ name }) => name === key)
  if (found === undefined) throw invalid(definition, [unknownParameter(definition, key)])
  return found
}

function unknownParameter({ parameters }: AddonDefinition, key: string): string {
  const names = parameters.map(({ name }) => name)
  const near = nearest(key, names)
  if (near !== undefined) return `${key}: there is no such parameter; ${near} is meant?`
  return `${key}: there is no such parameter; there ${names.length === 0 ? 'is none' : `is ${names.join(', ')}`}`
}

function invalid({ name }: AddonDefinition, problems: readonly string[]): Mk8sError {
  return new Mk8sError('config/invalid', `the parameters of ${name} cannot be used`, {
    why: problems.join('\n'),
    hint: `mk8s addons info ${name}`,
  })
}

/** Every parameter with its value; throws `config/invalid` with everything that is wrong. */
export function completeParameters(definition: AddonDefinition, given: ParameterValues): ParameterValues {
  const names = definition.parameters.map(({ name }) => name)
  const problems = Object.keys(given)
    .filter(key => !names.includes(key))
    .map(key => unknownParameter(definition, key))
  const values: Record<string, ParameterValue> = {}
  for (const parameter of definition.parameters) {
    const value = Object.hasOwn(given, parameter.name) ? given[parameter.name] : parameter.default
    const problem = value === undefined ? 'has to be given, it has no default' : problemOf(parameter, value)
    if (problem !== null) problems.push(`${parameter.name}: ${problem}`)
    else if (value !== undefined) values[parameter.name] = value
  }
  if (problems.length > 0) throw invalid(definition, problems)
  return values
}
