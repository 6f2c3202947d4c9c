/** Parts of schemas that many projects' definitions have, and what makes definitions and instances of them. */

export interface Definition {
  readonly metadata: { readonly name: string; readonly annotations: object }
  readonly [field: string]: unknown
}

export interface Instance {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: object
  readonly spec: object
}

export type Schema = Readonly<Record<string, unknown>>

export const text: Schema = { type: 'string' }
export const whole = (more: object = {}): Schema => ({ type: 'integer', format: 'int32', ...more })
export const flag: Schema = { type: 'boolean' }
export const list = (items: Schema, more: object = {}): Schema => ({ type: 'array', items, ...more })
export const mapOf = (additionalProperties: Schema): Schema => ({ type: 'object', additionalProperties })
export const fields = (properties: object, more: object = {}): Schema => ({
  type: 'object',
  properties,
  ...more,
})
export const keyed = (...keys: string[]) => ({
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
})
export const open: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
export const quantity: Schema = {
  anyOf: [{ type: 'integer' }, { type: 'string' }],
  pattern:
    '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$',
  'x-kubernetes-int-or-string': true,
}
export const secretKey = fields(
  { key: text, name: { ...text, default: '' }, optional: flag },
  { required: ['key'], 'x-kubernetes-map-type': 'atomic' },
)
const condition = fields(
  {
    lastTransitionTime: { ...text, format: 'date-time' },
    message: { ...text, maxLength: 32_768 },
    observedGeneration: { type: 'integer', format: 'int64', minimum: 0 },
    reason: { ...text, maxLength: 1024, minLength: 1, pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$' },
    status: { ...text, enum: ['True', 'False', 'Unknown'] },
    type: { ...text, maxLength: 316 },
  },
  { required: ['lastTransitionTime', 'message', 'reason', 'status', 'type'] },
)
const status = fields({ conditions: list(condition, keyed('type')) })

interface Names {
  readonly group: string
  readonly plural: string
  readonly kind: string
  readonly scope?: 'Namespaced' | 'Cluster'
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
}

interface Version {
  readonly name: string
  readonly spec: Schema
  readonly more?: object
  readonly root?: object
}

export const define = (
  { group, scope = 'Namespaced', ...names }: Names,
  versions: readonly Version[],
): Definition => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${names.plural}.${group}`, annotations: { 'generator.example.com/version': 'v0.1' } },
  spec: {
    group,
    scope,
    names: { ...names, listKind: `${names.kind}List`, singular: names.kind.toLowerCase() },
    versions: versions.map(({ name, spec, more = {}, root = {} }, index) => ({
      name,
      served: true,
      storage: index === 0,
      subresources: { status: {} },
      schema: {
        openAPIV3Schema: fields(
          { apiVersion: text, kind: text, metadata: { type: 'object' }, spec, status },
          { description: `${names.kind} is declared here.`, required: ['spec'], ...root },
        ),
      },
      ...more,
    })),
  },
})

export const instance = (
  apiVersion: string,
  kind: string,
  spec: object,
  metadata: object = {},
): Instance => ({
  apiVersion,
  kind,
  metadata: { name: 'sample', ...metadata },
  spec,
})

export function containerSchema(): Schema {
  const port = fields(
    {
      containerPort: whole(),
      name: text,
      protocol: { ...text, default: 'TCP' },
    },
    { required: ['containerPort'] },
  )
  const from = fields({
    secretKeyRef: secretKey,
    fieldRef: fields({ fieldPath: text }, { required: ['fieldPath'] }),
  })
  return fields(
    {
      name: text,
      args: list(text),
      env: list(fields({ name: text, value: text, valueFrom: from }, { required: ['name'] }), keyed('name')),
      ports: list(port, keyed('containerPort', 'protocol')),
    },
    { required: ['name'] },
  )
}

/** A tree of descriptions, the bulk of definitions that embed pods. */
export function deep(levels: number, width: number): Schema {
  const description =
    'What is below here decides where and how the program runs; leave it out for what the operator thinks best.'
  if (levels === 0) return { ...text, description }
  const properties: Record<string, Schema> = {}
  for (let index = 0; index < width; index++) {
    properties[`field${index}`] =
      index === 0 ? deep(levels - 1, width) : index === 1 ? list({ ...text, description }) : deep(0, 0)
  }
  const terms = list(
    fields({ key: text, operator: text, values: list(text) }, { required: ['key', 'operator'] }),
    { 'x-kubernetes-list-type': 'atomic', description },
  )
  return fields({ ...properties, terms }, { description })
}
