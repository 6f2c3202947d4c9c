/** Nothing is made in a namespace that is not there or is going; some namespaces cannot be deleted. */
import { notFound, StatusError } from '../../../kube/status.ts'
import type { AdmissionPlugin, AdmissionRequest, ObjectReader } from '../ports.ts'
import { refuse } from './refuse.ts'

const IMMORTAL = ['default', 'kube-system', 'kube-public']
/** Reviews ask about namespaces; they make nothing in them. */
const reviews = new Set(['localsubjectaccessreviews'])
const namespaces = { group: '', resource: 'namespaces' }

export function namespaceLifecycle(objects: ObjectReader): AdmissionPlugin {
  const check = (request: AdmissionRequest): void => {
    const { operation, resource, namespace, name } = request
    const isNamespace = resource.group === '' && resource.resource === 'namespaces'
    if (isNamespace && operation === 'DELETE' && request.subresource === '' && IMMORTAL.includes(name)) {
      throw refuse(request, 'this namespace may not be deleted')
    }
    if (operation !== 'CREATE' || !resource.namespaced || isNamespace || reviews.has(resource.resource))
      return
    const found = objects.get('', 'namespaces', '', namespace)
    if (found === null) throw notFound(namespaces, namespace)
    const phase = (found['status'] as { phase?: string } | undefined)?.phase
    const terminating = found.metadata.deletionTimestamp !== undefined || phase === 'Terminating'
    if (terminating) throw terminatingError(request)
  }
  // The namespace may start to go between the two passes, so both look.
  return { name: 'NamespaceLifecycle', admit: check, validate: check }
}

function terminatingError(request: AdmissionRequest): StatusError {
  const { namespace } = request
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`
  const { status } = refuse(request, why)
  const cause = {
    reason: 'NamespaceTerminating',
    message: `namespace ${namespace} is being terminated`,
    field: 'metadata.namespace',
  }
  return new StatusError({ ...status, details: { ...status.details, causes: [cause] } })
}
