/** Nothing is made in a namespace that is not there or is going; some namespaces cannot be deleted. */
import { messageOf } from '../../../base/errors.ts'
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

const isNamespaceItself = ({ resource }: AdmissionRequest): boolean =>
  resource.group === '' && resource.resource === 'namespaces'

/** What is written, changed or deleted has to be in a namespace that is there. */
export function namespaceExists(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'NamespaceExists',
    validate(request) {
      const { operation, namespace } = request
      if (operation === 'CONNECT' || namespace === '' || isNamespaceItself(request)) return
      if (objects.get('', 'namespaces', '', namespace) === null) throw notFound(namespaces, namespace)
    },
  }
}

/** `create` makes a namespace, and does not mind one that is there. */
export function namespaceAutoProvision(
  objects: ObjectReader,
  create: (name: string) => Promise<void>,
): AdmissionPlugin {
  return {
    name: 'NamespaceAutoProvision',
    callsOut: true,
    async admit(request) {
      const { operation, namespace, dryRun } = request
      if (operation !== 'CREATE' || dryRun || namespace === '' || isNamespaceItself(request)) return
      if (objects.get('', 'namespaces', '', namespace) !== null) return
      try {
        await create(namespace)
      } catch (error) {
        throw refuse(request, messageOf(error))
      }
    },
  }
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
