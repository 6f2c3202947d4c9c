/**
 * Requests as nobody would make them, thousands out of a seed: none crashes the server, hangs, or changes anything
 * with an answer that is an error. `MK8S_SEED` chooses others than those of every day.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readAsset } from '../../../../src/host/assets.ts'
import { encodeCbor } from '../../../../src/kube/cbor/cbor.ts'
import type { ResourceInfo } from '../../../../src/kube/model-types.ts'
import { createProtobufCodec, inEnvelope } from '../../../../src/kube/protobuf/protobuf.ts'
import { randomObject, seededRandom } from '../../../support/random-objects.ts'
import { cronDefinition, cronTab, DEFINITIONS, establish } from './extensions/definition-fixture.ts'
import { deployment, makeServer, pod, realModel, type Server } from './harness.ts'

const SEED = Number(process.env['MK8S_SEED'] ?? 1)
const REQUESTS = 4_000
const ANSWER_MS = 20_000
/** Upstream has 500 without a reason for configurations and patches that do not fit; a crash has a reason. */
const CRASH = 'InternalError'
const JSON_TYPE = 'application/json'
const CBOR = 'application/cbor'
const PROTOBUF = 'application/vnd.kubernetes.protobuf'

const names = [
  'web',
  'p',
  'x',
  'default',
  'kube-system',
  'A_B',
  '.',
  '%2e%2e',
  '%00',
  '%F0%9F%98%80',
  'x'.repeat(300),
  '',
]
const types = [
  JSON_TYPE,
  'application/yaml',
  CBOR,
  PROTOBUF,
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/json-patch+json',
  'application/apply-patch+yaml',
  'application/apply-patch+cbor',
  'text/html',
  'application/json;as=Table;g=meta.k8s.io;v=v1',
  `${PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`,
  'application/json;as=;v=',
  ';;;',
  '*/*',
  '',
]
const values = [
  '',
  '0',
  '1',
  '-1',
  '99999999999999999999',
  'true',
  'false',
  'All',
  'Strict',
  'Exact',
  'NotOlderThan',
  'a=b',
  '!a',
  'a in (b',
  'metadata.name=x',
  'spec.nodeName!=',
  'eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ',
  'Foreground',
  '\u0000',
  'é',
  'NaN',
  '1e3',
]
const parameters = [
  'labelSelector',
  'fieldSelector',
  'limit',
  'continue',
  'resourceVersion',
  'resourceVersionMatch',
  'dryRun',
  'fieldManager',
  'fieldValidation',
  'force',
  'propagationPolicy',
  'gracePeriodSeconds',
  'orphanDependents',
  'sendInitialEvents',
  'allowWatchBookmarks',
  'timeoutSeconds',
  'timeout',
  'pretty',
  'container',
  'tailLines',
  'sinceTime',
  'command',
  'path',
  'unknown',
]
const methods = [
  'GET',
  'GET',
  'POST',
  'POST',
  'PUT',
  'PATCH',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'CONNECT',
  'FETCH',
]
const elsewhere = [
  '/',
  '/api',
  '/apis',
  '/apis/apps',
  '/version',
  '/openapi/v2',
  '/openapi/v3',
  '/openapi/v3/api/v1',
  '/livez',
  '/metrics',
  '/.well-known/openid-configuration',
  '/api/v2/pods',
  '/apis/none.io/v1/x',
  '/api/v1/watch/pods',
  '/api/v1/proxy/x',
  '//api//v1//pods',
  '/api/v1/namespaces/default/pods/p/exec/more/parts',
  '/debug/api_priority_and_fairness/dump_queues',
  '/configz',
]
const operations = ['add', 'remove', 'replace', 'move', 'copy', 'test', 'x']
const pointers = [
  '',
  '/',
  '/metadata',
  '/metadata/labels/a',
  '/metadata/name',
  '/spec/replicas',
  '/spec/containers/0',
  '/status',
  '/__proto__/x',
  '/kind',
  'x',
]

type Json = Record<string, unknown>
const strange: readonly unknown[] = [
  null,
  5,
  -1,
  2 ** 53,
  0.5,
  '',
  'a',
  'A b',
  'x'.repeat(70_000),
  '\u0000',
  [],
  {},
  [null],
  [[]],
  [{}],
  true,
  { a: null },
  { $patch: 'replace' },
]
/** Collections, and an object of each that is there. */
const known: readonly (readonly [path: string, object: object])[] = [
  ['/api/v1/namespaces/default/pods', pod('p')],
  ['/apis/apps/v1/namespaces/default/deployments', deployment('web')],
  [
    '/apis/stable.example.com/v1/namespaces/default/crontabs',
    cronTab('tab', { ports: [{ name: 'a', port: 1 }] }),
  ],
  [DEFINITIONS, cronDefinition()],
  [
    '/api/v1/namespaces/default/services',
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'svc', labels: { a: 'b' }, finalizers: [] },
      spec: { selector: { a: 'b' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
    },
  ],
  [
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'role' },
      rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }],
    },
  ],
  [
    '/api/v1/namespaces/default/configmaps',
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'map', annotations: { a: 'b' } },
      data: { a: 'b' },
    },
  ],
]

