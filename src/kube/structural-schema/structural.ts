/**
 * A structural schema: the OpenAPI v3 schema of a custom resource's version, read once into a tree of what pruning,
 * defaulting, validation and server-side apply ask of it. The JSON itself stays at each node for what is asked seldom.
 */
import { isMap } from '../json-map.ts'

/** A JSONSchemaProps as it stands in a CustomResourceDefinition. */
export type SchemaJson = Readonly<Record<string, unknown>>

export interface Structural {
  readonly json: SchemaJson
  /** Empty when the schema does not say one (int-or-string, unknown fields preserved). */
  readonly type: string
  readonly properties: ReadonlyMap<string, Structural>
  readonly items: Structural | null
  /** The schema of other keys; true: any, false: none, null: the schema says nothing of them. */
  readonly additional: Structural | boolean | null
  /** Undefined when there is none. Never changed: copy it. */
  readonly defaultValue: unknown
  readonly nullable: boolean
  readonly preservesUnknown: boolean
  readonly isEmbedded: boolean
  readonly isIntOrString: boolean
  readonly listType: string
  readonly listMapKeys: readonly string[]
  readonly mapType: string
  /** True when this node or one below it has a default. */
  readonly hasDefaults: boolean
}

/** Reads a schema; what has a wrong shape is as if it were not there. */
export function parseStructural(value: unknown): Structural {
  const json = isMap(value) ? value : {}
  const properties = new Map<string, Structural>()
  if (isMap(json['properties'])) {
    for (const [name, schema] of Object.entries(json['properties'])) {
      properties.set(name, parseStructural(schema))
    }
  }
  const items = isMap(json['items']) ? parseStructural(json['items']) : null
  const additional = additionalOf(json['additionalProperties'])
  const { default: defaultValue } = json
  const below = [...properties.values(), items, typeof additional === 'object' ? additional : null]
  return {
    json,
    type: textOf(json['type']),
    properties,
    items,
    additional,
    defaultValue: defaultValue === null ? undefined : defaultValue,
    nullable: json['nullable'] === true,
    preservesUnknown: json['x-kubernetes-preserve-unknown-fields'] === true,
    isEmbedded: json['x-kubernetes-embedded-resource'] === true,
    isIntOrString: json['x-kubernetes-int-or-string'] === true,
    listType: textOf(json['x-kubernetes-list-type']),
    listMapKeys: textsOf(json['x-kubernetes-list-map-keys']),
    mapType: textOf(json['x-kubernetes-map-type']),
    hasDefaults: (defaultValue ?? null) !== null || below.some(one => one?.hasDefaults === true),
  }
}

function additionalOf(value: unknown): Structural | boolean | null {
  if (typeof value === 'boolean') return value
  return isMap(value) ? parseStructural(value) : null
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const textsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter(one => typeof one === 'string') : []

/** The schema of a field of an object; null when the schema does not know it. */
export function fieldOf(schema: Structural, name: string): Structural | null {
  const property = schema.properties.get(name)
  if (property !== undefined) return property
  return typeof schema.additional === 'object' ? schema.additional : null
}
