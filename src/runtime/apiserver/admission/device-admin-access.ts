/** Looking on at devices that others use is for namespaces that their cluster's administrators have marked. */
import { type FieldError, forbidden } from '../../../kube/field-error.ts'
import { invalid } from '../../../kube/status.ts'
import type { ResourceClaim, ResourceClaimTemplate } from '../../../kube/types.ts'
import type { AdmissionPlugin, ObjectReader } from '../ports.ts'
import { isWhole, nameOf } from './refuse.ts'

const GROUP = 'resource.k8s.io'
const LABEL = 'resource.kubernetes.io/admin-access'
const WHY = `admin access to devices requires the \`${LABEL}: true\` label on the containing namespace`

type ClaimSpec = ResourceClaim['spec']

/** In upstream's words, where the rule is one of validation. */
export function deviceAdminAccess(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'DeviceAdminAccess',
    validate(request) {
      if (request.operation !== 'CREATE' || request.object === null) return
      const isClaim = isWhole(request, GROUP, 'resourceclaims')
      if (!isClaim && !isWhole(request, GROUP, 'resourceclaimtemplates')) return
      const { spec } = request.object as unknown as ResourceClaim | ResourceClaimTemplate
      const claim = (isClaim ? spec : (spec as ResourceClaimTemplate['spec'])?.spec) as ClaimSpec
      const errors = adminRequests(claim, isClaim ? 'spec' : 'spec.spec')
      if (errors.length === 0) return
      const namespace = objects.get('', 'namespaces', '', request.namespace)
      if (namespace?.metadata.labels?.[LABEL] === 'true') return
      throw invalid({ group: GROUP, kind: request.object.kind }, nameOf(request), errors)
    },
  }
}

const adminRequests = (spec: ClaimSpec, path: string): readonly FieldError[] =>
  (spec?.devices?.requests ?? []).flatMap(({ exactly }, at) =>
    exactly?.adminAccess === true
      ? [forbidden(`${path}.devices.requests[${at}].exactly.adminAccess`, WHY)]
      : [],
  )