class Fuzzer {
  readonly #random: () => number
  readonly #codec = createProtobufCodec(JSON.parse(readAsset('protobuf.json')))
  readonly #resources = realModel().resources

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** Half of them are good requests with one or two things changed, which come further. */
  request() {
    return this.chance(0.5) ? this.#nearlyGood() : this.#any()
  }

  #nearlyGood() {
    const [path, good] = this.pick(known)
    const method = this.pick(['POST', 'PUT', 'PUT', 'PATCH', 'PATCH', 'PATCH', 'DELETE'])
    const object = structuredClone(good) as Json
    const { name } = object['metadata'] as { name: string }
    for (let count = this.chance(0.3) ? 0 : this.chance(0.7) ? 1 : 2; count > 0; count--) this.#change(object)
    if (method === 'POST' && this.chance(0.7)) {
      object['metadata'] = { ...(object['metadata'] as Json), name: this.pick(['n1', 'n2', 'n3']) }
    }
    const type = this.pick(method === 'PATCH' ? types.slice(4, 9) : types.slice(0, 3))
    const isApply = method === 'PATCH' && type.includes('apply')
    const body = type.endsWith('cbor')
      ? encodeCbor(object)
      : Buffer.from(JSON.stringify(type.includes('json-patch') ? this.#jsonPatch() : object))
    const query = isApply ? `?fieldManager=m${this.chance(0.5) ? '&force=true' : ''}` : this.#query()
    const place = method === 'POST' ? path : `${path}/${name}${this.chance(0.1) ? '/status' : ''}`
    return { method, path: `${place}${query}`, headers: { 'content-type': type }, body }
  }

  /** Goes down some way and puts something else there. */
  #change(object: Json): void {
    let place: Json = object
    for (;;) {
      const key = this.pick(Object.keys(place))
      const inner = place[key]
      const isDeep = typeof inner === 'object' && inner !== null && Object.keys(inner).length > 0
      if (isDeep && this.chance(0.8)) {
        place = inner as Json
        continue
      }
      if (this.chance(0.3)) delete place[key]
      else place[this.chance(0.8) ? key : 'other'] = this.pick(strange)
      return
    }
  }

  #any() {
    const resource = this.pick(this.#resources)
    const method = this.pick(methods)
    const headers: Record<string, string> = {}
    if (this.chance(0.9)) headers['accept'] = this.chance(0.5) ? JSON_TYPE : this.pick(types)
    if (this.chance(0.05))
      headers[this.pick(['if-none-match', 'content-encoding', 'connection'])] = this.pick(['*', 'gzip', 'x'])
    const hasBody = method !== 'GET' && this.chance(0.9)
    const sent = hasBody ? this.#body(resource) : undefined
    if (sent !== undefined && this.chance(0.97))
      headers['content-type'] = this.chance(0.8) ? sent.type : this.pick(types)
    return {
      method,
      path: this.#path(resource),
      headers,
      ...(sent === undefined ? {} : { body: sent.bytes }),
    }
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T
  }

  chance(share: number): boolean {
    return this.#random() < share
  }

