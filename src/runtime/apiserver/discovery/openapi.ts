/** /openapi/v3 with one document per group and version, and /openapi/v2; each rendered when first asked for. */

import { createHash } from 'node:crypto'
import type { KubeResponse } from '../../../client/transport.ts'
import type { GroupVersionKind, ResourceInfo } from '../../../kube/model-types.ts'
import { notAcceptable } from '../../../kube/status.ts'
import type { IncomingRequest } from '../authenticated-request.ts'
import type { ApiContext } from '../context.ts'
import { acceptsGzip, parseAccept } from '../negotiation/accept.ts'
import { gzipped } from '../negotiation/slices.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { typeNameOf } from '../storage/type-names.ts'
import { customSchemas } from './custom-schemas.ts'
import { addPatchPath, addResourcePaths } from './openapi-paths.ts'
import { encodeDocumentV2 } from './openapi-protobuf.ts'
import { pathsOfV2 } from './openapi-v2-paths.ts'
import { type Descriptions, SchemaWriter, V2, V3 } from './schemas.ts'
import { taggedResponse } from './tagged-response.ts'

export interface OpenApi {
  /** Null when there is no such document. */
  respond(path: string, request: IncomingRequest): KubeResponse | null
}

/** Rendered documents that are kept; a burst of kubectl commands asks for the same few. */
const KEPT_MAX = 4
const JSON_TYPES = new Set(['application/json', 'application/*', '*/*'])
const HASH_LENGTH = 64
/** What clients ask for has an `@`, which no media type may have; the answer's has a dot. */
const V2_PROTOBUF_ASKED = new Set([
  'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
  'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
])
const V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

export function createOpenApi(context: ApiContext): OpenApi {
  const kept = new Map<string, Buffer>()
  let generation = 0
  const once = (id: string, make: () => unknown): Buffer => {
    if (generation !== context.resources.generation) {
      generation = context.resources.generation
      kept.clear()
    }
    const known = kept.get(id)
    if (known !== undefined) return known
    const value = make()
    const made = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))
    const oldest = kept.keys().next()
    if (kept.size >= KEPT_MAX && !oldest.done) kept.delete(oldest.value)
    kept.set(id, made)
    return made
  }
  return {
    respond(path, request) {
      if (path === '/openapi/v2' && wantsProtobuf(request)) {
        const document = once(`${path} protobuf`, () =>
          encodeDocumentV2(documentV2(context, { paths: 'patch' })),
        )
        return taggedResponse(request, document, V2_PROTOBUF)
      }
      const body = bodyOf(context, path, once)
      if (body === null) return null
      if (!parseAccept(request.headers['accept']).some(range => JSON_TYPES.has(range.type))) {
        throw notAcceptable(['application/json'])
      }
      const response = taggedResponse(request, body, 'application/json')
      if (response.status !== 200 || !acceptsGzip(request.headers['accept-encoding'])) return response
      const headers = { ...response.headers, 'content-encoding': 'gzip', vary: 'Accept, Accept-Encoding' }
      return { ...response, headers, body: gzipped(inOnePiece(body)) }
    },
  }
}

/** The first type of Accept that is served is the one that counts. */
function wantsProtobuf(request: IncomingRequest): boolean {
  const served = parseAccept(request.headers['accept']).find(
    range => V2_PROTOBUF_ASKED.has(range.type) || JSON_TYPES.has(range.type),
  )
  return served !== undefined && V2_PROTOBUF_ASKED.has(served.type)
}

async function* inOnePiece(body: Buffer): AsyncGenerator<Uint8Array> {
  yield body
}

function bodyOf(
  context: ApiContext,
  path: string,
  once: (id: string, make: () => unknown) => Buffer,
): Buffer | null {
  if (path === '/openapi/v3') return once(path, () => indexDocument(context))
  if (path === '/openapi/v2') return once(path, () => documentV2(context, { paths: 'all' }))
  const name = path.startsWith('/openapi/v3/') ? path.slice('/openapi/v3/'.length) : ''
  const resources = context.resources.all.filter(one => documentName(one.info) === name)
  return resources.length === 0 ? null : once(path, () => documentV3(context, resources))
}

const documentName = ({ group, version }: ResourceInfo): string =>
  group === '' ? `api/${version}` : `apis/${group}/${version}`

/** The hash changes with the version of the server, and with definitions: what the documents depend on. */
function indexDocument(context: ApiContext): unknown {
  const paths: Record<string, unknown> = {}
  const custom = customSchemasByDocument(context)
  for (const { info } of context.resources.all) {
    const name = documentName(info)
    if (paths[name] !== undefined) continue
    const own = custom.get(name) ?? ''
    const hash = createHash('sha512').update(`${context.version.gitVersion} ${name}${own}`).digest('hex')
    paths[name] = {
      serverRelativeURL: `/openapi/v3/${name}?hash=${hash.slice(0, HASH_LENGTH).toUpperCase()}`,
    }
  }
  return { paths }
}

function customSchemasByDocument({ resources }: ApiContext): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const { info, custom } of resources.all) {
    if (custom === undefined) continue
    const name = documentName(info)
    found.set(name, `${found.get(name) ?? ''} ${JSON.stringify([info, custom.openApi])}`)
  }
  return found
}

const descriptionsOf = (context: ApiContext): Descriptions => context.descriptions() as Descriptions

/** The type names of kinds: of custom resources first, whose groups the model does not know. */
function typesOf(
  context: ApiContext,
  resources: readonly ServedResource[],
): (kind: GroupVersionKind) => string | undefined {
  const id = ({ group, version, kind }: GroupVersionKind) => `${group}/${version}/${kind}`
  const custom = resources.filter(one => one.custom !== undefined)
  const names = new Map(custom.map(({ info }) => [id(info), info.typeName]))
  return kind => names.get(id(kind)) ?? typeNameOf(context.model, kind)
}

function documentV3(context: ApiContext, resources: readonly ServedResource[]): unknown {
  const writer = new SchemaWriter(context.model, descriptionsOf(context), V3, customSchemas(resources))
  const paths: Record<string, unknown> = {}
  const typeOf = typesOf(context, resources)
  for (const { info, custom } of resources) {
    addResourcePaths(paths, info, writer, typeOf, custom !== undefined)
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: context.version.gitVersion },
    paths,
    components: {
      schemas: writer.schemas,
      securitySchemes: {
        BearerToken: { type: 'apiKey', name: 'authorization', in: 'header', description: 'Bearer token' },
      },
    },
  }
}

interface DocumentV2Options {
  /** `patch`: only what kubectl reads in the protobuf form, which kinds take which parameters in a PATCH. */
  readonly paths: 'all' | 'patch'
}

function documentV2(context: ApiContext, options: DocumentV2Options): Record<string, unknown> {
  const { all } = context.resources
  const writer = new SchemaWriter(context.model, descriptionsOf(context), V2, customSchemas(all))
  const paths: Record<string, unknown> = {}
  const typeOf = typesOf(context, all)
  for (const { info: resource, custom } of all) {
    writer.ref(resource.typeName)
    if (options.paths === 'all') addResourcePaths(paths, resource, writer, typeOf, custom !== undefined)
    else if (resource.verbs.includes('patch')) addPatchPath(paths, resource)
  }
  return {
    swagger: '2.0',
    info: { title: 'Kubernetes', version: context.version.gitVersion },
    paths: options.paths === 'all' ? pathsOfV2(paths) : paths,
    definitions: writer.schemas,
    securityDefinitions: {
      BearerToken: { type: 'apiKey', name: 'authorization', in: 'header', description: 'Bearer token' },
    },
  }
}
