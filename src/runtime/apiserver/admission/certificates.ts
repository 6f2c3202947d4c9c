/** Who may approve and sign certificate requests is said by signer, and nobody gets into system:masters by one. */
import type { CertificateSigningRequest } from '../../../kube/types.ts'
import { readSigningRequest } from '../../pki/signing-requests.ts'
import type { AdmissionPlugin, AdmissionRequest, Authorizer } from '../ports.ts'
import { isWhole, quoted, refuse } from './refuse.ts'

type Csr = CertificateSigningRequest

const GROUP = 'certificates.k8s.io'
const RESOURCE = 'certificatesigningrequests'
const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client'
const MASTERS = 'system:masters'

const isUpdateOf = ({ operation, resource, subresource }: AdmissionRequest, wanted: string): boolean =>
  operation === 'UPDATE' &&
  resource.group === GROUP &&
  resource.resource === RESOURCE &&
  subresource === wanted

const csrIn = (object: AdmissionRequest['object']): Csr => object as unknown as Csr

export function certificateApproval(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateApproval',
    async validate(request) {
      if (!isUpdateOf(request, 'approval') || request.object === null) return
      const { signerName } = csrIn(request.oldObject ?? request.object).spec
      if (await mayUse(authorizer, request, 'approve', signerName)) return
      throw refuse(request, `user not permitted to approve requests with signerName ${quoted(signerName)}`)
    },
  }
}

export function certificateSigning(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateSigning',
    async validate(request) {
      if (!isUpdateOf(request, 'status') || request.object === null || request.oldObject === null) return
      const [next, previous] = [csrIn(request.object), csrIn(request.oldObject)]
      const signed = (csr: Csr) =>
        JSON.stringify([csr.status?.certificate ?? '', csr.status?.conditions ?? []])
      if (signed(next) === signed(previous)) return
      const { signerName } = previous.spec
      if (await mayUse(authorizer, request, 'sign', signerName)) return
      throw refuse(request, `user not permitted to sign requests with signerName ${quoted(signerName)}`)
    },
  }
}

export function certificateSubjectRestriction(): AdmissionPlugin {
  return {
    name: 'CertificateSubjectRestriction',
    async validate(request) {
      if (request.operation !== 'CREATE' || !isWhole(request, GROUP, RESOURCE) || request.object === null)
        return
      const { spec } = csrIn(request.object)
      if (spec?.signerName !== CLIENT_SIGNER) return
      const names = await readSigningRequest(Buffer.from(spec.request ?? '', 'base64').toString()).catch(
        () => null,
      )
      // What cannot be read is no business of this plugin.
      if (names?.organizations.includes(MASTERS) !== true) return
      throw refuse(request, `use of ${CLIENT_SIGNER} signer with ${MASTERS} group is not allowed`)
    },
  }
}

/** By the signer's own name, or by that of all signers of its domain. */
async function mayUse(
  authorizer: Authorizer,
  { user }: AdmissionRequest,
  verb: 'approve' | 'sign',
  signerName: string,
): Promise<boolean> {
  for (const name of [signerName, `${signerName.split('/')[0]}/*`]) {
    const { allowed } = await authorizer.authorize({
      ...{ user, verb, name, group: GROUP, version: '*', resource: 'signers' },
      ...{ isResource: true, path: '', subresource: '', namespace: '' },
    })
    if (allowed) return true
  }
  return false
}
