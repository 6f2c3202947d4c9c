/** Certificate signing requests: who asks is the server's to say; approval and status have their own doors. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import type { KubeObject } from '../../../../kube/object.ts'
import { humanDuration } from '../../../../kube/time.ts'
import type { CertificateSigningRequest } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind, takeField } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'

const PEM_HEAD = '-----BEGIN CERTIFICATE REQUEST-----'
const SECONDS_MIN = 600
const DECISIONS = ['Approved', 'Denied']

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
  if ((spec?.usages ?? []).length === 0) out.push(required('spec.usages'))
  if (!spec?.signerName) out.push(required('spec.signerName'))
  else if (!/^[^/]+\/.+$/.test(spec.signerName)) {
    const detail = 'must be a fully qualified domain and path of the form "example.com/signer-name"'
    out.push(invalid('spec.signerName', spec.signerName, detail))
  }
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

export const certificateRequests: Strategy = defineKind({
  group: 'certificates.k8s.io',
  resource: 'certificatesigningrequests',
  hasStatus: true,
  hasGeneration: false,
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
  prepareForStatusUpdate(next, previous) {
    takeField(next, previous, 'spec')
    keepDecisions(asKind<Csr>(next), asKind<Csr>(previous))
  },
  subresources: {
    approval: {
      prepareForUpdate(next, previous) {
        const conditions = asKind<Csr>(next).status?.conditions
        takeField(next, previous, 'spec')
        takeField(next, previous, 'status')
        if (conditions) asKind<Csr>(next).status = { ...asKind<Csr>(next).status, conditions }
      },
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
