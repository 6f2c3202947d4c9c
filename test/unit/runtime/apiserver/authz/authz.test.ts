/** Who may do what: RBAC, the Node authorizer and the escalation check over objects in memory. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { StatusError } from '../../../../../src/kube/status.ts'
import { createAuthorizer } from '../../../../../src/runtime/apiserver/authz/authz.ts'
import { createEscalationCheck } from '../../../../../src/runtime/apiserver/authz/escalation.ts'
import { createAuthorizationHandlers } from '../../../../../src/runtime/apiserver/authz/reviews.ts'
import { uncoveredRules } from '../../../../../src/runtime/apiserver/authz/rules.ts'
import type {
  AdmissionRequest,
  Authorizer,
  RequestAttributes,
  VirtualRequest,
} from '../../../../../src/runtime/apiserver/ports.ts'
import type { WatchListener } from '../../../../../src/runtime/store/store.ts'
import { named, readerOf } from '../object-reader.ts'

const GROUP = 'rbac.authorization.k8s.io'
const user = (kind: string, name: string, rest = {}) => ({ kind, name, apiGroup: GROUP, ...rest })
const roleRef = (kind: string, name: string) => ({ apiGroup: GROUP, kind, name })

function setUp() {
  const store: Record<string, KubeObject[]> = {
    [`${GROUP}/clusterroles`]: [
      named('ClusterRole', 'reader', '', {
        rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }],
      }),
      named('ClusterRole', 'paths', '', { rules: [{ verbs: ['get'], nonResourceURLs: ['/healthz/*'] }] }),
      named('ClusterRole', 'granter', '', {
        rules: [{ verbs: ['create'], apiGroups: [GROUP], resources: ['roles', 'rolebindings'] }],
      }),
    ],
    [`${GROUP}/roles`]: [
      named('Role', 'editor', 'dev', {
        rules: [{ verbs: ['*'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['a'] }],
      }),
    ],
    [`${GROUP}/clusterrolebindings`]: [
      named('ClusterRoleBinding', 'readers', '', {
        roleRef: roleRef('ClusterRole', 'reader'),
        subjects: [user('User', 'jane'), user('Group', 'ops')],
      }),
      named('ClusterRoleBinding', 'probes', '', {
        roleRef: roleRef('ClusterRole', 'paths'),
        subjects: [user('Group', 'system:unauthenticated')],
      }),
      named('ClusterRoleBinding', 'broken', '', {
        roleRef: roleRef('ClusterRole', 'gone'),
        subjects: [user('User', 'joe')],
      }),
    ],
    [`${GROUP}/rolebindings`]: [
      named('RoleBinding', 'editors', 'dev', {
        roleRef: roleRef('Role', 'editor'),
        subjects: [{ kind: 'ServiceAccount', name: 'builder' }],
      }),
    ],
    '/pods': [
      named('Pod', 'p', 'dev', {
        spec: {
          nodeName: 'n1',
          serviceAccountName: 'builder',
          containers: [{ name: 'c', envFrom: [{ secretRef: { name: 's1' } }] }],
          volumes: [
            { name: 'v', configMap: { name: 'm1' } },
            { name: 'd', persistentVolumeClaim: { claimName: 'mine' } },
            { name: 'e', persistentVolumeClaim: { claimName: 'greedy' } },
          ],
          resourceClaims: [
            { name: 'a', resourceClaimName: 'gpu' },
            { name: 'b', resourceClaimTemplateName: 't' },
          ],
        },
        status: { resourceClaimStatuses: [{ name: 'b', resourceClaimName: 'made' }] },
      }),
    ],
    'resource.k8s.io/resourceslices': [
      named('ResourceSlice', 'own', '', { spec: { nodeName: 'n1', driver: 'd' } }),
      named('ResourceSlice', 'shared', '', { spec: { allNodes: true, driver: 'd' } }),
    ],
    '/persistentvolumeclaims': [
      named('PersistentVolumeClaim', 'mine', 'dev', { spec: { volumeName: 'pv-1' } }),
      named('PersistentVolumeClaim', 'greedy', 'dev', { spec: { volumeName: 'pv-2' } }),
    ],
    '/persistentvolumes': ['mine', 'somebodys'].map((claim, index) =>
      named('PersistentVolume', `pv-${index + 1}`, '', {
        spec: {
          claimRef: { namespace: 'dev', name: claim },
          csi: {
            nodeStageSecretRef: { namespace: 'csi', name: `stage-${claim}` },
            controllerExpandSecretRef: { namespace: 'csi', name: `controller-${claim}` },
          },
        },
      }),
    ),
  }
  const listeners: WatchListener[] = []
  const authorizer = createAuthorizer({
    store: {
      revision: 0,
      watch: (_request, listener) => {
        listeners.push(listener)
        return { close() {} }
      },
    },
    objects: readerOf(store),
    nodeRules: [{ verbs: ['create', 'list'], apiGroups: [''], resources: ['nodes'] }],
  })
  const ask = (username: string, over: Partial<RequestAttributes>, groups: string[] = []) =>
    authorizer.authorize({
      user: { username, groups },
      verb: 'get',
      isResource: true,
      path: '',
      group: '',
      version: 'v1',
      resource: 'pods',
      subresource: '',
      namespace: 'dev',
      name: '',
      ...over,
    })
  return { store, listeners, authorizer, ask }
}

const onNode = (value: string) => [{ field: 'spec.nodeName', operator: '=' as const, value }]

test('RBAC allows what a rule says and nothing else', () => {
  const { ask } = setUp()
  assert.deepEqual(ask('jane', {}), {
    allowed: true,
    reason: 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "jane"',
  })
  assert.equal(ask('x', {}, ['ops']).allowed, true)
  assert.equal(ask('jane', { verb: 'delete' }).allowed, false)
  assert.equal(ask('jane', { subresource: 'log' }).allowed, false)
  assert.equal(ask('jane', { resource: 'secrets' }).allowed, false)
  assert.equal(ask('x', {}).allowed, false)
  assert.equal(ask('x', { verb: 'delete', resource: 'secrets' }, ['system:masters']).allowed, true)
})

test('a role holds in its namespace, for the names it lists', () => {
  const { ask } = setUp()
  const builder = 'system:serviceaccount:dev:builder'
  const update = { verb: 'update', resource: 'configmaps' }
  assert.match(ask(builder, { ...update, name: 'a' }).reason, /RoleBinding "editors\/dev" of Role "editor"/)
  assert.equal(ask(builder, { ...update, name: 'b' }).allowed, false)
  assert.equal(ask(builder, { ...update, name: 'a', namespace: 'other' }).allowed, false)
  assert.equal(ask(builder, { ...update, name: 'a', namespace: '' }).allowed, false)
})

test('paths match by prefix, and a missing role is named in the reason', () => {
  const { ask } = setUp()
  const path = { isResource: false, resource: '', namespace: '' }
  assert.equal(ask('x', { ...path, path: '/healthz/etcd' }, ['system:unauthenticated']).allowed, true)
  assert.equal(ask('x', { ...path, path: '/metrics' }, ['system:unauthenticated']).allowed, false)
  assert.equal(ask('joe', {}).reason, 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found')
})

test('a change of roles takes effect at the next question', () => {
  const { ask, store, listeners } = setUp()
  assert.equal(ask('jane', {}).allowed, true)
  store[`${GROUP}/clusterrolebindings`] = []
  assert.equal(ask('jane', {}).allowed, true, 'remembered until the store says otherwise')
  listeners[0]?.onEvents([], 1)
  assert.equal(ask('jane', {}).allowed, false)
  listeners[0]?.onClosed(new Error('over'))
  ask('jane', {})
  assert.equal(listeners.length, 2, 'a watch that ended is opened again')
})

test('a node reads the claims of its pods, and has to do with its own slices of devices only', () => {
  const { ask } = setUp()
  const group = 'resource.k8s.io'
  const as = (node: string, over: Partial<RequestAttributes>) =>
    ask(`system:node:${node}`, { group, ...over }, ['system:nodes']).allowed
  const claim = { resource: 'resourceclaims' }
  assert.equal(as('n1', { ...claim, name: 'gpu' }), true)
  assert.equal(as('n1', { ...claim, name: 'made' }), true, 'its status names what was made from a template')
  assert.equal(as('n1', { ...claim, name: 'other' }), false)
  assert.equal(as('n2', { ...claim, name: 'gpu' }), false)
  assert.equal(as('n1', { ...claim, verb: 'list' }), false)
  const slice = { resource: 'resourceslices', namespace: '' }
  const fieldSelector = onNode('n1')
  assert.equal(as('n1', { ...slice, name: 'own', verb: 'delete' }), true)
  assert.equal(as('n2', { ...slice, name: 'own' }), false)
  assert.equal(as('n1', { ...slice, name: 'shared' }), false)
  for (const verb of ['list', 'deletecollection']) {
    assert.equal(as('n1', { ...slice, verb, fieldSelector }), true)
    assert.equal(as('n2', { ...slice, verb, fieldSelector }), false)
    assert.equal(as('n1', { ...slice, verb }), false)
  }
})

test('a node reads what its pods use and nothing more', () => {
  const { ask } = setUp()
  const as = (node: string, over: Partial<RequestAttributes>) =>
    ask(`system:node:${node}`, over, ['system:nodes']).allowed
  assert.equal(as('n1', { resource: 'secrets', name: 's1' }), true)
  assert.equal(as('n1', { resource: 'secrets', name: 's2' }), false)
  assert.equal(as('n2', { resource: 'secrets', name: 's1' }), false)
  assert.equal(as('n1', { resource: 'secrets', verb: 'list' }), false)
  const ofDriver = { resource: 'secrets', namespace: 'csi' }
  assert.equal(as('n1', { ...ofDriver, name: 'stage-mine' }), true)
  assert.equal(as('n2', { ...ofDriver, name: 'stage-mine' }), false)
  assert.equal(as('n1', { ...ofDriver, name: 'controller-mine' }), false)
  assert.equal(as('n1', { ...ofDriver, name: 'stage-somebodys' }), false, "the volume is another claim's")
  assert.equal(as('n1', { resource: 'configmaps', name: 'm1', verb: 'watch' }), true)
  const token = { resource: 'serviceaccounts', subresource: 'token', verb: 'create' }
  assert.equal(as('n1', { ...token, name: 'builder' }), true)
  assert.equal(as('n1', { ...token, name: 'default' }), false)
  assert.equal(as('n1', { resource: 'nodes', namespace: '', name: 'n1' }), true)
  assert.equal(as('n1', { resource: 'nodes', namespace: '', name: 'n2' }), false)
  assert.equal(as('n1', { resource: 'nodes', namespace: '', verb: 'list' }), false)
  assert.equal(as('n1', { resource: 'nodes', namespace: '', verb: 'watch', name: 'n1' }), true)
  assert.equal(as('n1', { resource: 'pods', namespace: '', verb: 'list', fieldSelector: onNode('n1') }), true)
  assert.equal(
    as('n1', { resource: 'pods', namespace: '', verb: 'watch', fieldSelector: onNode('n2') }),
    false,
  )
  assert.equal(as('n1', { resource: 'pods', namespace: '', verb: 'list' }), false)
  const lease = { group: 'coordination.k8s.io', resource: 'leases', verb: 'update', name: 'n1' }
  assert.equal(as('n1', { ...lease, namespace: 'kube-node-lease' }), true)
  assert.equal(as('n2', { ...lease, namespace: 'kube-node-lease' }), false)
  assert.equal(
    ask('system:node:n1', { resource: 'secrets', name: 's1' }).allowed,
    false,
    'not in system:nodes',
  )
})

test('rules are covered rule by rule', () => {
  const owned = [{ verbs: ['get', 'list'], apiGroups: [''], resources: ['pods', '*/scale'] }]
  assert.deepEqual(uncoveredRules(owned, [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }]), [])
  assert.deepEqual(uncoveredRules(owned, [{ verbs: ['get'], apiGroups: [''], resources: ['x/scale'] }]), [])
  assert.equal(uncoveredRules(owned, [{ verbs: ['*'], apiGroups: [''], resources: ['pods'] }]).length, 1)
  const both = [{ verbs: ['get', 'delete'], apiGroups: ['', 'apps'], resources: ['pods'] }]
  assert.equal(uncoveredRules(owned, both).length, 3)
})

