/** Certificate signing requests: who asks is the server's to say; approval and status have their own doors. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkPathSegmentName } from '../../../../kube/names.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import { formatTime, humanDuration } from '../../../../kube/time.ts'
import type { CertificateSigningRequest } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind, takeField } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at, eachDuplicate, semanticallyEqual } from '../support.ts'
import { checkSignerName, checkUsages } from './signing-rules.ts'

const PEM_HEAD = '-----BEGIN CERTIFICATE REQUEST-----'
const SECONDS_MIN = 600
const DECISIONS = ['Approved', 'Denied']
/** Conditions that are true or absent, and stay once they are there. */
const TRUE_ONLY = [...DECISIONS, 'Failed']
const STATUSES = ['True', 'False', 'Unknown']

type Csr = CertificateSigningRequest

function conditionText({ status }: Csr): string {
  const types = new Set((status?.conditions ?? []).map(item => item.type))
  const parts = [types.has('Denied') ? 'Denied' : types.has('Approved') ? 'Approved' : 'Pending']
  if (types.has('Failed')) parts.push('Failed')
  if (status?.certificate) parts.push('Issued')
  return parts.join(',')
}

function validate(object: KubeObject): readonly FieldError[] {
  const { spec } = asKind<Csr>(object)
  const out: FieldError[] = []
  const request = Buffer.from(spec?.request ?? '', 'base64').toString()
  if (!request.includes(PEM_HEAD)) {
    const detail = 'PEM block type must be CERTIFICATE REQUEST'
    out.push(invalid('spec.request', spec?.request ?? '', detail))
  }
  checkUsages(out, spec?.usages ?? [])
  checkSignerName(out, 'spec.signerName', spec?.signerName ?? '')
  const seconds = spec?.expirationSeconds
  if (seconds !== undefined && seconds < SECONDS_MIN) {
    out.push(
      invalid(
        'spec.expirationSeconds',
        seconds,
        'may not specify a duration less than 600 seconds (10 minutes)',
      ),
    )
  }
  return out
}

/** Approved and Denied come through `approval` only, and stay. */
function keepDecisions(next: Csr, previous: Csr): void {
  const isDecision = (item: { type: string }) => DECISIONS.includes(item.type)
  const kept = (previous.status?.conditions ?? []).filter(isDecision)
  const others = (next.status?.conditions ?? []).filter(item => !isDecision(item))
  const conditions = [...kept, ...others]
  if (conditions.length > 0) next.status = { ...next.status, conditions }
}

/** A condition without times gets those of now; one whose status stays keeps when it came to it. */
function fillTimes(next: Csr, previous: Csr, now: string): void {
  for (const condition of next.status?.conditions ?? []) {
    condition.lastUpdateTime ??= now
    if (condition.lastTransitionTime) continue
    const before = previous.status?.conditions?.find(
      item => item.type === condition.type && item.status === condition.status,
    )
    condition.lastTransitionTime = before?.lastTransitionTime ?? now
  }
}

function conditionProblems(next: Csr, previous: Csr): readonly FieldError[] {
  const path = 'status.conditions'
  const out: FieldError[] = []
  const conditions = next.status?.conditions ?? []
  eachDuplicate(
    conditions,
    item => item.type,
    (item, index) => out.push(duplicate(`${at(path, index)}.type`, item.type)),
  )
  for (const [index, { type, status }] of conditions.entries()) {
    if (!type) out.push(required(`${at(path, index)}.type`))
    if (!TRUE_ONLY.includes(type)) {
      if (STATUSES.includes(status)) continue
      out.push(notSupported(`${at(path, index)}.status`, status, STATUSES))
    } else if (!status) out.push(required(`${at(path, index)}.status`))
    else if (status !== 'True') out.push(invalid(`${at(path, index)}.status`, status, 'must be True'))
  }
  if (DECISIONS.every(decision => conditions.some(({ type }) => type === decision))) {
    const index = conditions.findLastIndex(({ type }) => DECISIONS.includes(type))
    const detail = 'Approved and Denied conditions are mutually exclusive'
    out.push(invalid(`${at(path, index)}.type`, conditions[index]?.type ?? '', detail))
  }
  for (const old of previous.status?.conditions ?? []) {
    if (!TRUE_ONLY.includes(old.type)) continue
    const now = conditions.find(item => item.type === old.type)
    if (semanticallyEqual(now, old)) continue
    const what = now === undefined ? 'remove' : 'modify'
    out.push(forbidden(path, `updates may not ${what} a condition of type ${JSON.stringify(old.type)}`))
  }
  return out
}

const conditionUpdateProblems = (next: KubeObject, previous: KubeObject): readonly FieldError[] =>
  conditionProblems(asKind<Csr>(next), asKind<Csr>(previous))

export const certificateRequests: Strategy = defineKind({
  group: 'certificates.k8s.io',
  resource: 'certificatesigningrequests',
  hasStatus: true,
  hasGeneration: false,
  // Requests may have any name.
  validateName: name => checkPathSegmentName(name)[0] ?? null,
  prepareForCreate(object, context) {
    const { spec } = asKind<Csr>(object)
    if (!spec) return
    const { user } = context
    spec.username = user?.username ?? context.username
    spec.groups = [...(user?.groups ?? [])]
    delete spec.uid
    delete spec.extra
    if (user?.uid !== undefined) spec.uid = user.uid
    if (!user?.extra) return
    spec.extra = Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]]))
  },
  prepareForUpdate: (next, previous) => takeField(next, previous, 'spec'),
  prepareForStatusUpdate(next, previous, context) {
    keepDecisions(asKind<Csr>(next), asKind<Csr>(previous))
    fillTimes(asKind<Csr>(next), asKind<Csr>(previous), formatTime(context.nowMs))
  },
  validateStatusUpdate: conditionUpdateProblems,
  subresources: {
    approval: {
      prepareForUpdate(next, previous, context) {
        const conditions = asKind<Csr>(next).status?.conditions
        takeField(next, previous, 'spec')
        takeField(next, previous, 'status')
        const { conditions: _before, ...status } = asKind<Csr>(next).status ?? {}
        asKind<Csr>(next).status = conditions ? { ...status, conditions } : status
        fillTimes(asKind<Csr>(next), asKind<Csr>(previous), formatTime(context.nowMs))
      },
      validateUpdate: conditionUpdateProblems,
    },
  },
  validate,
  selectableFields: object => ({ 'spec.signerName': asKind<Csr>(object).spec?.signerName ?? '' }),
  table: tableOf<Csr>(
    [
      nameColumn,
      ageColumn,
      column('SignerName', 'Who is to sign'),
      column('Requestor', 'Who asks'),
      column('RequestedDuration', 'How long the certificate is to be valid'),
      column('Condition', 'How far the request is'),
    ],
    (csr, nowMs) => [
      csr.metadata.name ?? '',
      since(csr.metadata.creationTimestamp, nowMs),
      csr.spec?.signerName || NONE,
      csr.spec?.username ?? '',
      csr.spec?.expirationSeconds === undefined ? NONE : humanDuration(csr.spec.expirationSeconds * 1000),
      conditionText(csr),
    ],
  ),
})
