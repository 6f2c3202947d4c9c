/**
 * Makes build/model/model.json and descriptions.json: reads the classes and paths of @kubernetes/client-node as
 * text, adds the overlay's facts, keeps the stable API only. `src/kube/model.ts` reads what this writes.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../src/base/assert.ts'
import type { FieldJson, ModelJson, ResourceJson, SubresourceJson } from '../src/kube/model-json.ts'
import { coreMerging } from '../src/kube/overlay/core-merging.ts'
import { coreZeroValues } from '../src/kube/overlay/core-zero-values.ts'
import { publishedDefaults, unpublishedDefaults, zeroMeansOmitted } from '../src/kube/overlay/defaults.ts'
import { enums } from '../src/kube/overlay/enums.ts'
import { groupMerging } from '../src/kube/overlay/merging.ts'
import { packages } from '../src/kube/overlay/packages.ts'
import { type MergingFacts, readFieldLists, readMergingFacts } from '../src/kube/overlay/read.ts'
import * as overlay from '../src/kube/overlay/resources.ts'
import { bytesFields, longListFields, quantityFields } from '../src/kube/overlay/values.ts'
import { groupZeroValues } from '../src/kube/overlay/zero-values.ts'

const root = join(import.meta.dirname, '..')
const gen = join(root, 'node_modules/@kubernetes/client-node/dist/gen')
const out = join(root, 'build/model')

interface Attribute {
  readonly baseName: string
  readonly type: string
  readonly format: string
}

interface ClientClass {
  readonly attributes: readonly Attribute[]
  readonly required: ReadonlySet<string>
  readonly description: string
  readonly descriptions: Readonly<Record<string, string>>
}

/** OpenAPI name and group of each client class. */
const classes = new Map<string, { typeName: string; kind: string; group: string; version: string }>()
for (const { prefix, group, version, types } of packages) {
  for (const word of types.trim().split(/\s+/)) {
    const [kind = '', renamed] = word.split('=')
    const shared = group === 'meta' ? '' : group
    const name = renamed ?? version.toUpperCase() + kind
    classes.set(name, { typeName: `${prefix}.${kind}`, kind, group: shared, version })
  }
}

