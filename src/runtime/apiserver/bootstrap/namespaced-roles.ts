/** The roles and bindings in kube-system and kube-public. */
import type { KubeObject } from '../../../kube/object.ts'
import { REGISTRIES_NAME } from '../../../kube/registries/registries.ts'
import { account, bind, events, group, READ, role, rule, user } from './rule.ts'

const SYSTEM = 'kube-system'
const PUBLIC = 'kube-public'

const leaderLock = (name: string) => [
  rule('watch', 'core', 'configmaps'),
  rule('get update', 'core', 'configmaps', name),
]

export function namespacedRoles(): readonly KubeObject[] {
  return [
    role(SYSTEM, 'extension-apiserver-authentication-reader', [
      rule(READ, 'core', 'configmaps', 'extension-apiserver-authentication'),
    ]),
    role(SYSTEM, 'system::leader-locking-kube-controller-manager', leaderLock('kube-controller-manager')),
    role(SYSTEM, 'system::leader-locking-kube-scheduler', leaderLock('kube-scheduler')),
    role(SYSTEM, 'system:controller:bootstrap-signer', [rule(READ, 'core', 'secrets')]),
    role(SYSTEM, 'system:controller:cloud-provider', [rule(`create ${READ}`, 'core', 'configmaps')]),
    role(SYSTEM, 'system:controller:token-cleaner', [rule(`delete ${READ}`, 'core', 'secrets'), events()]),
    // Every node's DNS, which speaks as the node's proxy does.
    role(SYSTEM, 'mk8s:dns', [rule(READ, 'core', 'configmaps', 'mk8s-dns')]),
    // Where every node gets its images, and with which credentials.
    role(SYSTEM, 'mk8s:registries', [
      rule(READ, 'core', 'configmaps', REGISTRIES_NAME),
      rule(READ, 'core', 'secrets', REGISTRIES_NAME),
    ]),
    role(PUBLIC, 'system:controller:bootstrap-signer', [
      rule(READ, 'core', 'configmaps'),
      rule('update', 'core', 'configmaps', 'cluster-info'),
      events(),
    ]),
  ]
}

export function namespacedBindings(): readonly KubeObject[] {
  const manager = user('system:kube-controller-manager')
  const scheduler = user('system:kube-scheduler')
  const lock = 'system::leader-locking-kube'
  const reader = 'extension-apiserver-authentication-reader'
  return [
    bind(SYSTEM, reader, [manager, scheduler], `system::${reader}`),
    bind(SYSTEM, `${lock}-controller-manager`, [manager, account('kube-controller-manager')]),
    bind(SYSTEM, `${lock}-scheduler`, [scheduler, account('kube-scheduler')]),
    bind(SYSTEM, 'system:controller:bootstrap-signer', [account('bootstrap-signer')]),
    bind(SYSTEM, 'system:controller:cloud-provider', [account('cloud-provider')]),
    bind(SYSTEM, 'system:controller:token-cleaner', [account('token-cleaner')]),
    bind(SYSTEM, 'mk8s:dns', [user('system:kube-proxy')]),
    bind(SYSTEM, 'mk8s:registries', [group('system:nodes')]),
    bind(PUBLIC, 'system:controller:bootstrap-signer', [account('bootstrap-signer')]),
  ]
}
