/** Values of an add-on's parameters: what was given on a command line or in the cluster, checked and completed. Pure. */

import { Mk8sError } from '../../base/errors.ts'
import { nearest } from '../../base/nearest.ts'
import type { ParameterValue, ParameterValues } from './addon-object.ts'
import type { AddonDefinition } from './definition.ts'
import type { Parameter } from './parameter.ts'
import { problemOf } from './parameter.ts'

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
  if (near !== undefined) return `${key}: there is no such parameter; did you mean ${near}?`
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
