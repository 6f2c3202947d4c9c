/** Loads the Kubernetes API model out of the text of model.json. */
import { must } from '../base/assert.ts'
import type { FieldJson, ModelJson, ResourceJson, TypeJson } from './model-json.ts'
import type {
  FieldInfo,
  GroupVersionKind,
  Model,
  ResourceInfo,
  SubresourceInfo,
  TypeInfo,
  TypeRef,
} from './model-types.ts'

/** The model of the text that `readAsset('model.json')` returns. */
export function parseModel(text: string): Model {
  const json = JSON.parse(text) as ModelJson
  const refs = new Map<string, TypeRef>()
  const refOf = (code: string): TypeRef => {
    let ref = refs.get(code)
    if (ref === undefined) {
      ref = makeRef(code, json.types, refOf)
      refs.set(code, ref)
    }
    return ref
  }
  const types = new Map(json.types.map(type => [type.n, makeType(type, refOf)]))
  const resources = json.resources.map(resource => makeResource(resource, json.types))
  return new LoadedModel(types, resources)
}

class LoadedModel implements Model {
  readonly types: ReadonlyMap<string, TypeInfo>
  readonly resources: readonly ResourceInfo[]
  readonly #byResource = new Map<string, ResourceInfo>()
  readonly #byKind = new Map<string, ResourceInfo>()

  constructor(types: ReadonlyMap<string, TypeInfo>, resources: readonly ResourceInfo[]) {
    this.types = types
    this.resources = resources
    for (const resource of resources) {
      this.#byResource.set(`${resource.group}/${resource.version}/${resource.resource}`, resource)
      this.#byKind.set(`${resource.group}/${resource.version}/${resource.kind}`, resource)
    }
  }

  byResource(group: string, version: string, resource: string): ResourceInfo | undefined {
    return this.#byResource.get(`${group}/${version}/${resource}`)
  }

  byKind(gvk: GroupVersionKind): ResourceInfo | undefined {
    return this.#byKind.get(`${gvk.group}/${gvk.version}/${gvk.kind}`)
  }
}

function makeRef(code: string, types: readonly TypeJson[], refOf: (code: string) => TypeRef): TypeRef {
  const rest = code.slice(1)
  switch (code[0]) {
    case 's':
      return { kind: 'string' }
    case 'b':
      return { kind: 'bytes' }
    case 'i':
      return { kind: 'integer', bits: 32 }
    case 'l':
      return { kind: 'integer', bits: 64 }
    case 'n':
      return { kind: 'number' }
    case 'f':
      return { kind: 'boolean' }
    case 't':
      return { kind: 'time' }
    case 'm':
      return { kind: 'micro-time' }
    case 'q':
      return { kind: 'quantity' }
    case 'x':
      return { kind: 'int-or-string' }
    case '[':
      return { kind: 'array', items: refOf(rest) }
    case '{':
      return { kind: 'map', values: refOf(rest) }
    case '@':
      return { kind: 'object', name: must(types[Number(rest)], `type ${rest} of the model`).n }
    default:
      return { kind: 'any' }
  }
}

function makeType(json: TypeJson, refOf: (code: string) => TypeRef): TypeInfo {
  const fields = new Map(json.f.map(field => [field[0], makeField(field, refOf)]))
  return {
    name: json.n,
    fields,
    defaulted: [...fields.values()].filter(field => field.defaultValue !== undefined),
    kinds: json.k === undefined ? [] : [{ group: json.k[0], version: json.k[1], kind: json.k[2] }],
    ...(json.mt === undefined ? {} : { mapType: json.mt }),
  }
}

function makeField([name, code, required, extras]: FieldJson, refOf: (code: string) => TypeRef): FieldInfo {
  const field = { name, type: refOf(code), required: required === 1 }
  if (extras === undefined) return field
  const { d, u, p, z, o, mk, ps, lt, lk, mt, e } = extras
  return {
    ...field,
    ...(d === undefined ? {} : { defaultValue: d }),
    ...(u === undefined ? {} : { defaultUnpublished: true as const }),
    ...(p === undefined ? {} : { publishedDefault: p }),
    ...(z === undefined ? {} : { zeroMeansOmitted: true as const }),
    ...(o === undefined ? {} : { omitsZero: true as const }),
    ...(mk === undefined ? {} : { patchMergeKey: mk }),
    ...(ps === undefined ? {} : { patchStrategy: ps }),
    ...(lt === undefined ? {} : { listType: lt }),
    ...(lk === undefined ? {} : { listMapKeys: lk }),
    ...(mt === undefined ? {} : { mapType: mt }),
    ...(e === undefined ? {} : { enumValues: e }),
  }
}

function makeResource(json: ResourceJson, types: readonly TypeJson[]): ResourceInfo {
  const { g: group, v: version, r: resource, k: kind } = json
  const [storageGroup, storageVersion, storageResource] = json.st ?? [group, version, resource]
  return {
    group,
    version,
    kind,
    resource,
    singular: kind.toLowerCase(),
    listKind: json.l,
    namespaced: json.n === 1,
    verbs: json.verbs,
    shortNames: json.short,
    categories: json.cat,
    subresources: json.sub.map(
      ([name, subGroup, subVersion, subKind, verbs]): SubresourceInfo => ({
        name,
        kind: { group: subGroup, version: subVersion, kind: subKind },
        verbs,
      }),
    ),
    typeName: must(types[json.t], `type of ${resource}`).n,
    storage: { group: storageGroup, version: storageVersion, resource: storageResource },
  }
}