/** Client-node's fold of `*\/`, quotes and backslashes undone. */
const unescapeText = (text: string): string =>
  text
    .replace(/^\s*\* ?/gm, '')
    .replace(/\\(['"\\])/g, '$1')
    .trim()

function readClass(name: string): ClientClass {
  const script = readFileSync(join(gen, 'models', `${name}.js`), 'utf8')
  const start = script.indexOf('attributeTypeMap = [')
  const attributes = JSON.parse(
    script.slice(script.indexOf('[', start), script.indexOf('];', start) + 1),
  ) as Attribute[]
  const types = readFileSync(join(gen, 'models', `${name}.d.ts`), 'utf8')
  const body = types.slice(types.indexOf('export declare class'))
  const required = new Set<string>()
  const descriptions: Record<string, string> = {}
  for (const match of body.matchAll(/(?:\/\*\*\n([\s\S]*?)\n\s*\*\/\n\s*)?^\s*'([^']+)'(\??):/gm)) {
    const [, text = '', field = '', optional] = match
    if (optional === '') required.add(field)
    if (text !== '') descriptions[field] = unescapeText(text)
  }
  const head = types.slice(0, types.indexOf('export declare class'))
  const own = /\/\*\*\n((?:(?!\/\*\*)[\s\S])*?)\n\*\/\n$/.exec(head)
  return { attributes, required, descriptions, description: unescapeText(own?.[1] ?? '') }
}

const quantities = new Set(quantityFields)
const bytes = new Set(bytesFields)
const longs = new Set(longListFields)
const zeroFields = readFieldLists({ ...coreZeroValues, ...groupZeroValues })
const merging = readMergingFacts({ ...coreMerging, ...groupMerging })
/** How Go has the types: by field number JSON name, type and marks (`generate-protobuf.ts`). */
const goForms = JSON.parse(readFileSync(join(out, 'protobuf.json'), 'utf8')) as Readonly<
  Record<string, Readonly<Record<string, readonly [name: string, type: string, marks: string]>>>
>
const goScalars = new Set(['string', 'bytes', 'int', 'bool', 'double'])
const typeNames = [...classes.values()].map(entry => entry.typeName).sort()
const typeIndex = new Map(typeNames.map((name, index) => [name, index]))

/** The code of a type, see `model-json.ts`. `path` is `<type>.<field>`. */
function codeOf(type: string, format: string, path: string): string {
  const list = /^Array<(.*)>$/.exec(type)
  if (list?.[1] !== undefined) return `[${codeOf(list[1], longs.has(path) ? 'int64' : format, path)}`
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type)
  if (map?.[1] !== undefined) return `{${codeOf(map[1], bytes.has(path) ? 'byte' : format, path)}`
  switch (type) {
    case 'string':
      if (quantities.has(path)) return 'q'
      return format === 'byte' ? 'b' : 's'
    case 'number':
      if (format === 'double') return 'n'
      return format === 'int64' ? 'l' : 'i'
    case 'boolean':
      return 'f'
    case 'Date':
      return 't'
    case 'V1MicroTime':
      return 'm'
    case 'IntOrString':
      return 'x'
    case 'any':
      return 'a'
    default:
      return referenceCode(type, path)
  }
}

/** Classes that stand for any JSON. */
const ANY_CLASSES = new Set(['V1CustomResourceSubresourceStatus'])

function referenceCode(type: string, path: string): string {
  if (ANY_CLASSES.has(type)) return 'a'
  const target = must(classes.get(type), `the OpenAPI name of class ${type}, which ${path} uses`)
  return `@${must(typeIndex.get(target.typeName), target.typeName)}`
}

/** The zero value that Go writes for a field which is no pointer; undefined for what is left out. */
function zeroOf(code: string): unknown {
  switch (code[0]) {
    case 's':
      return ''
    case 'i':
    case 'l':
    case 'n':
    case 'x':
      return 0
    case 'f':
      return false
    case 'q':
      return '0'
    case '@':
    case '{':
      return {}
    default:
      return undefined
  }
}

/** Whether Go leaves a zero out: the field is no pointer, and its tag says `omitempty`. */
function omitsZero(typeName: string, field: string): boolean {
  return Object.values(goForms[typeName] ?? {}).some(([name, type, marks]) =>
    marks.includes('i')
      ? omitsZero(type, field)
      : name === field && goScalars.has(type) && marks.includes('o') && !marks.includes('p'),
  )
}

function extrasOf(typeName: string, field: string, code: string): FieldJson[3] {
  const facts: MergingFacts = merging.get(typeName)?.get(field) ?? {}
  const published = publishedDefaults[typeName]?.[field]
  const unpublished = unpublishedDefaults[typeName]?.[field]
  const zero = zeroFields.get(typeName)?.has(field) ? zeroOf(code) : undefined
  const known = published ?? zero
  const value = unpublished ?? known
  // Documents state this default, but Go leaves it out when it writes.
  const isNeverSet = omitsZero(typeName, field) && (value === '' || value === 0)
  const values = enums[typeName]?.[field]
  const extras = {
    ...(value === undefined || isNeverSet ? {} : { d: value }),
    ...(isNeverSet ? { p: known } : {}),
    ...(unpublished === undefined ? {} : known === undefined ? { u: 1 as const } : { p: known }),
    ...(typeof unpublished === 'number' && zeroMeansOmitted.includes(typeName) ? { z: 1 as const } : {}),
    ...(omitsZero(typeName, field) ? { o: 1 as const } : {}),
    ...(facts.patchMergeKey === undefined ? {} : { mk: facts.patchMergeKey }),
    ...(facts.patchStrategy === undefined ? {} : { ps: facts.patchStrategy }),
    ...(facts.listType === undefined ? {} : { lt: facts.listType }),
    ...(facts.listMapKeys === undefined ? {} : { lk: facts.listMapKeys }),
    ...(facts.mapType === undefined ? {} : { mt: facts.mapType }),
    ...(values === undefined ? {} : { e: values.split(' ') }),
  }
  return Object.keys(extras).length === 0 ? undefined : extras
}

interface Operation {
  readonly group: string
  readonly version: string
  readonly namespaced: boolean
  readonly resource: string
  readonly subresource: string
  readonly hasName: boolean
  /** HTTP method. */
  readonly method: string
  /** Class of the answer's body. */
  readonly answer: string
}

/** `/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status` in parts; null when it is no resource's. */
function parsePath(path: string): Omit<Operation, 'method' | 'answer'> | null {
  const head = /^\/(?:api|apis\/([^/]+))\/([^/]+)\/(.+)$/.exec(path)
  if (head === null) return null
  const [, group = '', version = '', tail = ''] = head
  const namespaced = tail.startsWith('namespaces/{namespace}/')
  const parts = (namespaced ? tail.slice('namespaces/{namespace}/'.length) : tail).split('/')
  const [resource = '', name, subresource = '', rest] = parts
  if (rest !== undefined) return null
  return { group, version, namespaced, resource, subresource, hasName: name !== undefined }
}

function readOperations(): Operation[] {
  const operations: Operation[] = []
  const served = new Set(
    overlay.groupOrder.flatMap(([group, ...versions]) => versions.map(v => `${group}/${v}`)),
  )
  for (const file of readdirSync(join(gen, 'apis'))) {
    if (!/V[12]Api\.js$/.test(file)) continue
    const script = readFileSync(join(gen, 'apis', file), 'utf8')
    const types = readFileSync(join(gen, 'apis', file.replace(/js$/, 'd.ts')), 'utf8')
    const answers = new Map(
      [...types.matchAll(/^ {4}(\w+)WithHttpInfo\(.*Promise<HttpInfo<([^>]+)>>/gm)].map(m => [m[1], m[2]]),
    )
    const pattern = /^ {4}async (\w+)\([\s\S]*?const localVarPath = '([^']+)'[\s\S]*?HttpMethod\.([A-Z]+)\)/gm
    for (const [, name = '', path = '', method = ''] of script.matchAll(pattern)) {
      const parsed = parsePath(path)
      if (parsed === null || !served.has(`${parsed.group}/${parsed.version}`)) continue
      operations.push({ ...parsed, method, answer: answers.get(name) ?? '' })
    }
  }
  return operations
}

function verbOf(operation: Operation, connects: boolean): string | null {
  const onItem = operation.hasName
  switch (operation.method) {
    case 'GET':
      return onItem ? 'get' : 'list'
    case 'POST':
      return 'create'
    case 'PUT':
      return 'update'
    case 'PATCH':
      return 'patch'
    case 'DELETE':
      return onItem || connects ? 'delete' : 'deletecollection'
    default:
      return null
  }
}

const verbsOf = (operations: readonly Operation[], connects: boolean): string[] => {
  const verbs = new Set(operations.map(operation => verbOf(operation, connects)))
  verbs.delete(null)
  return [...verbs].filter(verb => verb !== null).sort()
}

const answerOf = (operations: readonly Operation[], methods: readonly string[]): string => {
  const found = methods.flatMap(method => operations.filter(operation => operation.method === method))
  return found.find(operation => classes.has(operation.answer))?.answer ?? ''
}

function subresourceOf(
  resource: string,
  name: string,
  operations: readonly Operation[],
  own: { group: string; version: string },
): SubresourceJson {
  const connect = overlay.connectKinds[`${resource}/${name}`]
  const verbs = verbsOf(operations, connect !== undefined)
  if (connect !== undefined) return [name, own.group, own.version, connect, verbs]
  const body = must(classes.get(answerOf(operations, ['POST', 'GET', 'PUT'])), `body of ${resource}/${name}`)
  return [name, body.group, body.version, body.kind, verbs]
}

function resourceOf(operations: readonly Operation[]): ResourceJson {
  const { group, version, resource } = must(operations[0], 'an operation')
  const own = operations.filter(operation => operation.subresource === '')
  const items = own.filter(operation => operation.hasName)
  const lists = own.filter(operation => !operation.hasName)
  const bodyName = answerOf(items, ['GET']) || answerOf(lists, ['POST'])
  const body = must(classes.get(bodyName), `the kind of ${resource}`)
  const list = classes.get(answerOf(lists, ['GET']))
  const verbs = verbsOf(own, false)
  if (verbs.includes('list') && !overlay.notWatchable.includes(resource)) verbs.push('watch')
  const names = [...new Set(operations.map(operation => operation.subresource))].filter(name => name !== '')
  const storage = overlay.storedAs[`${group}/${version}/${resource}`]
  return {
    g: group,
    v: version,
    r: resource,
    k: body.kind,
    l: list?.kind ?? '',
    n: own.some(operation => operation.namespaced) ? 1 : 0,
    verbs: verbs.sort(),
    short: overlay.shortNames[resource] ?? [],
    cat: Object.keys(overlay.categories).filter(name => overlay.categories[name]?.includes(resource)),
    sub: names.sort().map(name =>
      subresourceOf(
        resource,
        name,
        operations.filter(operation => operation.subresource === name),
        { group, version },
      ),
    ),
    t: must(typeIndex.get(body.typeName), body.typeName),
    ...(storage === undefined ? {} : { st: [storage.group, storage.version, storage.resource] as const }),
  }
}

function readResources(): ResourceJson[] {
  const byResource = Map.groupBy(
    readOperations(),
    operation => `${operation.group}/${operation.version}/${operation.resource}`,
  )
  const resources = [...byResource.keys()].sort().map(key => resourceOf(must(byResource.get(key), key)))
  return overlay.groupOrder.flatMap(([group, ...versions]) =>
    versions.flatMap(version => resources.filter(({ g, v }) => g === group && v === version)),
  )
}

function main(): void {
  const types: ModelJson['types'][number][] = new Array(typeNames.length)
  const descriptions: Record<string, [string, Record<string, string>]> = {}
  for (const [name, { typeName, kind, group, version }] of classes) {
    const read = readClass(name)
    const fields = read.attributes.map(({ baseName, type, format }): FieldJson => {
      const code = codeOf(type, format, `${typeName}.${baseName}`)
      const extras = extrasOf(typeName, baseName, code)
      const required = read.required.has(baseName) ? 1 : 0
      return extras === undefined ? [baseName, code, required] : [baseName, code, required, extras]
    })
    const has = (field: string) => read.attributes.some(attribute => attribute.baseName === field)
    const isKind = has('apiVersion') && has('kind') && (has('metadata') || isMeta(typeName))
    const mapType = merging.get(typeName)?.get('*')?.mapType
    types[must(typeIndex.get(typeName), typeName)] = {
      n: typeName,
      f: fields,
      ...(mapType === undefined ? {} : { mt: mapType }),
      ...(isKind ? { k: [group, version, kind] as const } : {}),
    }
    descriptions[typeName] = [read.description, read.descriptions]
  }
  const model: ModelJson = { types, resources: readResources() }
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'model.json'), JSON.stringify(model))
  writeFileSync(join(out, 'descriptions.json'), JSON.stringify(descriptions))
}

const NOT_KINDS = new Set(['OwnerReference', 'ManagedFieldsEntry'])

function isMeta(typeName: string): boolean {
  const name = typeName.split('.').at(-1) ?? ''
  return typeName.startsWith('io.k8s.apimachinery.') && !NOT_KINDS.has(name)
}

main()
