/** Objects of the model's types with random fields, all of them valid in type. */
import type { FieldInfo, Model, TypeRef } from '../../src/kube/model-types.ts'

type Random = () => number
type Fields = Record<string, unknown>

const DEPTH_MAX = 7
const QUANTITIES = ['1', '250m', '64Mi', '1500', '2Gi', '0']
const TEXTS = ['a', 'web-1', 'Größe', '名前', 'x'.repeat(45), 'y'.repeat(200), '🙂 emoji']
/** What one encoding or another could take for something else. */
const ODD_TEXTS = [
  ...['yes', 'n', 'null', '~', '0644', '1e3', '.inf', '1_000', '2026-01-01', '12:30:00', '<<', '=', '!x'],
  ...[
    ' spaced ',
    'two\nlines\n',
    '\n- a: b #c',
    'a: b',
    '#',
    '- ',
    '"',
    "'",
    '\\',
    '\t',
    '\r\n',
    '%',
    '@',
    '`',
  ],
  ...['\u0000\u0007', '\u2028\u2029', '\ufeff', '\u00a0', '{}', '[]', '&a', '*a', '|', '>', '? x'],
]
const ZEROS: Partial<Record<TypeRef['kind'], unknown>> = {
  ...{ string: '', bytes: '', integer: 0, number: 0, boolean: false, quantity: '0', 'int-or-string': 0 },
}
/** Beginnings of keys. */
const KEYS = ['k', 'yes: ', '', '0', 'a/b.c', '<<', '- two words', '1e', '~']

/** A generator of numbers from 0 to 1 that always gives the same ones for a seed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface RandomOptions {
  /** Names fields to leave out. */
  readonly skips?: (typeName: string, field: string) => boolean
  /** Empty texts, zeros and false among the values. */
  readonly zeros?: boolean
}

export function randomObject(
  model: Model,
  typeName: string,
  random: Random,
  { skips = () => false, zeros = false }: RandomOptions = {},
): Fields {
  const integer = (max: number) => Math.floor(random() * max)
  const pick = <T>(list: readonly T[]): T => list[integer(list.length)] as T

  const object = (name: string, depth: number): Fields => {
    const result: Fields = {}
    for (const field of model.types.get(name)?.fields.values() ?? []) {
      if (field.name === 'apiVersion' || field.name === 'kind' || skips(name, field.name)) continue
      const isWanted = field.required || random() < (depth < 2 ? 0.8 : 0.3)
      if (!isWanted || (depth >= DEPTH_MAX && !field.required)) continue
      result[field.name] = fieldValue(field, name, depth)
    }
    return result
  }

  const fieldValue = (field: FieldInfo, owner: string, depth: number): unknown => {
    const isSchema = owner.endsWith('.JSONSchemaProps')
    if (isSchema && field.type.kind === 'any') return pick<unknown>([{ type: 'string' }, { nullable: true }])
    if (isSchema && field.name === 'dependencies')
      return { other: pick<unknown>([{ type: 'string' }, ['a']]) }
    // A type without fields is written as any object.
    if (owner.endsWith('.CustomResourceSubresources') && field.type.kind === 'any') return {}
    return value(field.type, depth)
  }

  const value = (type: TypeRef, depth: number): unknown => {
    const zero = ZEROS[type.kind]
    if (zeros && zero !== undefined && random() < 0.2) return zero
    switch (type.kind) {
      case 'string':
        return random() < 0.3 ? pick(ODD_TEXTS) : pick(TEXTS)
      case 'bytes':
        return Buffer.from(pick(TEXTS)).toString('base64')
      case 'integer':
        return pick([1, 7, 200, 65_536, 2 ** 31 - 1, -5, ...(type.bits === 64 ? [2 ** 40, -(2 ** 35)] : [])])
      case 'number':
        return pick([0.5, -3.25, 1e10])
      case 'boolean':
        return true
      case 'time':
        return pick(['2026-03-04T05:06:07Z', '1969-12-31T23:59:59Z'])
      case 'micro-time':
        return pick([
          '2026-03-04T05:06:07.000001Z',
          '2026-03-04T05:06:07.123456Z',
          '2026-03-04T05:06:07.999999Z',
        ])
      case 'quantity':
        return pick(QUANTITIES)
      case 'int-or-string':
        return pick([80, '50%', 'http'])
      case 'array':
        return Array.from({ length: 1 + integer(2) }, () => value(type.items, depth + 1))
      case 'map':
        return Object.fromEntries(
          Array.from({ length: 1 + integer(3) }, (_, index) => [
            `${pick(KEYS)}${9 - index}`,
            value(type.values, depth + 1),
          ]),
        )
      case 'object':
        return object(type.name, depth + 1)
      default:
        return { 'f:name': {}, list: [1, 'two', null] }
    }
  }
  return object(typeName, 0)
}
