/** The generated model against Kubernetes' published OpenAPI documents, when they are beside the repository. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { must } from '../../../src/base/assert.ts'
import { parseModel } from '../../../src/kube/model.ts'
import type { FieldInfo, ResourceInfo, TypeRef } from '../../../src/kube/model-types.ts'

const root = join(import.meta.dirname, '../../..')
const model = parseModel(readFileSync(join(root, 'build/model/model.json'), 'utf8'))
const oracle = join(root, '../shared/kubernetes')
const skip = existsSync(join(oracle, 'swagger.json')) ? false : 'the published OpenAPI documents are not here'

interface Property {
  type?: string
  format?: string
  $ref?: string
  items?: Property
  additionalProperties?: Property
  'x-kubernetes-patch-merge-key'?: string
  'x-kubernetes-patch-strategy'?: string
  'x-kubernetes-list-type'?: string
  'x-kubernetes-list-map-keys'?: string[]
  'x-kubernetes-map-type'?: string
  default?: unknown
}
interface Definition extends Property {
  properties?: Record<string, Property>
  required?: string[]
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[]
}
interface Operation {
  'x-kubernetes-action'?: string
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }
}
interface Swagger {
  definitions: Record<string, Definition>
  paths: Record<string, Record<string, Operation>>
}

const swagger = (): Swagger => JSON.parse(readFileSync(join(oracle, 'swagger.json'), 'utf8'))

const REFERENCES: Record<string, string> = {
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'quantity',
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'int-or-string',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'time',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'micro-time',
}

/** A property in the words of `describe`. */
function expected(property: Property, definitions: Record<string, Definition>): string {
  if (property.$ref !== undefined) {
    const name = property.$ref.replace('#/definitions/', '')
    const known = REFERENCES[name]
    if (known !== undefined) return known
    return definitions[name]?.properties === undefined ? 'any' : name
  }
  if (property.items !== undefined) return `[]${expected(property.items, definitions)}`
  if (property.additionalProperties !== undefined) {
    return `{}${expected(property.additionalProperties, definitions)}`
  }
  if (property.type === 'string') return property.format === 'byte' ? 'bytes' : 'string'
  if (property.type === 'integer') return property.format === 'int64' ? 'integer64' : 'integer32'
  return property.type === 'object' ? 'any' : must(property.type, 'a type')
}

function describe(type: TypeRef): string {
  if (type.kind === 'array') return `[]${describe(type.items)}`
  if (type.kind === 'map') return `{}${describe(type.values)}`
  if (type.kind === 'integer') return `integer${type.bits}`
  return type.kind === 'object' ? type.name : type.kind
}

const merging = (field: FieldInfo) => [
  field.patchMergeKey,
  field.patchStrategy?.join(','),
  field.listType,
  field.listMapKeys?.join(','),
  field.mapType,
]

test('every type has the published fields, formats, required flags and merge rules', { skip }, () => {
  const { definitions } = swagger()
  const counts = { mergeKeys: 0, listTypes: 0 }
  for (const [name, definition] of Object.entries(definitions)) {
    if (definition.properties === undefined || !/\.v[12]\.[^.]+$/.test(name)) continue
    const type = must(model.types.get(name), name)
    assert.deepEqual([...type.fields.keys()].sort(), Object.keys(definition.properties).sort(), name)
    assert.equal(type.mapType, definition['x-kubernetes-map-type'], name)
    for (const [field, property] of Object.entries(definition.properties)) {
      const info = must(type.fields.get(field), `${name}.${field}`)
      assert.equal(describe(info.type), expected(property, definitions), `${name}.${field}`)
      assert.equal(info.required, definition.required?.includes(field) ?? false, `${name}.${field}`)
      assert.deepEqual(
        merging(info),
        [
          property['x-kubernetes-patch-merge-key'],
          property['x-kubernetes-patch-strategy'],
          property['x-kubernetes-list-type'],
          property['x-kubernetes-list-map-keys']?.join(','),
          property['x-kubernetes-map-type'],
        ],
        `${name}.${field}`,
      )
      if (info.patchMergeKey !== undefined) counts.mergeKeys++
      if (info.listType !== undefined) counts.listTypes++
    }
    const kinds = (definition['x-kubernetes-group-version-kind'] ?? []).filter(({ version }) =>
      /^v[12]$/.test(version),
    )
    if (!name.startsWith('io.k8s.apimachinery.')) {
      assert.deepEqual(type.kinds, kinds, name)
    }
  }
  assert.ok(counts.mergeKeys > 50 && counts.listTypes > 300, JSON.stringify(counts))
})

const ACTION_VERBS: Record<string, string> = {
  get: 'get',
  list: 'list',
  watch: 'watch',
  watchlist: 'watch',
  post: 'create',
  put: 'update',
  patch: 'patch',
  delete: 'delete',
  deletecollection: 'deletecollection',
}
const CONNECT_VERBS: Record<string, string> = {
  get: 'get',
  post: 'create',
  put: 'update',
  patch: 'patch',
  delete: 'delete',
}

