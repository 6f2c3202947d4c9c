/** Looking on at devices that others use is for namespaces that their cluster's administrators have marked. */
import { type FieldError, forbidden } from '../../../kube/field-error.ts'
import { invalid } from '../../../kube/status.ts'
import type { ResourceClaim, ResourceClaimTemplate } from '../../../kube/types.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
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
      const errors = adminErrors(request)
      if (errors.length === 0 || request.object === null) return
      const namespace = objects.get('', 'namespaces', '', request.namespace)
      if (namespace?.metadata.labels?.[LABEL] === 'true') return
      throw invalid({ group: GROUP, kind: request.object.kind }, nameOf(request), errors)
    },
  }
}

/** What the namespace has to allow: requests of new objects, whose specs never change, and what is allocated later. */
function adminErrors(request: AdmissionRequest): readonly FieldError[] {
  const { operation, object, oldObject, resource, subresource } = request
  if (operation === 'UPDATE' && subresource === 'status') {
    const isClaim = resource.group === GROUP && resource.resource === 'resourceclaims'
    return isClaim ? adminResults(object as ResourceClaim | null, oldObject as ResourceClaim | null) : []
  }
  if (operation !== 'CREATE') return []
  if (isWhole(request, GROUP, 'resourceclaims')) return adminRequests((object as ResourceClaim).spec, 'spec')
  if (!isWhole(request, GROUP, 'resourceclaimtemplates')) return []
  return adminRequests((object as ResourceClaimTemplate).spec?.spec, 'spec.spec')
}

/** What was granted before stays so, whatever became of the namespace. */
function adminResults(next: ResourceClaim | null, previous: ResourceClaim | null): readonly FieldError[] {
  const resultsOf = (claim: ResourceClaim | null) => claim?.status?.allocation?.devices?.results ?? []
  if (resultsOf(previous).some(({ adminAccess }) => adminAccess === true)) return []
  const at = resultsOf(next).findIndex(({ adminAccess }) => adminAccess === true)
  return at < 0 ? [] : [forbidden(`status.allocation.devices.results[${at}].adminAccess`, WHY)]
}

const adminRequests = (spec: ClaimSpec, path: string): readonly FieldError[] =>
  (spec?.devices?.requests ?? []).flatMap(({ exactly }, at) =>
    exactly?.adminAccess === true
      ? [forbidden(`${path}.devices.requests[${at}].exactly.adminAccess`, WHY)]
      : [],
  )
