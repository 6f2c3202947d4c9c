/** The parameters of a binding: none, one by name, or all that a selector finds. */

import type { BindingSpec, ParamRef, PolicySpec } from '../../../kube/admission-policy/policy-kinds.ts'
import { matchesLabels, requirementsOf } from '../../../kube/labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { AdmissionCluster } from '../ports.ts'

/** The binding cannot be used; the failure policy says what that means. */
export class ParamProblem extends Error {}

/** One evaluation for each; null stands for none. Throws ParamProblem. */
export function paramsOf(
  { paramKind }: PolicySpec,
  { paramRef }: BindingSpec,
  cluster: AdmissionCluster,
  namespace: string,
): readonly (KubeObject | null)[] {
  if (paramKind === undefined || paramRef === undefined) return [null]
  const { apiVersion = '', kind = '' } = paramKind
  const [first = '', second] = apiVersion.split('/')
  const [group, version] = second === undefined ? ['', first] : [first, second]
  const resource = cluster.resourceOfKind({ group, version, kind })
  if (resource === undefined) {
    throw new ParamProblem(
      `failed to find resource referenced by paramKind: '${group === '' ? '' : `${group}/`}${version}, Kind=${kind}'`,
    )
  }
  const where = resource.namespaced ? namespaceFor(paramRef, namespace) : clusterWide(paramRef)
  const found = find(paramRef, (name?: string) =>
    name === undefined
      ? cluster.objects.list(group, resource.resource, where)
      : [cluster.objects.get(group, resource.resource, where, name)].filter(one => one !== null),
  )
  if (found.length > 0 || paramRef.parameterNotFoundAction === 'Allow') return found
  throw new ParamProblem('no params found for policy binding with `Deny` parameterNotFoundAction')
}

function clusterWide({ namespace }: ParamRef): string {
  if (namespace === undefined || namespace === '') return ''
  throw new ParamProblem(
    'configuration error: paramRef.namespace must not be provided for a cluster-scoped `paramKind`',
  )
}

function namespaceFor({ namespace }: ParamRef, ofRequest: string): string {
  const found = namespace === undefined || namespace === '' ? ofRequest : namespace
  if (found !== '') return found
  throw new ParamProblem(
    'cannot use namespaced paramRef in policy binding that matches cluster-scoped resources',
  )
}

function find(
  { name, selector }: ParamRef,
  look: (name?: string) => readonly KubeObject[],
): readonly KubeObject[] {
  if (name !== undefined && name !== '') return look(name)
  const requirements = requirementsOf(selector) ?? []
  return look().filter(one => matchesLabels(requirements, one.metadata.labels))
}
