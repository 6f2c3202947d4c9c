/** Who may do what against the real API server over the memory store, from bootstrap to tokens. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test, { after } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { readAsset } from '../../../src/host/assets.ts'
import { parseModel } from '../../../src/kube/model.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { createAdmission } from '../../../src/runtime/apiserver/admission/admission.ts'
import { createApiServer } from '../../../src/runtime/apiserver/apiserver.ts'
import { createAuthenticator } from '../../../src/runtime/apiserver/authn/authn.ts'
import { createAuthenticationHandlers } from '../../../src/runtime/apiserver/authn/reviews.ts'
import {
  createTokenHandler,
  createTokenIssuer,
} from '../../../src/runtime/apiserver/authn/service-account-tokens.ts'
import { createAuthorizer } from '../../../src/runtime/apiserver/authz/authz.ts'
import { createAuthorizationHandlers } from '../../../src/runtime/apiserver/authz/reviews.ts'
import {
  bootstrapObjects,
  nodeRules,
  reconcileBootstrap,
} from '../../../src/runtime/apiserver/bootstrap/bootstrap.ts'
import { strategies } from '../../../src/runtime/apiserver/registry/registry.ts'
import { createObjectReader } from '../../../src/runtime/apiserver/storage/object-reader.ts'
import type { UserInfo } from '../../../src/runtime/apiserver/user.ts'
import { createMemoryStore } from '../../../src/runtime/store/memory-store.ts'

const issuer = 'https://kubernetes.default.svc.cluster.local'
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string
const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

const model = parseModel(readAsset('model.json'))
const clock = systemClock
const random = systemRandom
const store = createMemoryStore({ clock })
const objects = createObjectReader(store, model)
const authorizer = createAuthorizer({ store, objects, nodeRules: nodeRules() })
const authenticator = createAuthenticator({
  serviceAccounts: { issuer, publicKeys: () => [publicKey] },
  objects,
  clock,
})
const api = createApiServer({
  store,
  model,
  descriptions: () => ({}),
  protobuf: () => ({}),
  strategies,
  authorizer,
  admission: createAdmission({ objects, authorizer, clock, random }),
  virtualHandlers: [
    createTokenHandler(createTokenIssuer({ issuer, privateKey: () => privateKey, clock, random }), clock),
    ...createAuthenticationHandlers(authenticator.reviewAnyToken, clock),
    ...createAuthorizationHandlers(authorizer),
  ],
  settings: {
    clusterDomain: 'cluster.local',
    serviceCidr: '10.152.183.0/24',
    podCidr: '10.1.0.0/16',
    nodePorts: { first: 30000, last: 32767 },
  },
  kubelets: {
    connect() {
      throw new Error('there is no kubelet in this test')
    },
  },
  version: { major: '1', minor: '36', gitVersion: 'v1.36.0', platform: 'linux/amd64' },
  clock,
  random,
  log: silentLog,
  isReady: () => [],
  onFatal: error => {
    throw error
  },
})
const root: UserInfo = { username: 'root', groups: ['system:masters'] }
const jane: UserInfo = { username: 'jane', groups: ['system:authenticated'] }
const nodeUser = (name: string): UserInfo => ({
  username: `system:node:${name}`,
  groups: ['system:nodes', 'system:authenticated'],
})

after(async () => {
  authorizer.stop()
  await api.stop()
  await store.close()
})

interface Answer {
  readonly status: number
  readonly object: KubeObject & { readonly message?: string; readonly status?: Record<string, unknown> }
}

async function call(user: UserInfo, method: string, path: string, body?: object): Promise<Answer> {
  const { status, body: bytes } = await api.transportFor(user).request({
    method,
    path,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
  })
  return { status, object: JSON.parse(Buffer.from(bytes as Uint8Array).toString()) }
}

const DEV = '/api/v1/namespaces/default'
const RBAC = '/apis/rbac.authorization.k8s.io/v1/namespaces/default'
const rbac = (kind: string, name: string, rest: object) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind,
  metadata: { name },
  ...rest,
})
const bindingTo = (name: string, role: string, user: string) =>
  rbac('RoleBinding', name, {
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }],
  })

test('bootstrap writes everything once and nothing the second time', async () => {
  const wanted = bootstrapObjects({
    serviceIp: '10.152.183.1',
    serviceCidrs: ['10.152.183.0/24'],
    apiPort: 16443,
    clientCa: 'PEM',
    frontProxyCa: 'PEM',
  })
  const parts = { transport: api.transportFor(root), objects: api.objects, wanted }
  assert.deepEqual(await reconcileBootstrap(parts), { created: wanted.length, updated: 0, problems: [] })
  const { revision } = store
  assert.deepEqual(await reconcileBootstrap(parts), { created: 0, updated: 0, problems: [] })
  assert.equal(store.revision, revision)
})

test('a user without rights is told what he may not do, and a binding lets him in', async () => {
  const refused = await call(jane, 'GET', `${DEV}/pods`)
  assert.equal(refused.status, 403)
  assert.equal(
    refused.object.message,
    'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"',
  )
  assert.equal(
    (await call(root, 'POST', `${RBAC}/rolebindings`, bindingTo('jane', 'admin', 'jane'))).status,
    201,
  )
  assert.equal((await call(jane, 'GET', `${DEV}/pods`)).status, 200)
})

test('a namespace admin grants what he has and not more', async () => {
  const binding = (name: string, role: string) =>
    call(jane, 'POST', `${RBAC}/rolebindings`, bindingTo(name, role, 'joe'))
  assert.equal((await binding('viewers', 'view')).status, 201)
  const refused = await binding('rulers', 'cluster-admin')
  assert.equal(refused.status, 403)
  assert.match(refused.object.message ?? '', /attempting to grant RBAC permissions not currently held/)
  const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['nodes'] }]
  assert.equal((await call(jane, 'POST', `${RBAC}/roles`, rbac('Role', 'r', { rules }))).status, 403)
})

test("a kubelet gets its pods' tokens and nobody else's, and the token ends with the pod", async () => {
  await call(root, 'POST', `${DEV}/serviceaccounts`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' },
  })
  const spec = { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], terminationGracePeriodSeconds: 0 }
  const pod = await call(root, 'POST', `${DEV}/pods`, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec,
  })
  assert.equal(pod.status, 201)
  const { name, uid } = pod.object.metadata
  const ask = (node: string, boundObjectRef?: object) =>
    call(nodeUser(node), 'POST', `${DEV}/serviceaccounts/default/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 3607, ...(boundObjectRef === undefined ? {} : { boundObjectRef }) },
    })
  const reference = { apiVersion: 'v1', kind: 'Pod', name, uid }
  assert.equal((await ask('n2', reference)).status, 403)
  assert.equal((await ask('n1')).status, 403)
  const issued = await ask('n1', reference)
  assert.equal(issued.status, 201)
  const bearerToken = String(issued.object.status?.['token'])
  const user = await authenticator.authenticate({ bearerToken })
  assert.equal(user?.username, 'system:serviceaccount:default:default')
  await call(root, 'DELETE', `${DEV}/pods/p`, {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
  })
  assert.equal(await authenticator.authenticate({ bearerToken }), null)
})

test('reviews answer through the API', async () => {
  const review = (verb: string) =>
    call(jane, 'POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb, resource: 'pods', namespace: 'default' } },
    })
  assert.equal((await review('delete')).object.status?.['allowed'], true)
  assert.equal((await review('escalate')).object.status?.['allowed'], false)
  const self = await call(jane, 'POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
  })
  assert.deepEqual(self.object.status?.['userInfo'], jane)
})
