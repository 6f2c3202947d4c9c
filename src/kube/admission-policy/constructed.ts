/** What the expressions of mutating policies construct: `Object{…}`, `Object.spec{…}` and `JSONPatch{…}`. */

import { toJson } from '../cel/json-value.ts'
import { DYN, type ObjectType, objectOf, STRING } from '../cel/types.ts'
import { CelError, type CelValue, isList, MapValue, StructValue } from '../cel/values.ts'

const ROOT = 'Object'
const JSON_PATCH = objectOf('JSONPatch', { op: STRING, path: STRING, from: STRING, value: DYN })

export function structType(name: string): ObjectType | null {
  if (name === 'JSONPatch') return JSON_PATCH
  if (name !== ROOT && !name.startsWith(`${ROOT}.`)) return null
  return { kind: 'object', name, fields: new Map(), open: true }
}

class Constructed extends StructValue {
  readonly type: ObjectType
  readonly #fields: ReadonlyMap<string, CelValue>

  constructor(type: ObjectType, fields: ReadonlyMap<string, CelValue>) {
    super()
    this.type = type
    this.#fields = fields
  }

  get(field: string): CelValue | undefined {
    return this.#fields.get(field)
  }

  fields(): readonly string[] {
    return [...this.#fields.keys()]
  }
}

export const constructStruct = (type: ObjectType, fields: ReadonlyMap<string, CelValue>): StructValue =>
  new Constructed(type, fields)

/** The configuration that an `Object{…}` stands for. Throws CelError. */
export function configurationOf(value: CelValue): Record<string, unknown> {
  if (!(value instanceof Constructed) || value.type.name !== ROOT) {
    throw new CelError('must evaluate to Object')
  }
  checkNames(value, ROOT)
  return toJson(value) as Record<string, unknown>
}

/** The types must be named after the fields that they stand in. */
function checkNames(value: CelValue, path: string): void {
  if (value instanceof Constructed) {
    const { name } = value.type
    if (name !== path) {
      throw new CelError(
        `unexpected type name "${name}", expected "${path}", which matches field name path from root Object type`,
      )
    }
    for (const field of value.fields()) checkNames(value.get(field) as CelValue, `${path}.${field}`)
  } else if (isList(value)) {
    for (const item of value) checkNames(item, path)
  } else if (value instanceof MapValue) {
    for (const [, item] of value.entries()) checkNames(item, path)
  }
}

/** The operations of a list of `JSONPatch{…}`. Throws CelError. */
export function operationsOf(value: CelValue): Record<string, unknown>[] {
  if (!isList(value)) throw new CelError('type mismatch: JSONPatchType.expression should evaluate to array')
  return value.map((item, index) => {
    if (!(item instanceof Constructed) || item.type.name !== 'JSONPatch') {
      throw new CelError(
        `type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch (item ${index})`,
      )
    }
    return toJson(item) as Record<string, unknown>
  })
}
