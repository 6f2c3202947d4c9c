/** The paths of an OpenAPI v3 document: every verb of every resource of one group and version; pure. */
import type { ResourceInfo, SubresourceInfo } from '../../../kube/model-types.ts'
import { gvk, type SchemaWriter } from './schemas.ts'

type Json = Record<string, unknown>

const query = (name: string, type: string, description: string): Json => ({
  name,
  in: 'query',
  description,
  schema: { type, uniqueItems: true },
})

const pretty = query('pretty', 'string', 'If true, the output is printed for people to read.')
const writing = [
  query('dryRun', 'string', 'All: every step is taken but nothing is stored.'),
  query('fieldManager', 'string', 'Name of the actor that makes the change.'),
  query(
    'fieldValidation',
    'string',
    'What happens with unknown or duplicate fields: Ignore, Warn or Strict.',
  ),
]
const patching = [...writing, query('force', 'boolean', 'Take over fields that others own (apply only).')]
const listing = [
  query('allowWatchBookmarks', 'boolean', 'The watch may send BOOKMARK events.'),
  query('continue', 'string', 'Token of the previous chunk of this list.'),
  query('fieldSelector', 'string', 'Restricts the objects by their fields.'),
  query('labelSelector', 'string', 'Restricts the objects by their labels.'),
  query('limit', 'integer', 'At most so many objects are returned.'),
  query('resourceVersion', 'string', 'Which version of the data may be served.'),
  query('resourceVersionMatch', 'string', 'How resourceVersion is applied to lists.'),
  query('sendInitialEvents', 'boolean', 'The watch begins with the present state.'),
  query('timeoutSeconds', 'integer', 'How long the call may last.'),
  query('watch', 'boolean', 'Send changes as they happen instead of a list.'),
]
const deleting = [
  query('dryRun', 'string', 'All: every step is taken but nothing is stored.'),
  query('gracePeriodSeconds', 'integer', 'Seconds before the object is deleted.'),
  query('orphanDependents', 'boolean', 'Deprecated: use propagationPolicy.'),
  query('propagationPolicy', 'string', 'What happens to dependents: Orphan, Background or Foreground.'),
]

const inPath = (name: string): Json => ({
  name,
  in: 'path',
  description: name === 'name' ? 'name of the object' : 'namespace of the object',
  required: true,
  schema: { type: 'string', uniqueItems: true },
})

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
]

interface Target {
  readonly resource: ResourceInfo
  readonly subresource: SubresourceInfo | null
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string }
  readonly body: Json
  readonly answer: Json
  readonly isCustom: boolean
}

const content = (schema: Json): Json => ({ 'application/json': { schema }, 'application/yaml': { schema } })
const answers = (schema: Json, codes: readonly number[]): Json => ({
  ...Object.fromEntries(codes.map(code => [code, { description: 'OK', content: content(schema) }])),
  401: { description: 'Unauthorized' },
})

function operation(target: Target, action: string, parameters: readonly Json[], more: Json): Json {
  const { resource, subresource, kind } = target
  const part = subresource === null ? '' : `/${subresource.name}`
  return {
    tags: [resource.group === '' ? 'core_v1' : `${resource.group.split('.')[0]}_${resource.version}`],
    description: `${action} ${resource.resource}${part}`,
    operationId: `${action}-${resource.group}-${resource.version}-${resource.resource}${part}`,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...more,
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': gvk(kind),
  }
}

const bodyOf = (schema: Json): Json => ({ requestBody: { required: true, content: { '*/*': { schema } } } })

/** kubectl merges by keys wherever the strategic patch is offered. */
const patchBodyOf = (types: readonly string[]): Json => ({
  requestBody: {
    required: true,
    content: Object.fromEntries(types.map(type => [type, { schema: { type: 'object' } }])),
  },
})
const patchBody = patchBodyOf(PATCH_TYPES)
const customPatchBody = patchBodyOf(PATCH_TYPES.filter(type => !type.includes('strategic')))

