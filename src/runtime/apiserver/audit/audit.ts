/**
 * The door of the audit log: follows a request from its arrival to the end of its answer, and writes the stages that
 * the policy asks for. Where there is no policy, nothing of this exists.
 */

import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { decodeCbor } from '../../../kube/cbor/cbor.ts'
import { isMap } from '../../../kube/json-map.ts'
import { unauthorized } from '../../../kube/status.ts'
import { parseYaml } from '../../../kube/yaml.ts'
import type { AuditTrail, AuthenticatedRequest, RefusedRequest } from '../authenticated-request.ts'
import type { Encodings } from '../negotiation/encodings.ts'
import type { Decision } from '../ports.ts'
import type { RequestInfo } from '../requests/request-info.ts'
import { errorResponse } from '../requests/respond.ts'
import type { UserInfo } from '../user.ts'
import { type Judgement, judge, type Policy, type Stage } from './policy.ts'

export interface AuditParts {
  readonly policy: Policy
  /** Takes one event as a line of JSON; never waits. */
  readonly write: (line: string) => void
  readonly clock: Pick<Clock, 'now'>
  readonly random: Pick<Random, 'uuid'>
}

export type AuditedInfo = RequestInfo & {
  readonly isLong: boolean
  readonly encodings: Pick<Encodings, 'protobuf' | 'protobufType'>
}

export interface Audit {
  /** Runs the request with a trail, or without one if nothing is to be written of it. */
  follow(
    request: AuthenticatedRequest,
    info: AuditedInfo,
    run: (request: AuthenticatedRequest) => Promise<KubeResponse>,
  ): Promise<KubeResponse>
  /** Writes that nobody knew who asked. */
  refused(request: RefusedRequest, info: AuditedInfo): void
}

const NOBODY: UserInfo = { username: '', groups: [] }

/** Bodies up to so many bytes are written; longer ones are left out, as those that are no objects. */
const BODY_BYTES_MAX = 1024 * 1024
const AUDIT_ID = 'audit-id'

export function createAudit(parts: AuditParts): Audit {
  return {
    async follow(request, info, run) {
      const judgement = judge(parts.policy, request.user, info)
      const id = request.headers?.[AUDIT_ID] ?? parts.random.uuid()
      if (judgement.level === 'None') return withId(await run(request), id)
      const trail = new Trail(parts, request, info, judgement, id)
      trail.write('RequestReceived')
      const response = await run({ ...request, audit: trail })
      return withId(info.isLong ? trail.during(response) : trail.complete(response), id)
    },
    refused(request, info) {
      const judgement = judge(parts.policy, NOBODY, info)
      if (judgement.level === 'None') return
      const id = request.headers?.[AUDIT_ID] ?? parts.random.uuid()
      const scheme = /^(bearer|basic) /i.exec(request.headers?.['authorization'] ?? '')?.[1]?.toLowerCase()
      const attempt = scheme === undefined ? 'no credentials provided' : `attempted: ${scheme}`
      const response = errorResponse(unauthorized(`Authentication failed, ${attempt}`))
      new Trail(parts, { ...request, user: NOBODY }, info, { ...judgement, level: 'Metadata' }, id).write(
        'ResponseStarted',
        response,
      )
    },
  }
}

const withId = (response: KubeResponse, id: string): KubeResponse => ({
  ...response,
  headers: { ...response.headers, [AUDIT_ID]: id },
})

class Trail implements AuditTrail {
  readonly annotations = new Map<string, string>()
  readonly #parts: AuditParts
  readonly #request: AuthenticatedRequest
  readonly #info: AuditedInfo
  readonly #judgement: Judgement
  readonly #id: string
  readonly #receivedAt: string
  #impersonated: UserInfo | null = null
  #constraint: string | undefined
  #hasPanicked = false

  constructor(
    parts: AuditParts,
    request: AuthenticatedRequest,
    info: AuditedInfo,
    judgement: Judgement,
    id: string,
  ) {
    this.#parts = parts
    this.#request = request
    this.#info = info
    this.#judgement = judgement
    this.#id = id
    this.#receivedAt = microTime(parts.clock.now())
  }

  impersonated(user: UserInfo, constraint?: string): void {
    this.#impersonated = user
    this.#constraint = constraint
  }

  decided({ allowed, reason }: Decision): void {
    this.annotations.set('authorization.k8s.io/decision', allowed ? 'allow' : 'forbid')
    this.annotations.set('authorization.k8s.io/reason', reason)
  }

  panicked(): void {
    this.#hasPanicked = true
  }

