/** By what nodes may read the certificates that routes name, and no other Secret. Pure. */
import type { KubeObject } from '../../../kube/object.ts'
import {
  CERTIFICATE_LIST,
  CERTIFICATE_ROLE,
  type CertificateList,
  renderList,
} from '../../ingress/referenced-certificates.ts'
import { NAME_LABEL } from '../addon-object.ts'
import { INGRESS_ADDON } from './ingress-settings.ts'

const GROUP = 'rbac.authorization.k8s.io'
const labels = { 'app.kubernetes.io/managed-by': 'mk8s', [NAME_LABEL]: INGRESS_ADDON }

/** Names of Secrets by namespace. */
export function namesByNamespace(list: CertificateList): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const secret of Object.keys(list).sort()) {
    const [namespace = '', name = ''] = secret.split('/')
    found.set(namespace, [...(found.get(namespace) ?? []), name])
  }
  return found
}

export function renderAccess(
  namespace: string,
  names: readonly string[],
): readonly [role: KubeObject, binding: KubeObject] {
  const metadata = { name: CERTIFICATE_ROLE, namespace, labels }
  const rules = [{ apiGroups: [''], resources: ['secrets'], resourceNames: [...names], verbs: ['get'] }]
  const roleRef = { apiGroup: GROUP, kind: 'Role', name: CERTIFICATE_ROLE }
  const subjects = [{ apiGroup: GROUP, kind: 'Group', name: 'system:nodes' }]
  return [
    { apiVersion: `${GROUP}/v1`, kind: 'Role', metadata, rules },
    { apiVersion: `${GROUP}/v1`, kind: 'RoleBinding', metadata, roleRef, subjects },
  ]
}

export const renderCertificateList = (list: CertificateList): KubeObject => ({
  ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...CERTIFICATE_LIST, labels } },
  data: renderList(list),
})