/** `group/version/[n/]resource[/subresource]` → `verb=group/version/kind`. */
function publishedVerbs({ paths }: Swagger): Map<string, Set<string>> {
  const served = new Map<string, Set<string>>()
  const pattern =
    /^\/api(?:s\/([^/]+))?\/(v[12])\/(?:watch\/)?(namespaces\/\{namespace\}\/)?([a-z]+)(?:\/\{name\}(?:\/([a-z]+))?)?$/
  for (const [path, methods] of Object.entries(paths)) {
    const [match, group = '', version = '', namespace, resource = '', sub] = pattern.exec(path) ?? []
    if (match === undefined) continue
    const kindKey = `${group}/${version}/${resource}${sub === undefined ? '' : `/${sub}`}`
    const set = served.get(kindKey) ?? new Set()
    served.set(kindKey, set)
    if (namespace !== undefined) set.add('namespaced')
    for (const [method, operation] of Object.entries(methods)) {
      const action = operation['x-kubernetes-action']
      const verb = action === 'connect' ? CONNECT_VERBS[method] : ACTION_VERBS[action ?? '']
      const gvk = operation['x-kubernetes-group-version-kind']
      if (verb !== undefined && gvk !== undefined) {
        set.add(`${verb}=${gvk.group}/${gvk.version}/${gvk.kind}`)
      }
    }
  }
  return served
}

function modelVerbs(resource: ResourceInfo): [string, Set<string>][] {
  const key = `${resource.group}/${resource.version}/${resource.resource}`
  const scope = resource.namespaced ? ['namespaced'] : []
  const words = (verbs: readonly string[], gvk: { group: string; version: string; kind: string }) =>
    new Set([...scope, ...verbs.map(verb => `${verb}=${gvk.group}/${gvk.version}/${gvk.kind}`)])
  return [
    [key, words(resource.verbs, resource)],
    ...resource.subresources.map((sub): [string, Set<string>] => [
      `${key}/${sub.name}`,
      words(sub.verbs, sub.kind),
    ]),
  ]
}

test('every stable path is served with the published verbs and kinds, and no other', { skip }, () => {
  const published = publishedVerbs(swagger())
  const ours = new Map(model.resources.flatMap(modelVerbs))
  assert.deepEqual([...ours.keys()].sort(), [...published.keys()].sort())
  for (const [key, verbs] of published) {
    assert.deepEqual([...(ours.get(key) ?? [])].sort(), [...verbs].sort(), key)
  }
})

test('published defaults are ours, and ours that are not published are marked', { skip }, () => {
  const directory = join(oracle, 'openapi-v3')
  const published = new Map<string, unknown>()
  for (const file of readdirSync(directory)) {
    const document = JSON.parse(readFileSync(join(directory, file), 'utf8'))
    const schemas: Record<string, Definition> = document.components?.schemas ?? {}
    for (const [name, schema] of Object.entries(schemas)) {
      for (const [field, property] of Object.entries(schema.properties ?? {})) {
        if (property.default !== undefined) published.set(`${name}.${field}`, property.default)
      }
    }
  }
  for (const type of model.types.values()) {
    for (const field of type.fields.values()) {
      const path = `${type.name}.${field.name}`
      const wanted = published.get(path)
      if (wanted === undefined) {
        assert.ok(field.defaultValue === undefined || field.defaultUnpublished === true, path)
      } else if (['quantity', 'int-or-string'].includes(field.type.kind)) {
        assert.ok(field.defaultValue !== undefined, path)
      } else if (!(field.type.kind === 'time' || field.type.kind === 'any')) {
        assert.deepEqual(field.publishedDefault ?? field.defaultValue, wanted, path)
      }
    }
  }
})

test('views of one storage name it', () => {
  const events = must(model.byResource('events.k8s.io', 'v1', 'events'), 'events')
  assert.deepEqual(events.storage, { group: '', version: 'v1', resource: 'events' })
  const pods = must(model.byKind({ group: '', version: 'v1', kind: 'Pod' }), 'pods')
  assert.equal(pods.resource, 'pods')
  assert.equal(model.byKind({ group: '', version: 'v2', kind: 'Pod' }), undefined)
})

test('lists of a type that merge by key name fields that the items have', () => {
  for (const type of model.types.values()) {
    for (const field of type.fields.values()) {
      if (field.patchMergeKey === undefined || field.type.kind !== 'array') continue
      const items = field.type.items
      assert.ok(items.kind === 'object', `${type.name}.${field.name}`)
      assert.ok(model.types.get(items.name)?.fields.has(field.patchMergeKey), `${type.name}.${field.name}`)
    }
  }
})
