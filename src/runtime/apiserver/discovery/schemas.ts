/** OpenAPI component schemas out of the model's types, in the v3 or the v2 notation; pure. */
import type { FieldInfo, Model, ResourceInfo, TypeInfo, TypeRef } from '../../../kube/model-types.ts'

/** Texts of a type: its own and its fields'. */
export type Descriptions = Readonly<Record<string, readonly [string, Readonly<Record<string, string>>]>>

export interface SchemaNotation {
  /** `#/components/schemas/` or `#/definitions/`. */
  readonly refPrefix: string
  /** Version 3 wraps a reference with siblings in allOf and may say oneOf. */
  readonly isV3: boolean
}

export const V3: SchemaNotation = { refPrefix: '#/components/schemas/', isV3: true }
export const V2: SchemaNotation = { refPrefix: '#/definitions/', isV3: false }

const NO_TEXT: readonly [string, Readonly<Record<string, string>>] = ['', {}]

type Schema = Record<string, unknown>

/** kubectl explain takes a schema that says nothing at all for one that is missing. */
const ANYTHING = 'Any JSON value.'

/** Schemas of types that are not of the model, by type name. */
export type CustomSchemas = ReadonlyMap<
  string,
  (form: { readonly isV3: boolean; readonly metadata: Schema }) => Schema
>

const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'
const LIST_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta'

export class SchemaWriter {
  readonly #model: Model
  readonly #descriptions: Descriptions
  readonly #notation: SchemaNotation
  readonly #custom: CustomSchemas
  readonly #kinds: ReadonlyMap<string, readonly ResourceInfo[]>
  readonly schemas: Record<string, Schema> = {}

  constructor(
    model: Model,
    descriptions: Descriptions,
    notation: SchemaNotation,
    custom: CustomSchemas = new Map(),
  ) {
    this.#model = model
    this.#custom = custom
    this.#descriptions = descriptions
    this.#notation = notation
    this.#kinds = kindsByType(model)
  }

  /** A reference to the type, whose schema and those it needs are added. */
  ref(typeName: string): Schema {
    this.#add(typeName)
    return { $ref: this.#notation.refPrefix + typeName }
  }

  /** A reference to the list of a resource. */
  listRef(resource: ResourceInfo): Schema {
    const name = `${resource.typeName}List`
    if (this.schemas[name] === undefined) {
      this.schemas[name] = {}
      this.schemas[name] = this.#listSchema(resource)
    }
    return { $ref: this.#notation.refPrefix + name }
  }

  #add(typeName: string): void {
    if (this.schemas[typeName] !== undefined) return
    const type = this.#model.types.get(typeName)
    this.schemas[typeName] = {}
    const custom = this.#custom.get(typeName)
    if (custom !== undefined) {
      const metadata = this.ref(OBJECT_META)
      this.schemas[typeName] = custom({ isV3: this.#notation.isV3, metadata })
    } else this.schemas[typeName] = type === undefined ? { type: 'object' } : this.#typeSchema(type)
  }

  #typeSchema(type: TypeInfo): Schema {
    const [description, texts] = this.#descriptions[type.name] ?? NO_TEXT
    const properties: Record<string, Schema> = {}
    for (const field of type.fields.values()) {
      properties[field.name] = this.#fieldSchema(field, texts[field.name] ?? this.#textOf(field.type))
    }
    const required = [...type.fields.values()].filter(field => field.required).map(field => field.name)
    const kinds = this.#kinds.get(type.name)
    return {
      ...(description === '' ? {} : { description }),
      type: 'object',
      ...(required.length > 0 ? { required } : {}),
      ...(type.fields.size > 0 ? { properties } : {}),
      ...(kinds === undefined ? {} : { 'x-kubernetes-group-version-kind': kinds.map(gvk) }),
    }
  }

  /** A field without a text of its own is described by its type. */
  #textOf(type: TypeRef): string {
    return type.kind === 'object' ? (this.#descriptions[type.name] ?? NO_TEXT)[0] : ''
  }

  #fieldSchema(field: FieldInfo, description: string): Schema {
    const defaultValue = field.defaultUnpublished ? undefined : (field.publishedDefault ?? field.defaultValue)
    const extensions: Schema = {
      ...(description === '' ? {} : { description }),
      ...(defaultValue === undefined ? {} : { default: defaultValue }),
      ...(field.enumValues === undefined ? {} : { enum: field.enumValues }),
      ...(field.listType === undefined ? {} : { 'x-kubernetes-list-type': field.listType }),
      ...(field.listMapKeys === undefined ? {} : { 'x-kubernetes-list-map-keys': field.listMapKeys }),
      ...(field.mapType === undefined ? {} : { 'x-kubernetes-map-type': field.mapType }),
      ...(field.patchMergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': field.patchMergeKey }),
      ...(field.patchStrategy === undefined
        ? {}
        : { 'x-kubernetes-patch-strategy': field.patchStrategy.join(',') }),
    }
    const value = this.#valueSchema(field.type)
    if (value['$ref'] === undefined || Object.keys(extensions).length === 0)
      return { ...value, ...extensions }
    return this.#notation.isV3 ? { ...extensions, allOf: [value] } : { ...extensions, ...value }
  }

  #valueSchema(type: TypeRef): Schema {
    switch (type.kind) {
      case 'string':
        return { type: 'string' }
      case 'bytes':
        return { type: 'string', format: 'byte' }
      case 'integer':
        return { type: 'integer', format: `int${type.bits}` }
      case 'number':
        return { type: 'number', format: 'double' }
      case 'boolean':
        return { type: 'boolean' }
      case 'time':
      case 'micro-time':
        return { type: 'string', format: 'date-time' }
      case 'quantity':
        return this.#either('quantity', { type: 'string' }, { type: 'number' })
      case 'int-or-string':
        return this.#either('int-or-string', { type: 'integer' }, { type: 'string' })
      case 'any':
        return { description: ANYTHING }
      case 'array':
        return { type: 'array', items: this.#valueSchema(type.items) }
      case 'map':
        return { type: 'object', additionalProperties: this.#valueSchema(type.values) }
      case 'object':
        return this.ref(type.name)
    }
  }

  #either(format: string, ...options: readonly Schema[]): Schema {
    if (!this.#notation.isV3) return { type: 'string', ...(format === 'quantity' ? {} : { format }) }
    return format === 'quantity' ? { oneOf: options } : { format, oneOf: options }
  }

  #listSchema(resource: ResourceInfo): Schema {
    return {
      description: `${resource.listKind} is a list of ${resource.kind} objects.`,
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        metadata: this.ref(LIST_META),
        items: { type: 'array', items: this.ref(resource.typeName) },
      },
      'x-kubernetes-group-version-kind': [gvk({ ...resource, kind: resource.listKind })],
    }
  }
}

function kindsByType(model: Model): ReadonlyMap<string, readonly ResourceInfo[]> {
  const kinds = new Map<string, ResourceInfo[]>()
  for (const resource of model.resources) {
    const known = kinds.get(resource.typeName) ?? []
    if (!known.some(one => one.group === resource.group && one.version === resource.version))
      known.push(resource)
    kinds.set(resource.typeName, known)
  }
  return kinds
}

export const gvk = ({ group, version, kind }: { group: string; version: string; kind: string }): Schema => ({
  group,
  version,
  kind,
})
