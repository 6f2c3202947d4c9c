/** Metadata of objects inside a custom resource (x-kubernetes-embedded-resource) has the form that all metadata has. */
import { isMap } from '../../../kube/json-map.ts'
import type { Model } from '../../../kube/model-types.ts'
import { decodeObject } from '../../../kube/schema.ts'
import { fieldOf, type Structural } from '../../../kube/structural-schema/structural.ts'

const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'

export interface Coerced {
  readonly unknownFields: string[]
  readonly typeErrors: string[]
  changed: boolean
}

interface CoerceOptions {
  readonly model: Model
  /** Metadata of a wrong shape is dropped rather than reported: what is stored already must be readable. */
  readonly drops: boolean
}

/** Changes `object`, the root of a resource, whose own metadata is not looked at. */
export function coerceEmbedded(object: unknown, schema: Structural, options: CoerceOptions): Coerced {
  const found: Coerced = { unknownFields: [], typeErrors: [], changed: false }
  if (hasEmbedded(schema)) visit(object, schema, '', options, found)
  return found
}

const known = new WeakMap<Structural, boolean>()

function hasEmbedded(schema: Structural): boolean {
  let has = known.get(schema)
  if (has === undefined) {
    const below = [...schema.properties.values(), schema.items, schema.additional]
    has = below.some(one => typeof one === 'object' && one !== null && (one.isEmbedded || hasEmbedded(one)))
    known.set(schema, has)
  }
  return has
}

function visit(
  value: unknown,
  schema: Structural | null,
  path: string,
  options: CoerceOptions,
  found: Coerced,
): void {
  if (schema === null) return
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries())
      visit(item, schema.items, `${path}[${index}]`, options, found)
  } else if (isMap(value)) {
    if (schema.isEmbedded && path !== '') coerce(value, path, options, found)
    for (const key of Object.keys(value)) {
      if (schema.isEmbedded && key === 'metadata') continue
      visit(value[key], fieldOf(schema, key), path === '' ? key : `${path}.${key}`, options, found)
    }
  }
}

function coerce(
  value: Record<string, unknown>,
  path: string,
  { model, drops }: CoerceOptions,
  found: Coerced,
): void {
  const { metadata } = value
  if (metadata === undefined) return
  const decoded = decodeObject(model, OBJECT_META, metadata, 'strict')
  const at = `${path}.metadata`
  const unknown = decoded.unknownFields.map(text => text.replace('unknown field "', `unknown field "${at}.`))
  found.unknownFields.push(...unknown)
  if (decoded.typeErrors.length > 0 && !drops) {
    found.typeErrors.push(...decoded.typeErrors)
    return
  }
  if (decoded.object === metadata) return
  found.changed = true
  value['metadata'] = decoded.object
}