  #path(resource: ResourceInfo): string {
    if (this.chance(0.08)) return this.pick(elsewhere) + this.#query()
    const root =
      resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
    const isCustom = this.chance(0.08)
    const place =
      this.chance(0.85) === resource.namespaced
        ? `/namespaces/${this.chance(0.8) ? 'default' : this.pick(names)}`
        : ''
    const parts = isCustom
      ? ['/apis/stable.example.com/v1/namespaces/default/crontabs']
      : [root + place, `/${resource.resource}`]
    if (this.chance(0.6)) parts.push(`/${this.pick(names)}`)
    if (this.chance(0.3))
      parts.push(
        `/${this.pick(['status', 'scale', 'log', 'exec', 'eviction', 'binding', 'token', 'finalize', 'proxy', 'ephemeralcontainers', 'resize', 'approval', 'x'])}`,
      )
    return parts.join('') + this.#query()
  }

  #query(): string {
    const query = new URLSearchParams()
    while (this.chance(0.35)) query.append(this.pick(parameters), this.pick(values))
    if (this.chance(0.05)) query.append('watch', this.pick(['1', 'true', 'x']))
    const text = query.toString()
    return text === '' ? '' : `?${text}`
  }

  #body(resource: ResourceInfo): { type: string; bytes: Buffer } {
    const object = this.#object(resource)
    const kind = this.#random()
    if (kind < 0.4)
      return { type: this.pick(types.slice(0, 2)), bytes: this.#mangled(Buffer.from(JSON.stringify(object))) }
    if (kind < 0.5)
      return {
        type: this.pick([CBOR, 'application/apply-patch+cbor']),
        bytes: this.#mangled(encodeCbor(object)),
      }
    if (kind < 0.6) return { type: PROTOBUF, bytes: this.#mangled(this.#protobuf(resource, object)) }
    if (kind < 0.7)
      return {
        type: 'application/json-patch+json',
        bytes: this.#mangled(Buffer.from(JSON.stringify(this.#jsonPatch()))),
      }
    if (kind < 0.95)
      return { type: this.pick(types.slice(4, 8)), bytes: this.#mangled(Buffer.from(JSON.stringify(object))) }
    return {
      type: this.pick(types),
      bytes: this.pick([
        Buffer.alloc(0),
        Buffer.from('['.repeat(20_000)),
        Buffer.from('a: &a [*a, *a]'),
        Buffer.from([0xff, 0xfe, 0x00]),
        Buffer.from('{"a":'.repeat(5_000)),
        Buffer.from('--- \n---\n'),
      ]),
    }
  }

  #object(resource: ResourceInfo): Record<string, unknown> {
    const made = randomObject(realModel(), resource.typeName, this.#random)
    const metadata = {
      ...(this.chance(0.5) ? (made['metadata'] as object) : {}),
      name: this.pick(names),
      namespace: 'default',
    }
    const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
    const whole: Record<string, unknown> = { apiVersion, kind: resource.kind, ...made, metadata }
    const key = this.pick(Object.keys(whole))
    if (this.chance(0.4))
      whole[key] = this.pick<unknown>([
        null,
        5,
        '',
        [],
        {},
        [null],
        { $patch: 'delete' },
        { __proto__x: 1 },
        -0.5,
        '\u0000',
      ])
    return whole
  }

  #jsonPatch(): unknown {
    const one = () => ({
      op: this.pick(operations),
      path: this.pick(pointers),
      from: this.pick(pointers),
      value: this.pick<unknown>([null, 1, 'x', {}, []]),
    })
    return this.chance(0.9) ? [one(), one()].slice(0, this.chance(0.5) ? 1 : 2) : one()
  }

  #protobuf({ typeName, kind, group, version }: ResourceInfo, object: Record<string, unknown>): Buffer {
    try {
      return inEnvelope(
        group === '' ? version : `${group}/${version}`,
        kind,
        this.#codec.encode(typeName, object),
      )
    } catch {
      return Buffer.from('k8s\u0000')
    }
  }

  /** Now and then cut short, or with bits turned over. */
  #mangled(bytes: Buffer): Buffer {
    if (this.chance(0.6) || bytes.length === 0) return bytes
    if (this.chance(0.3)) return bytes.subarray(0, Math.floor(this.#random() * bytes.length))
    const copy = Buffer.from(bytes)
    for (let count = 0; count < 3; count++) {
      const at = Math.floor(this.#random() * copy.length)
      copy[at] = Math.floor(this.#random() * 256)
    }
    return copy
  }
}

type Made = ReturnType<Fuzzer['request']>

/** The status; the answer is read to its end, a watch for a moment only. */
async function answered(
  server: Server,
  { method, path, headers, body }: Made,
): Promise<{ readonly status: number; readonly isCrash: boolean }> {
  const gone = new AbortController()
  const reply = await server.raw(method, path, {
    headers,
    signal: gone.signal,
    ...(body === undefined ? {} : { body }),
  })
  if (!(reply.body instanceof Uint8Array)) {
    const pieces = reply.body[Symbol.asyncIterator]()
    const isWatch = /[?&](watch|follow)=/.test(path) || path.includes('/watch/')
    if (isWatch) {
      const first = pieces.next()
      gone.abort()
      await first.catch(() => null)
      await pieces.return?.()
    } else while (!(await pieces.next()).done);
  }
  const said = reply.body instanceof Uint8Array ? Buffer.from(reply.body).toString('latin1') : ''
  return { status: reply.status, isCrash: reply.status === 500 && said.includes(CRASH) }
}

test('fuzzed requests never crash or hang, and never change anything with an error', async () => {
  const server = makeServer()
  await server.call('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'default' },
  })
  const fuzzer = new Fuzzer(SEED)
  const seen = new Map<number, number>()
  for (let count = 0; count < REQUESTS; count++) {
    if (count % 200 === 0) {
      await restored(server)
    }
    const made = fuzzer.request()
    const told = `seed ${SEED}, request ${count}: ${made.method} ${made.path} ${JSON.stringify(made.headers)} ${made.body?.toString('latin1').slice(0, 2_000)}`
    const before = server.store.revision
    const { status, isCrash } = await inTime(answered(server, made), told)
    assert.ok(!isCrash, told)
    if (status >= 400) assert.equal(server.store.revision, before, `changed by ${status}: ${told}`)
    seen.set(status, (seen.get(status) ?? 0) + 1)
  }
  const successes = (seen.get(200) ?? 0) + (seen.get(201) ?? 0)
  assert.ok(
    successes > REQUESTS / 10,
    `too few requests were good for anything: ${JSON.stringify([...seen])}`,
  )
  assert.equal((await server.call('GET', '/api/v1/namespaces/default/pods')).status, 200)
})

/** What requests took away or left behind. */
async function restored(server: Server): Promise<void> {
  for (const [path, object] of known) {
    for (const name of ['n1', 'n2', 'n3']) await server.call('DELETE', `${path}/${name}`)
    await server.call('POST', path, object)
  }
  await establish(server, 'crontabs.stable.example.com')
}

async function inTime<T>(work: Promise<T>, told: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer: ${told}`)), ANSWER_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
