/** How messages are put together, made out of the table of `scripts/generate-protobuf.ts` for reader and writer. */

/** By type name and field number: JSON name, type code and marks; see `scripts/generate-protobuf.ts`. */
export type ProtobufTable = Readonly<
  Record<string, Readonly<Record<string, readonly [name: string, type: string, marks: string]>>>
>

/** What a value is on the wire; `message` for everything that is put together as the table says. */
export type ValueForm =
  | 'string'
  | 'bytes'
  | 'bool'
  | 'int'
  | 'double'
  | 'quantity'
  | 'int-or-string'
  | 'time'
  | 'micro-time'
  | 'json'
  | 'strings'
  | 'schema-or-bool'
  | 'schema-or-array'
  | 'schema-or-strings'
  | 'message'

export interface FieldForm {
  readonly number: number
  readonly name: string
  readonly repeated: 'no' | 'list' | 'map'
  readonly value: ValueForm
  /** Of messages and of the schema forms, which have it inside. */
  readonly typeName: string
  /** Written only when it is set. */
  readonly isPointer: boolean
  /** Not in JSON when it is empty. */
  readonly isOmitted: boolean
  /** The message's fields are the parent's in JSON. */
  readonly isInline: boolean
}

export interface MessageForm {
  /** By number, ascending. */
  readonly fields: readonly FieldForm[]
  readonly byNumber: ReadonlyMap<number, FieldForm>
}

export type Forms = (typeName: string) => MessageForm | undefined

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1'
const DEFINITIONS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1'
export const SCHEMA = `${DEFINITIONS}.JSONSchemaProps`

const special = new Map<string, ValueForm>([
  ['io.k8s.apimachinery.pkg.api.resource.Quantity', 'quantity'],
  ['io.k8s.apimachinery.pkg.util.intstr.IntOrString', 'int-or-string'],
  ['io.k8s.apimachinery.pkg.runtime.RawExtension', 'json'],
  [`${META}.Time`, 'time'],
  [`${META}.MicroTime`, 'micro-time'],
  [`${META}.FieldsV1`, 'json'],
  [`${DEFINITIONS}.JSON`, 'json'],
  [`${DEFINITIONS}.JSONSchemaPropsOrBool`, 'schema-or-bool'],
  [`${DEFINITIONS}.JSONSchemaPropsOrArray`, 'schema-or-array'],
  [`${DEFINITIONS}.JSONSchemaPropsOrStringArray`, 'schema-or-strings'],
])
const scalars = new Set<string>(['string', 'bytes', 'bool', 'int', 'double'])

/** The forms of the table's messages, each made when it is first asked for. */
export function createForms(table: ProtobufTable): Forms {
  const known = new Map<string, MessageForm>()
  return typeName => {
    const found = known.get(typeName)
    if (found !== undefined) return found
    const entry = table[typeName]
    if (entry === undefined) return undefined
    const fields = Object.entries(entry)
      .map(([number, field]) => fieldForm(table, Number(number), field))
      .sort((a, b) => a.number - b.number)
    const form = { fields, byNumber: new Map(fields.map(field => [field.number, field])) }
    known.set(typeName, form)
    return form
  }
}

function fieldForm(
  table: ProtobufTable,
  number: number,
  [name, code, marks]: readonly [string, string, string],
): FieldForm {
  const start = code.slice(0, 2)
  const repeated = start === '[]' ? 'list' : start === '{}' ? 'map' : 'no'
  const typeName = repeated === 'no' ? code : code.slice(2)
  return {
    number,
    name,
    repeated,
    value: valueForm(table, typeName),
    typeName,
    isPointer: marks.includes('p'),
    isOmitted: marks.includes('o'),
    isInline: marks.includes('i'),
  }
}

function valueForm(table: ProtobufTable, typeName: string): ValueForm {
  if (scalars.has(typeName)) return typeName as ValueForm
  const form = special.get(typeName)
  if (form !== undefined) return form
  // `ExtraValue` and `Verbs`: a message around a list of strings, which JSON writes as the list.
  const fields = table[typeName] ?? {}
  const isList = fields[1]?.[0] === 'items' && fields[1][1] === '[]string' && fields[2] === undefined
  return isList ? 'strings' : 'message'
}
