/**
 * The schemas of custom resources in OpenAPI documents: what the definition states, with the fields that every object
 * has. Version 2 leaves out what it cannot say; pure.
 */
import { isMap } from '../../../kube/json-map.ts'
import type { ResourceInfo } from '../../../kube/model-types.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { type CustomSchemas, gvk } from './schemas.ts'

type Schema = Record<string, unknown>

const API_VERSION_TEXT =
  'The version of the schema of this object. The server converts it where it knows others.'
const KIND_TEXT = 'What this object is; the endpoint that it is sent to says so too.'
const METADATA_TEXT = "Standard object's metadata."
const EMBEDDED_REQUIRED = ['apiVersion', 'kind']

/** Of the custom resources among these. */
export function customSchemas(resources: readonly ServedResource[]): CustomSchemas {
  const found = new Map<string, (form: { isV3: boolean; metadata: Schema }) => Schema>()
  for (const { info, custom } of resources) {
    if (custom === undefined) continue
    found.set(info.typeName, form => rootSchema(info, custom.openApi, form))
  }
  return found
}

function rootSchema(
  info: ResourceInfo,
  openApi: Readonly<Record<string, unknown>>,
  { isV3, metadata }: { readonly isV3: boolean; readonly metadata: Schema },
): Schema {
  const ref = metadata
  const embedded = isV3
    ? { description: METADATA_TEXT, allOf: [ref] }
    : { description: METADATA_TEXT, ...ref }
  const schema = isV3 ? withMetadata(openApi, embedded) : schemaV2(openApi, embedded)
  const kinds = { 'x-kubernetes-group-version-kind': [gvk(info)] }
  if (schema['x-kubernetes-preserve-unknown-fields'] === true && !isV3) return { ...schema, ...kinds }
  const properties = isMap(schema['properties']) ? schema['properties'] : {}
  return { ...schema, type: 'object', properties: { ...properties, ...ownFields(embedded) }, ...kinds }
}

const ownFields = (metadata: Schema): Schema => ({
  apiVersion: { description: API_VERSION_TEXT, type: 'string' },
  kind: { description: KIND_TEXT, type: 'string' },
  metadata,
})

/** Embedded objects have metadata, too. */
function withMetadata(schema: Readonly<Schema>, metadata: Schema): Schema {
  const made: Schema = { ...schema }
  mapParts(made, one => withMetadata(one, metadata))
  if (made['x-kubernetes-embedded-resource'] !== true) return made
  const properties = isMap(made['properties']) ? made['properties'] : {}
  made['properties'] = { ...properties, ...ownFields(metadata) }
  made['required'] = [...new Set([...listOf(made['required']), ...EMBEDDED_REQUIRED])]
  return made
}

function mapParts(schema: Schema, change: (schema: Schema) => Schema): void {
  const { properties, items, additionalProperties } = schema
  if (isMap(properties)) {
    schema['properties'] = Object.fromEntries(
      Object.entries(properties).map(([name, one]) => [name, isMap(one) ? change(one) : one]),
    )
  }
  if (isMap(items)) schema['items'] = change(items)
  if (isMap(additionalProperties)) schema['additionalProperties'] = change(additionalProperties)
}

const NOT_IN_V2 = ['oneOf', 'anyOf', 'allOf', 'not', 'nullable', 'x-kubernetes-validations']

/** What clients of version 2 understand: where anything may stand, nothing is said. */
function schemaV2(schema: Readonly<Schema>, metadata: Schema): Schema {
  const made = withMetadata(schema, metadata)
  for (const word of NOT_IN_V2) delete made[word]
  if (schema['nullable'] === true) {
    // Clients would refuse null.
    for (const word of ['type', 'properties', 'items', 'additionalProperties', 'required']) delete made[word]
  }
  if (made['x-kubernetes-preserve-unknown-fields'] === true) {
    for (const word of ['type', 'properties', 'items', 'additionalProperties', 'required']) delete made[word]
    return made
  }
  if (made['x-kubernetes-int-or-string'] === true) delete made['type']
  mapParts(made, one => schemaV2(one, metadata))
  return made
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
