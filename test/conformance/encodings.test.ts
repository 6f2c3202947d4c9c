/** client-go inside kubectl in the encodings that it asks for: protobuf by its typed clients, CBOR by its dynamic ones. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { type ApiBody, apiFor } from '../support/api.ts'
import { type Suite, startSuite } from '../support/conformance.ts'

/** Commands that print the object as client-go has read it out of the answer, and where it is afterwards. */
const CREATED: readonly (readonly [args: string, path: string])[] = [
  ['configmap c --from-literal=k=v', '/api/v1/namespaces/default/configmaps/c'],
  ['secret generic s --from-literal=k=v', '/api/v1/namespaces/default/secrets/s'],
  ['serviceaccount a', '/api/v1/namespaces/default/serviceaccounts/a'],
  ['service nodeport n --tcp=80:http', '/api/v1/namespaces/default/services/n'],
  ['quota q --hard=pods=5,requests.cpu=1500m', '/api/v1/namespaces/default/resourcequotas/q'],
  ['deployment d --image=i --replicas=0', '/apis/apps/v1/namespaces/default/deployments/d'],
  ['job j --image=i -- true', '/apis/batch/v1/namespaces/default/jobs/j'],
  ['cronjob cj --image=i --schedule=@daily', '/apis/batch/v1/namespaces/default/cronjobs/cj'],
  ['ingress i --rule=a.example/p*=n:80', '/apis/networking.k8s.io/v1/namespaces/default/ingresses/i'],
  [
    'poddisruptionbudget b --selector=a=b --min-available=50%',
    '/apis/policy/v1/namespaces/default/poddisruptionbudgets/b',
  ],
  ['clusterrole cr --verb=get --resource=pods', '/apis/rbac.authorization.k8s.io/v1/clusterroles/cr'],
  [
    'clusterrolebinding crb --clusterrole=view --user=u',
    '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/crb',
  ],
  ['priorityclass p --value=-7', '/apis/scheduling.k8s.io/v1/priorityclasses/p'],
]
const CBOR_CLIENT = { KUBE_FEATURE_ClientsAllowCBOR: 'true', KUBE_FEATURE_ClientsPreferCBOR: 'true' }
const LOUD = '-v=9'

/** What no controller changes after the creation, without what Go leaves out or shows as empty. */
function lasting({ metadata, status: _s, apiVersion: _a, kind: _k, ...rest }: ApiBody): unknown {
  const changing = {
    resourceVersion: undefined,
    managedFields: undefined,
    labels: undefined,
    annotations: undefined,
  }
  const meta = { ...metadata, ...changing }
  const filled = (_key: string, value: unknown) => {
    const isEmpty = typeof value === 'object' && (value === null || Object.keys(value).length === 0)
    return isEmpty ? undefined : value
  }
  return JSON.parse(JSON.stringify({ metadata: meta, ...rest }, filled))
}

describe('encodings', () => {
  let suite: Suite

  before(async () => {
    suite = await startSuite()
  })

  after(async () => {
    await suite.cluster.remove()
  })

  for (const [args, path] of CREATED) {
    test(`client-go reads the answer to "create ${args}" in protobuf as it was meant`, async () => {
      const { cluster, kubectl } = suite
      const ran = await kubectl.try([LOUD, 'create', '-o=json', ...args.split(' ')])
      assert.equal(ran.code, 0, ran.stderr.slice(-2000))
      assert.match(ran.stderr, /Content-Type: application\/vnd\.kubernetes\.protobuf/)
      const { status, body } = await apiFor(cluster.kubeconfig)(path)
      assert.equal(status, 200)
      assert.deepEqual(lasting(JSON.parse(ran.stdout)), lasting(body))
    })
  }

  test('client-go reads an error in protobuf', async () => {
    const ran = await suite.kubectl.try(['create', 'configmap', 'c', LOUD])
    assert.equal(ran.code, 1)
    assert.match(ran.stderr, /configmaps "c" already exists/)
  })

  test('client-go lists and watches in CBOR until a condition is met, and deletes', async () => {
    const { kubectl } = suite
    const options = { env: CBOR_CLIENT }
    const wait = ['wait', 'configmap/c', '--for=jsonpath={.data.k}=w', '--timeout=60s', LOUD]
    const waiting = kubectl.try(wait, options)
    await kubectl.ok(['patch', 'configmap', 'c', '-p', '{"data":{"k":"w"}}'])
    const waited = await waiting
    assert.equal(waited.code, 0, waited.stderr.slice(-2000))
    assert.match(waited.stderr, /Content-Type: application\/cbor\b/)
    const deleted = await kubectl.try(['delete', 'configmap', 'c', LOUD], options)
    assert.equal(deleted.code, 0, deleted.stderr.slice(-2000))
    assert.match(deleted.stdout, /configmap "c" deleted/)
  })
})
