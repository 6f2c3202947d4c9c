/**
 * The way from client-side to server-side apply: the annotation that kubectl keeps says which fields kubectl owns
 * whatever the entries say, and it is kept up to date while it is there.
 */
import { isMap } from '../json-map.ts'
import type { KubeObject } from '../object.ts'
import type { ApplySchema } from './apply-schema.ts'
import { configurationProblems } from './check-configuration.ts'
import { compareValues } from './compare.ts'
import { difference, type FieldSet, newFieldSet } from './field-set.ts'
import { valueSet } from './value-set.ts'

export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
/** Only this manager's applies count as a continuation of client-side apply. */
export const KUBECTL = 'kubectl'
const ANNOTATIONS_BYTES_MAX = 256 * 1024

/** The fields that client-side apply set and that still have its values. */
export function lastAppliedFields(schema: ApplySchema, live: KubeObject): FieldSet {
  const applied = parse(live.metadata.annotations?.[LAST_APPLIED])
  if (applied === null || applied['apiVersion'] !== live.apiVersion || applied['kind'] !== live.kind) {
    return newFieldSet()
  }
  if (configurationProblems(schema, applied).length > 0) return newFieldSet()
  const { added, modified, removed } = compareValues(schema, applied, live)
  return difference(difference(difference(valueSet(schema, applied), modified), added), removed)
}

function parse(text: string | undefined): Record<string, unknown> | null {
  if (text === undefined || text === '') return null
  try {
    const value: unknown = JSON.parse(text)
    return isMap(value) ? value : null
  } catch {
    return null
  }
}

/** The object with the annotation renewed, if it has one; without it when it would be too long. */
export function withLastApplied(object: KubeObject, config: KubeObject): KubeObject {
  const { annotations } = object.metadata
  if (annotations?.[LAST_APPLIED] === undefined || annotations[LAST_APPLIED] === '') return object
  const { [LAST_APPLIED]: _before, ...others } = annotations
  const renewed = { ...others, [LAST_APPLIED]: textOf(config) }
  const bytes = Object.entries(renewed).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  )
  const kept = bytes > ANNOTATIONS_BYTES_MAX ? others : renewed
  return { ...object, metadata: { ...object.metadata, annotations: kept } }
}

function textOf(config: KubeObject): string {
  const { annotations } = config.metadata
  if (annotations?.[LAST_APPLIED] === undefined) return `${JSON.stringify(sorted(config))}\n`
  const { [LAST_APPLIED]: _own, ...others } = annotations
  return `${JSON.stringify(sorted({ ...config, metadata: { ...config.metadata, annotations: others } }))}\n`
}

/** As Go encodes maps. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isMap(value)) return value
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map(name => [name, sorted(value[name])]),
  )
}
