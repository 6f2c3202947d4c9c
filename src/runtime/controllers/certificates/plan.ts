/** What becomes of a CertificateSigningRequest: approved, signed, refused by its signer, or cleared away. Pure. */
import type { CertificateSigningRequest } from '../../../kube/types.ts'
import type { RequestedNames } from '../../pki/signing-requests.ts'

type Csr = CertificateSigningRequest

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** For clocks that are behind; clients compare how long a certificate lives with what they asked for. */
const BACKDATE_MS = 5 * 60_000
const DURATION_MS_MAX = 365 * DAY_MS
const DURATION_MS_MIN = 600_000
const PENDING_MS_MAX = DAY_MS
const DONE_MS_MAX = HOUR_MS

export const KUBELET_CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet'
/** Ours: another certificate for an administrator who has one, with the same names. */
export const ADMINISTRATOR_SIGNER = 'mk8s.io/administrator'
const MASTERS = 'system:masters'
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'
const NODES = 'system:nodes'
const NODE_PREFIX = 'system:node:'
const NODE_USAGES = ['digital signature', 'key encipherment']

export const hasCondition = ({ status }: Csr, type: string): boolean =>
  status?.conditions?.some(one => one.type === type) === true

/** Milliseconds until the request is to be deleted: 0 or less, it is time. `endMs` is that of its certificate. */
export function leftMs(csr: Csr, endMs: number | null, nowMs: number): number {
  const { metadata, status } = csr
  const ends: number[] = endMs === null ? [] : [endMs]
  for (const { type, lastUpdateTime } of status?.conditions ?? []) {
    const isOver =
      type === 'Denied' || type === 'Failed' || (type === 'Approved' && Boolean(status?.certificate))
    if (isOver) ends.push(timeOf(lastUpdateTime) + DONE_MS_MAX)
  }
  if ((status?.conditions ?? []).length === 0) ends.push(timeOf(metadata.creationTimestamp) + PENDING_MS_MAX)
  return Math.min(...ends) - nowMs
}

const timeOf = (time: unknown): number => Date.parse(String(time))

/** From when to when; never longer than the authority. */
export function validityOf({ spec }: Csr, nowMs: number, authorityEndMs: number) {
  const asked = (spec.expirationSeconds ?? Number.POSITIVE_INFINITY) * 1000
  const duration = Math.min(Math.max(asked, DURATION_MS_MIN), DURATION_MS_MAX)
  const notAfter = new Date(Math.min(nowMs + duration, authorityEndMs))
  return { notBefore: new Date(nowMs - BACKDATE_MS), notAfter }
}

/** Why the signer does not sign it; null: it does. Undefined: the signer is none of those built in. */
export function signerProblem({ spec }: Csr, names: RequestedNames): string | null | undefined {
  switch (spec.signerName) {
    case 'kubernetes.io/legacy-unknown':
      return null
    case 'kubernetes.io/kube-apiserver-client':
      return usageProblem(spec.usages ?? [], 'client auth')
    case KUBELET_CLIENT_SIGNER:
      return nodeProblem(names) ?? clientNamesProblem(names) ?? usageProblem(spec.usages ?? [], 'client auth')
    case 'kubernetes.io/kubelet-serving':
      return (
        nodeProblem(names) ?? servingNamesProblem(names) ?? usageProblem(spec.usages ?? [], 'server auth')
      )
    case ADMINISTRATOR_SIGNER:
      return (
        ownNamesProblem(spec, names) ??
        clientNamesProblem(names) ??
        usageProblem(spec.usages ?? [], 'client auth')
      )
    default:
      return undefined
  }
}

/** Who it is for is who asks, by a certificate: a token of an administrator makes no certificate that outlives it. */
function ownNamesProblem(spec: Csr['spec'], { commonName, organizations }: RequestedNames): string | null {
  const ids = spec.extra?.[CREDENTIAL_ID] ?? []
  if (!(spec.groups ?? []).includes(MASTERS)) return `${spec.username} is not in ${MASTERS}`
  if (!ids.some(id => id.startsWith('X509SHA256='))) return 'it was not asked for with a certificate'
  if (commonName !== spec.username) return `subject common name is not ${spec.username}`
  return organizations.every(name => name === MASTERS) ? null : `subject organization is not ${MASTERS}`
}

function nodeProblem({ organizations, commonName }: RequestedNames): string | null {
  if (organizations.length !== 1 || organizations[0] !== NODES) return `subject organization is not ${NODES}`
  if (!commonName.startsWith(NODE_PREFIX)) return `subject common name does not begin with ${NODE_PREFIX}`
  return null
}

function clientNamesProblem({ dnsNames, ipAddresses, emails, uris }: RequestedNames): string | null {
  if (dnsNames.length > 0) return 'DNS subjectAltNames are not allowed'
  if (emails.length > 0) return 'email subjectAltNames are not allowed'
  if (ipAddresses.length > 0) return 'IP subjectAltNames are not allowed'
  return uris.length > 0 ? 'URI subjectAltNames are not allowed' : null
}

function servingNamesProblem({ dnsNames, ipAddresses, emails, uris }: RequestedNames): string | null {
  if (dnsNames.length + ipAddresses.length === 0) return 'DNS or IP subjectAltName is required'
  if (emails.length > 0) return 'email subjectAltNames are not allowed'
  return uris.length > 0 ? 'URI subjectAltNames are not allowed' : null
}

function usageProblem(usages: readonly string[], wanted: string): string | null {
  const allowed = [...NODE_USAGES, wanted]
  if (usages.includes(wanted) && usages.every(usage => allowed.includes(usage))) return null
  return `usages did not match [${allowed.join(',')}]`
}

/** An administrator's own certificate needs nobody's approval: it gives nothing that its asker does not have. */
export const isOwnRenewal = (csr: Csr, names: RequestedNames): boolean =>
  csr.spec.signerName === ADMINISTRATOR_SIGNER && signerProblem(csr, names) === null

export interface Recognition {
  /** The right that whoever asks needs. */
  readonly subresource: 'selfnodeclient' | 'nodeclient'
  readonly message: string
}

/** As what a request for a node's client certificate may be approved with nobody looking, the strongest right first. */
export function recognitions(csr: Csr, names: RequestedNames): readonly Recognition[] {
  if (csr.spec.signerName !== KUBELET_CLIENT_SIGNER || signerProblem(csr, names) !== null) return []
  const client: Recognition = {
    subresource: 'nodeclient',
    message: 'Auto approving kubelet client certificate after SubjectAccessReview.',
  }
  const self: Recognition = {
    subresource: 'selfnodeclient',
    message: 'Auto approving self kubelet client certificate after SubjectAccessReview.',
  }
  return csr.spec.username === names.commonName ? [self, client] : [client]
}