function itemOperations(target: Target, verbs: readonly string[]): Json {
  const { answer, body } = target
  const made: Json = {}
  if (verbs.includes('get')) made['get'] = operation(target, 'get', [], { responses: answers(answer, [200]) })
  if (verbs.includes('update')) {
    made['put'] = operation(target, 'put', writing, {
      ...bodyOf(body),
      responses: answers(answer, [200, 201]),
    })
  }
  if (verbs.includes('patch')) {
    made['patch'] = operation(target, 'patch', patching, {
      ...(target.isCustom ? customPatchBody : patchBody),
      responses: answers(answer, [200, 201]),
    })
  }
  if (verbs.includes('delete')) {
    made['delete'] = operation(target, 'delete', deleting, { responses: answers(answer, [200, 202]) })
  }
  if (target.subresource !== null && verbs.includes('create')) {
    made['post'] = operation(target, 'post', writing, {
      ...bodyOf(body),
      responses: answers(answer, [200, 201, 202]),
    })
  }
  return made
}

function collectionOperations(target: Target, list: Json): Json {
  const { verbs } = target.resource
  const made: Json = {}
  if (verbs.includes('list'))
    made['get'] = operation(target, 'list', listing, { responses: answers(list, [200]) })
  if (verbs.includes('create')) {
    const responses = answers(target.answer, [200, 201, 202])
    made['post'] = operation(target, 'post', writing, { ...bodyOf(target.body), responses })
  }
  if (verbs.includes('deletecollection')) {
    const parameters = [...listing.filter(one => one['name'] !== 'watch'), ...deleting.slice(0, 3)]
    made['delete'] = operation(target, 'deletecollection', parameters, { responses: answers(list, [200]) })
  }
  return made
}

/** Adds the paths of one resource to `paths`. */
export function addResourcePaths(
  paths: Json,
  resource: ResourceInfo,
  writer: SchemaWriter,
  typeOf: (kind: { group: string; version: string; kind: string }) => string | undefined,
  isCustom: boolean,
): void {
  const { group, version } = resource
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  const scoped = resource.namespaced ? `${root}/namespaces/{namespace}` : root
  const shared = resource.namespaced ? [inPath('namespace'), pretty] : [pretty]
  const schema = writer.ref(resource.typeName)
  const common = { resource, isCustom }
  const target: Target = { ...common, subresource: null, kind: resource, body: schema, answer: schema }
  if (resource.verbs.length > 0) {
    const list = resource.verbs.includes('list') ? writer.listRef(resource) : schema
    paths[`${scoped}/${resource.resource}`] = { ...collectionOperations(target, list), parameters: shared }
    if (resource.namespaced && resource.verbs.includes('list')) {
      const get = operation(target, 'list', [], { responses: answers(list, [200]) })
      paths[`${root}/${resource.resource}`] = { get, parameters: [...listing, pretty] }
    }
    const operations = itemOperations(target, resource.verbs)
    if (Object.keys(operations).length > 0) {
      paths[`${scoped}/${resource.resource}/{name}`] = {
        ...operations,
        parameters: [inPath('name'), ...shared],
      }
    }
  }
  for (const subresource of resource.subresources) {
    const typeName = typeOf(subresource.kind)
    const own = typeName === undefined ? { type: 'string' } : writer.ref(typeName)
    const operations = itemOperations(
      { ...common, subresource, kind: subresource.kind, body: own, answer: own },
      subresource.verbs,
    )
    const path = `${scoped}/${resource.resource}/{name}/${subresource.name}`
    paths[path] = { ...operations, parameters: [inPath('name'), ...shared] }
  }
}

/** The PATCH of one resource in the notation of version 2. */
export function addPatchPath(paths: Json, resource: ResourceInfo): void {
  const root =
    resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  const scope = resource.namespaced ? '/namespaces/{namespace}' : ''
  const parameters = patching.map(({ schema, ...rest }) => ({ ...rest, type: (schema as Json)['type'] }))
  paths[`${root}${scope}/${resource.resource}/{name}`] = {
    patch: {
      operationId: `patch-${resource.group}-${resource.version}-${resource.resource}`,
      parameters,
      responses: {},
      'x-kubernetes-action': 'patch',
      'x-kubernetes-group-version-kind': gvk(resource),
    },
  }
}
