/** Bad input gets upstream's status code and reason, and changes nothing. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { ensurePki, loadPki } from '../../src/runtime/pki/pki.ts'
import { type Api, type ApiAnswer, apiFor } from '../support/api.ts'
import { installCluster, type TestCluster } from '../support/cluster.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const configMap = (name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})

describe('bad input', () => {
  let cluster: TestCluster
  let api: Api
  before(async () => {
    cluster = await installCluster()
    api = apiFor(cluster.kubeconfig)
  })
  after(() => cluster.remove())

  const refused = (answer: ApiAnswer, code: number, reason: string, message: RegExp) => {
    assert.equal(answer.status, code, answer.text)
    assert.equal(answer.body.kind, 'Status')
    assert.equal(answer.body.code, code)
    assert.equal(answer.body.reason, reason, answer.text)
    assert.match(answer.body.message ?? '', message)
  }
  const countOf = async (path: string) => {
    const items = (await api(path)).body['items']
    return Array.isArray(items) ? items.length : -1
  }
  const unchanged = async (path: string, act: () => Promise<void>) => {
    const before = await countOf(path)
    await act()
    assert.equal(await countOf(path), before)
  }

  test('malformed JSON and YAML are 400 BadRequest', () =>
    unchanged(CONFIG_MAPS, async () => {
      refused(await api(CONFIG_MAPS, { body: '{"kind":"ConfigMap",' }), 400, 'BadRequest', /./)
      const yaml = { body: 'kind: [unclosed', headers: { 'content-type': 'application/yaml' } }
      refused(await api(CONFIG_MAPS, yaml), 400, 'BadRequest', /./)
      refused(await api(CONFIG_MAPS, { body: '' }), 400, 'BadRequest', /./)
    }))

  test('a wrong type is 400 and names the field', () =>
    unchanged('/apis/apps/v1/namespaces/default/deployments', async () => {
      const body = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'x' },
        spec: { replicas: 'two' },
      }
      const answer = await api('/apis/apps/v1/namespaces/default/deployments', { body })
      refused(
        answer,
        400,
        'BadRequest',
        /Deployment in version "v1" cannot be handled as a Deployment.*replicas/,
      )
    }))

  test('a body of another kind, and a name that is not the one of the path, are 400', async () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } }
    refused(await api(CONFIG_MAPS, { body: secret }), 400, 'BadRequest', /./)
    await api(CONFIG_MAPS, { body: configMap('named') })
    const other = await api(`${CONFIG_MAPS}/named`, { method: 'PUT', body: configMap('other') })
    refused(other, 400, 'BadRequest', /name/)
    const elsewhere = { ...configMap('x'), metadata: { name: 'x', namespace: 'kube-system' } }
    refused(await api(CONFIG_MAPS, { body: elsewhere }), 400, 'BadRequest', /namespace/)
  })

  test('an oversized body is 413', () =>
    unchanged(CONFIG_MAPS, async () => {
      const answer = await api(CONFIG_MAPS, { body: configMap('big', { a: 'x'.repeat(4_000_000) }) })
      assert.equal(answer.status, 413, answer.text)
      assert.equal(answer.body.reason, 'RequestEntityTooLarge')
    }))

  test('an invalid name is 422 with the field and the rule', () =>
    unchanged(CONFIG_MAPS, async () => {
      const answer = await api(CONFIG_MAPS, { body: configMap('Not_A_Name') })
      refused(
        answer,
        422,
        'Invalid',
        /ConfigMap "Not_A_Name" is invalid: metadata.name: Invalid value: "Not_A_Name"/,
      )
      const details = answer.body['details'] as { causes: { field: string; reason: string }[] }
      assert.equal(details.causes[0]?.field, 'metadata.name')
      assert.equal(details.causes[0]?.reason, 'FieldValueInvalid')
    }))

  test('a missing name is 422', async () => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: {} }
    refused(
      await api(CONFIG_MAPS, { body }),
      422,
      'Invalid',
      /metadata.name: Required value: name or generateName is required/,
    )
  })

  test('a deployment whose selector does not match its template is 422', () =>
    unchanged('/apis/apps/v1/namespaces/default/deployments', async () => {
      const spec = {
        selector: { matchLabels: { app: 'a' } },
        template: { metadata: { labels: { app: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      }
      const body = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' }, spec }
      const answer = await api('/apis/apps/v1/namespaces/default/deployments', { body })
      refused(
        answer,
        422,
        'Invalid',
        /spec.template.metadata.labels: Invalid value.*`selector` does not match template `labels`/,
      )
    }))

  test('what is not there is 404, what is there already is 409', async () => {
    refused(await api(`${CONFIG_MAPS}/absent`), 404, 'NotFound', /configmaps "absent" not found/)
    refused(
      await api('/api/v1/namespaces/nowhere/configmaps', { body: configMap('x') }),
      404,
      'NotFound',
      /namespaces "nowhere" not found/,
    )
    await api(CONFIG_MAPS, { body: configMap('twice') })
    refused(
      await api(CONFIG_MAPS, { body: configMap('twice') }),
      409,
      'AlreadyExists',
      /configmaps "twice" already exists/,
    )
    assert.equal((await api('/apis/nothing.example.com/v1/things')).status, 404)
  })

  test('a conflicting update is 409 Conflict', async () => {
    const created = (await api(CONFIG_MAPS, { body: configMap('raced') })).body
    const first = await api(`${CONFIG_MAPS}/raced`, { method: 'PUT', body: { ...created, data: { a: '1' } } })
    assert.equal(first.status, 200)
    const second = await api(`${CONFIG_MAPS}/raced`, {
      method: 'PUT',
      body: { ...created, data: { a: '2' } },
    })
    refused(
      second,
      409,
      'Conflict',
      /Operation cannot be fulfilled on configmaps "raced": the object has been modified/,
    )
    assert.deepEqual((await api(`${CONFIG_MAPS}/raced`)).body['data'], { a: '1' })
  })

  test('preconditions of a deletion that do not hold are 409', async () => {
    await api(CONFIG_MAPS, { body: configMap('kept') })
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: 'other' } }
    const answer = await api(`${CONFIG_MAPS}/kept`, { method: 'DELETE', body })
    refused(answer, 409, 'Conflict', /Precondition failed: UID in precondition: other/)
    assert.equal((await api(`${CONFIG_MAPS}/kept`)).status, 200)
  })

  test('a continue token that cannot be read is 400, and a bad limit or version too', async () => {
    refused(await api(`${CONFIG_MAPS}?limit=1&continue=nonsense`), 400, 'BadRequest', /continue/)
    assert.equal((await api(`${CONFIG_MAPS}?limit=minus`)).status, 400)
    const version = await api(`${CONFIG_MAPS}?resourceVersion=abc`)
    assert.ok(version.status === 400 || version.status === 422, version.text)
  })

  test('a bad patch is refused and changes nothing', async () => {
    await api(CONFIG_MAPS, { body: configMap('patched', { a: '1' }) })
    const patch = (type: string, body: string) =>
      api(`${CONFIG_MAPS}/patched`, { method: 'PATCH', body, headers: { 'content-type': type } })
    assert.equal((await patch('application/json-patch+json', '{"not":"a list"}')).status, 400)
    assert.equal(
      (await patch('application/json-patch+json', '[{"op":"test","path":"/data/a","value":"2"}]')).status,
      422,
    )
    assert.equal((await patch('application/merge-patch+json', '{"data":')).status, 400)
    assert.equal((await patch('application/strategic-merge-patch+json', '{"data":{"a":5}}')).status, 422)
    assert.equal((await patch('text/plain', 'x')).status, 415)
    assert.deepEqual((await api(`${CONFIG_MAPS}/patched`)).body['data'], { a: '1' })
  })

  test('unknown fields are refused, warned of or ignored, as the client asks', async () => {
    const body = { ...configMap('extra'), unknownField: 1 }
    const strict = await api(`${CONFIG_MAPS}?fieldValidation=Strict`, { body })
    refused(strict, 400, 'BadRequest', /strict decoding error: unknown field "unknownField"/)
    const warned = await api(`${CONFIG_MAPS}?fieldValidation=Warn`, { body })
    assert.equal(warned.status, 201)
    assert.match(String(warned.headers['warning']), /unknown field/)
    assert.equal(warned.body['unknownField'], undefined)
  })

  test('media types that are not known are 415 and 406', async () => {
    const unknown = await api(CONFIG_MAPS, { body: 'x', headers: { 'content-type': 'text/plain' } })
    assert.equal(unknown.status, 415)
    assert.equal((await api(CONFIG_MAPS, { headers: { accept: 'text/html' } })).status, 406)
  })

  test('a method that a resource does not know is 405', async () => {
    refused(await api(CONFIG_MAPS, { method: 'PUT', body: configMap('x') }), 405, 'MethodNotAllowed', /./)
  })

  test('a bad token is 401, no credentials are 403', async () => {
    refused(await api(CONFIG_MAPS, { token: 'not.a.token' }), 401, 'Unauthorized', /Unauthorized/)
    const header = Buffer.from('{"alg":"none"}').toString('base64url')
    refused(await api(CONFIG_MAPS, { token: `${header}.e30.` }), 401, 'Unauthorized', /Unauthorized/)
    const anonymous = await api(CONFIG_MAPS, { anonymous: true })
    refused(
      anonymous,
      403,
      'Forbidden',
      /configmaps is forbidden: User "system:anonymous" cannot list resource "configmaps"/,
    )
    assert.equal((await api('/version', { anonymous: true })).status, 200)
    assert.equal((await api('/readyz', { anonymous: true })).text, 'ok')
  })

  test('a certificate of another authority gives no identity', async () => {
    const directory = join(cluster.dataDir, '../other-pki')
    await ensurePki({
      directory,
      nodeName: 'node-1',
      addresses: [cluster.address],
      serviceIp: '10.152.183.1',
      extraSans: [],
      clusterDomain: 'cluster.local',
      clusterId: 'other',
      memberId: '1',
      clock: systemClock,
      random: systemRandom,
    })
    const { certificate: cert, key } = (await loadPki(directory)).leaves.admin
    const identity = { cert, key }
    const answer = await api(CONFIG_MAPS, { identity })
    assert.ok(answer.status === 401 || answer.status === 403, answer.text)
  })

  test('a service account may do what RBAC gives it, and nothing else', async () => {
    const accounts = '/api/v1/namespaces/default/serviceaccounts'
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
    const answer = await api(`${accounts}/default/token`, { body: request })
    assert.equal(answer.status, 201, answer.text)
    const token = (answer.body['status'] as { token: string }).token
    const denied = await api(CONFIG_MAPS, { token })
    refused(
      denied,
      403,
      'Forbidden',
      /User "system:serviceaccount:default:default" cannot list resource "configmaps" in API group "" in the namespace "default"/,
    )
    await cluster.kubectl.ok([
      'create',
      'rolebinding',
      'viewer',
      '--clusterrole=view',
      '--serviceaccount=default:default',
    ])
    assert.equal((await api(CONFIG_MAPS, { token })).status, 200)
    assert.equal((await api(CONFIG_MAPS, { token, body: configMap('denied') })).status, 403)
    assert.equal((await api('/api/v1/namespaces/default/secrets', { token })).status, 403)
    assert.equal((await api(`${CONFIG_MAPS}/denied`)).status, 404)
  })

  test('the namespaces that must stay cannot be deleted', async () => {
    const answer = await api('/api/v1/namespaces/kube-system', { method: 'DELETE' })
    refused(answer, 403, 'Forbidden', /this namespace may not be deleted/)
  })
})