test('nobody grants what he does not have', async () => {
  const { authorizer } = setUp()
  let allows = ''
  const authorize: Authorizer['authorize'] = async asked =>
    asked.verb === allows ? { allowed: true, reason: 'by a webhook' } : authorizer.authorize(asked)
  const check = createEscalationCheck({ ...authorizer, authorize })
  const write = async (resource: string, object: KubeObject, username: string, groups: string[] = []) =>
    await check.validate?.({
      operation: 'CREATE',
      resource: { group: GROUP, version: 'v1', resource },
      subresource: '',
      namespace: 'dev',
      name: object.metadata.name,
      user: { username, groups },
      dryRun: false,
      object,
      oldObject: null,
    } as unknown as AdmissionRequest)
  const role = (verbs: string[]) =>
    named('Role', 'r', 'dev', { rules: [{ verbs, apiGroups: [''], resources: ['pods'] }] })
  const refused = (error: unknown) =>
    error instanceof StatusError && error.code === 403 && /not currently held/.test(error.message)
  await write('roles', role(['get']), 'jane')
  await assert.rejects(write('roles', role(['delete']), 'jane'), refused)
  await write('roles', role(['delete']), 'root', ['system:masters'])
  const bind = (name: string) =>
    named('RoleBinding', 'b', 'dev', { roleRef: roleRef('ClusterRole', name), subjects: [] })
  await write('rolebindings', bind('reader'), 'jane')
  await assert.rejects(write('rolebindings', bind('granter'), 'jane'), refused)
  await assert.rejects(write('rolebindings', bind('gone'), 'jane'), /not found/)
  allows = 'escalate'
  await write('roles', role(['delete']), 'jane')
  await assert.rejects(write('rolebindings', bind('granter'), 'jane'), refused)
  allows = 'bind'
  await write('rolebindings', bind('granter'), 'jane')
})

test('the reviews answer for oneself and for others', async () => {
  const { authorizer } = setUp()
  const handlers = new Map(createAuthorizationHandlers(authorizer).map(item => [item.resource, item]))
  const tools = {} as never
  const call = async (resource: string, spec: object, username = 'jane') => {
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'K', metadata: {}, spec }
    const request = { user: { username, groups: [] }, body, namespace: 'dev' } as unknown as VirtualRequest
    const result = await handlers.get(resource)?.handle(request, tools)
    return result?.object?.['status'] as { allowed: boolean; resourceRules: object[] }
  }
  const resourceAttributes = { verb: 'get', resource: 'pods', namespace: 'dev' }
  assert.equal((await call('selfsubjectaccessreviews', { resourceAttributes })).allowed, true)
  assert.equal((await call('subjectaccessreviews', { resourceAttributes, user: 'x' })).allowed, false)
  assert.equal((await call('localsubjectaccessreviews', { resourceAttributes, user: 'jane' })).allowed, true)
  assert.equal((await call('selfsubjectrulesreviews', { namespace: 'dev' })).resourceRules.length, 1)
  await assert.rejects(call('selfsubjectaccessreviews', {}), /exactly one of/)
})