  complete(response: KubeResponse): KubeResponse {
    this.write(this.#hasPanicked ? 'Panic' : 'ResponseComplete', response)
    return response
  }

  /** A long answer is complete when it ends, whoever ends it. */
  during(response: KubeResponse): KubeResponse {
    const { body, upgraded } = response
    const isStream = !(body instanceof Uint8Array)
    if (!isStream && upgraded === undefined) return this.complete(response)
    this.write('ResponseStarted', response)
    if (upgraded !== undefined) {
      upgraded.once('close', () => this.complete(response))
      return response
    }
    const end = () => this.complete(response)
    return isStream ? { ...response, body: withEnd(body, end) } : response
  }

  write(stage: Stage, response: KubeResponse | null = null): void {
    if (this.#judgement.omitStages.includes(stage)) return
    const { level } = this.#judgement
    const { user, headers, path, query, sourceAddress } = this.#request
    const parameters = query?.toString() ?? ''
    const event = {
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level,
      auditID: this.#id,
      stage,
      requestURI: parameters === '' ? path : `${path}?${parameters}`,
      verb: this.#info.verb,
      user: user === NOBODY ? {} : wireUser(user),
      ...(this.#impersonated !== null && { impersonatedUser: wireUser(this.#impersonated) }),
      ...(this.#constraint !== undefined && {
        authenticationMetadata: { impersonationConstraint: this.#constraint },
      }),
      sourceIPs: sourcesOf(headers, sourceAddress?.()),
      ...(headers?.['user-agent'] !== undefined && { userAgent: headers['user-agent'] }),
      ...this.#objectRef(response),
      ...(response !== null && { responseStatus: this.#statusOf(response) }),
      ...this.#bodies(response),
      requestReceivedTimestamp: this.#receivedAt,
      stageTimestamp: microTime(this.#parts.clock.now()),
      ...(this.annotations.size > 0 && { annotations: Object.fromEntries(this.annotations) }),
    }
    this.#parts.write(JSON.stringify(event))
  }

  #objectRef(response: KubeResponse | null) {
    const { isResource, resource, namespace, name, group, version, subresource } = this.#info
    if (!isResource) return {}
    // The name of what generateName made is known from the answer only.
    const made =
      response === null || name !== '' || this.#info.verb !== 'create' ? null : answerOf(response, this.#info)
    const metadata =
      isMap(made) && made['kind'] !== 'Status' && isMap(made['metadata']) ? made['metadata'] : {}
    const shown = name === '' && typeof metadata['name'] === 'string' ? metadata['name'] : name
    const fields = { resource, namespace, name: shown, apiGroup: group, apiVersion: version, subresource }
    const given = Object.entries(fields).filter(([, value]) => value !== '')
    return { objectRef: Object.fromEntries(given) }
  }

  #statusOf(response: KubeResponse): Record<string, unknown> {
    const { status: code } = response
    if (this.#hasPanicked) return { metadata: {}, status: 'Failure', reason: 'InternalError', code: 500 }
    const answer = code >= 400 ? answerOf(response, this.#info) : null
    if (!isMap(answer) || answer['kind'] !== 'Status') return { metadata: {}, code }
    const { status, message, reason, details } = answer
    return JSON.parse(JSON.stringify({ metadata: {}, status, message, reason, details, code }))
  }

  #bodies(response: KubeResponse | null) {
    const { level, omitManagedFields } = this.#judgement
    if (level === 'Metadata' || response === null || !this.#info.isResource) return {}
    const strip = (value: unknown) => (omitManagedFields ? withoutManagedFields(value) : value)
    const asked = bodyOf(this.#request.body, this.#request.headers?.['content-type'], this.#info)
    const answered = level === 'RequestResponse' ? answerOf(response, this.#info) : undefined
    return {
      ...(asked !== undefined && { requestObject: strip(asked) }),
      ...(answered !== undefined && { responseObject: strip(answered) }),
    }
  }
}

const answerOf = ({ body, headers }: KubeResponse, info: AuditedInfo): unknown =>
  body instanceof Uint8Array ? bodyOf(body, headers['content-type'], info) : undefined

/** An object in one of the encodings of the API; undefined for anything else. */
function bodyOf(body: Uint8Array | undefined, type: string | undefined, info: AuditedInfo): unknown {
  if (body === undefined || body.length === 0 || body.length > BODY_BYTES_MAX) return undefined
  try {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    if (/protobuf/.test(type ?? '')) return protobufBody(bytes, info.encodings)
    if (/cbor/.test(type ?? '')) return decodeCbor(bytes)
    const text = bytes.toString('utf8')
    if (/yaml/.test(type ?? '')) return parseYaml(text)
    return type === undefined || /json/.test(type) ? JSON.parse(text) : undefined
  } catch {
    return undefined
  }
}

/** Behind the four bytes that say it is one, an envelope begins with apiVersion and kind, which are short. */
function protobufBody(bytes: Buffer, { protobuf, protobufType }: AuditedInfo['encodings']): unknown {
  const texts: string[] = []
  for (let at = 6, end = 6 + (bytes[5] ?? 0); at < end && texts.length < 2; at += 2 + (bytes[at + 1] ?? 0))
    texts.push(bytes.toString('utf8', at + 2, at + 2 + (bytes[at + 1] ?? 0)))
  const [apiVersion = '', kind = ''] = texts
  const [version = '', group = ''] = apiVersion.split('/').reverse()
  const typeName = protobufType({ group, version, kind })
  if (typeName === null) return undefined
  return { ...protobuf.decode(bytes, typeName), apiVersion, kind }
}

function withoutManagedFields(value: unknown): unknown {
  if (!isMap(value)) return value
  const { items } = value
  const metadata = isMap(value['metadata']) ? { ...value['metadata'] } : undefined
  delete metadata?.['managedFields']
  return {
    ...value,
    ...(metadata !== undefined && { metadata }),
    ...(Array.isArray(items) && { items: items.map(withoutManagedFields) }),
  }
}

async function* withEnd(body: AsyncIterable<Uint8Array>, end: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } finally {
    end()
  }
}

/** As X-Forwarded-For and X-Real-Ip claim, then who is really at the other end. */
function sourcesOf(headers: AuthenticatedRequest['headers'], address: string | undefined): readonly string[] {
  const forwarded = (headers?.['x-forwarded-for'] ?? '').split(',').map(one => one.trim())
  const claimed = [...forwarded, headers?.['x-real-ip']?.trim() ?? ''].filter(one =>
    /^[0-9a-fA-F.:]+$/.test(one),
  )
  return [...new Set([...claimed, address ?? '127.0.0.1'])]
}

function wireUser({ username, uid, groups, extra }: UserInfo): Record<string, unknown> {
  return {
    username,
    ...(uid !== undefined && uid !== '' && { uid }),
    groups,
    ...(extra !== undefined && Object.keys(extra).length > 0 && { extra }),
  }
}

const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z')
