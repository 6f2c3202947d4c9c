/** One parameter of an add-on, as its definition declares it, and what is wrong with a value for it. Pure. */

import { parseQuantity } from '../../kube/quantity.ts'
import type { ParameterValue } from './addon-object.ts'

export const parameterTypes = ['string', 'integer', 'boolean', 'quantity', 'list', 'enum'] as const

export type ParameterType = (typeof parameterTypes)[number]

export interface Parameter {
  readonly name: string
  readonly type: ParameterType
  readonly description: string
  /** Absent: it has to be given. */
  readonly default?: ParameterValue
  /** Of an enum. */
  readonly values?: readonly string[]
  /** What a string, or each item of a list, has to match as a whole. */
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
}

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
