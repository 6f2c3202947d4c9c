/** AdmissionReview v1: the question that a webhook is asked, and what counts as its answer. Pure. */
import { messageOf } from '../../../base/errors.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { type Status, StatusError } from '../../../kube/status.ts'
import { requestDocument } from '../admission/request-document.ts'
import type { AdmissionRequest, ResourceForm } from '../ports.ts'

export interface ReviewObjects {
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
}

export interface Verdict {
  readonly allowed: boolean
  readonly result: Partial<Status> | undefined
  /** Undefined when nothing is to be changed. */
  readonly patch: unknown[] | undefined
  readonly warnings: readonly string[]
  readonly auditAnnotations: Readonly<Record<string, string>>
}

const API_VERSION = 'admission.k8s.io/v1'
const EXPECTED = 'admission.k8s.io/v1, Kind=AdmissionReview'
const BAD_REQUEST = 400
const CODE_MAX = 599

/** The request in the form that the webhook's rules ask for. */
export function reviewOf(
  uid: string,
  request: AdmissionRequest,
  form: ResourceForm,
  objects: ReviewObjects,
): unknown {
  const document = requestDocument(request, form)
  return {
    kind: 'AdmissionReview',
    apiVersion: API_VERSION,
    request: { uid, ...document, ...objects, dryRun: request.dryRun, options: request.options() },
  }
}

interface RawResponse {
  readonly uid?: unknown
  readonly allowed?: unknown
  readonly status?: Partial<Status>
  readonly patch?: unknown
  readonly patchType?: unknown
  readonly warnings?: unknown
  readonly auditAnnotations?: unknown
}

/** The answer is not what AdmissionReview says it must be. */
export class InvalidAnswer extends Error {}

/** A patch that cannot be read is the webhook's failure, but no reason to go on without it. */
export class InvalidPatch extends Error {}

/** Throws InvalidAnswer with the reason. */
export function verdictOf(answer: unknown, uid: string, isMutating: boolean): Verdict {
  const review = (isObject(answer) ? answer : {}) as {
    apiVersion?: unknown
    kind?: unknown
    response?: unknown
  }
  if (!isObject(review.response)) throw new InvalidAnswer('webhook response was absent')
  const response = review.response as RawResponse
  if (response.uid !== uid) {
    const got = JSON.stringify(String(response.uid ?? ''))
    throw new InvalidAnswer(`expected response.uid=${JSON.stringify(uid)}, got ${got}`)
  }
  if (review.apiVersion !== API_VERSION || review.kind !== 'AdmissionReview') {
    const got = `${review.apiVersion ?? '/'}, Kind=${review.kind ?? ''}`
    throw new InvalidAnswer(`expected webhook response of ${EXPECTED}, got ${got}`)
  }
  checkPatch(response, isMutating)
  return {
    allowed: response.allowed === true,
    result: isObject(response.status) ? statusOf(response.status) : undefined,
    patch: response.patch && response.allowed === true ? readPatch(response.patch) : undefined,
    warnings: Array.isArray(response.warnings) ? response.warnings.map(String) : [],
    auditAnnotations: isObject(response.auditAnnotations) ? texts(response.auditAnnotations) : {},
  }
}

/** Clients cannot read a Status whose fields have other types. */
function statusOf(status: Record<string, unknown>): Partial<Status> {
  for (const field of ['status', 'message', 'reason']) {
    const value = status[field]
    if (value !== undefined && value !== null && typeof value !== 'string') throw wrongField(field, 'string')
  }
  const { code, details } = status
  if (code !== undefined && code !== null && !Number.isInteger(code)) throw wrongField('code', 'int32')
  if (details !== undefined && details !== null && !isObject(details)) {
    throw wrongField('details', 'v1.StatusDetails')
  }
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== null))
}

const wrongField = (field: string, type: string): InvalidAnswer =>
  new InvalidAnswer(
    `json: cannot unmarshal into Go struct field Status.response.status.${field} of type ${type}`,
  )

function checkPatch({ patch, patchType }: RawResponse, isMutating: boolean): void {
  const hasPatch = patch !== undefined && patch !== null && patch !== ''
  const hasType = patchType !== undefined && patchType !== null
  if (!isMutating) {
    if (hasPatch) throw new InvalidAnswer('validating webhook may not return response.patch')
    if (hasType) throw new InvalidAnswer('validating webhook may not return response.patchType')
    return
  }
  if (hasPatch && !hasType) {
    throw new InvalidAnswer('webhook returned response.patch but not response.patchType')
  }
  if (hasType && !hasPatch) {
    throw new InvalidAnswer('webhook returned response.patchType but not response.patch')
  }
  if (hasPatch && patchType === '') {
    throw new InvalidAnswer('webhook returned invalid response.patchType of ""')
  }
  if (hasPatch && patchType !== 'JSONPatch') {
    throw new InvalidAnswer(`unsupported patch type ${JSON.stringify(patchType)}`)
  }
}

function readPatch(patch: unknown): unknown[] | undefined {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(String(patch), 'base64').toString('utf8'))
  } catch (error) {
    throw new InvalidPatch(messageOf(error))
  }
  if (value === null) return undefined
  if (!Array.isArray(value)) {
    throw new InvalidPatch('json: cannot unmarshal object into Go value of type jsonpatch.Patch')
  }
  return value.length === 0 ? undefined : value
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const texts = (map: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, String(value)]))

/** The refusal as the client gets it: never a success, always saying who refused. */
export function denial(name: string, result: Partial<Status> | undefined): StatusError {
  const head = `admission webhook ${JSON.stringify(name)} denied the request`
  const { message = '', reason = '', code = 0, status = '' } = result ?? {}
  const why = message || reason
  return new StatusError({
    ...result,
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: status === '' || status === 'Success' ? 'Failure' : status,
    message: why === '' ? `${head} without explanation` : `${head}: ${why}`,
    code: code > CODE_MAX ? BAD_REQUEST : Math.max(code, BAD_REQUEST),
  })
}
