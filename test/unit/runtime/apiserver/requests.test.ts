/** What holds for every request: its time, broken invariants, and the documents for checking tokens. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionFailure, assert as invariant } from '../../../../src/base/assert.ts'
import { createOidcDocuments } from '../../../../src/runtime/apiserver/authn/oidc.ts'
import { admin, configMap, makeServer, watchReader } from './harness.ts'

const maps = '/api/v1/namespaces/default/configmaps'

test('a request that asks for less time gets no more, and a senseless time is refused', async () => {
  const never = { name: 'Never', admit: () => new Promise<void>(() => {}) }
  const server = makeServer({ admission: [never] })
  const late = await server.call('POST', `${maps}?timeout=20ms`, configMap('a'))
  assert.deepEqual([late.status, late.body.reason], [504, 'Timeout'])
  for (const timeout of ['soon', '-1s', '5']) {
    const { status, body } = await server.call('GET', `${maps}?timeout=${timeout}`)
    assert.deepEqual([status, body.message], [400, 'invalid timeout specified in the request URL'])
  }
  assert.equal((await server.call('GET', `${maps}?timeout=1m30s`)).status, 200)
})

test('a broken invariant in a request is answered 500 and told to the process', async () => {
  const fatal: Error[] = []
  const broken = { name: 'Broken', admit: () => invariant(false, 'one is one') }
  const server = makeServer({ admission: [broken], onFatal: error => fatal.push(error) })
  assert.equal((await server.call('POST', maps, configMap('a'))).status, 500)
  assert.ok(fatal.length === 1 && fatal[0] instanceof AssertionFailure)
})

test('the documents for checking tokens are served where they exist', async () => {
  const paths = ['/.well-known/openid-configuration', '/openid/v1/jwks']
  for (const path of paths) assert.equal((await makeServer().call('GET', path)).status, 404)
  const jwksUri = 'https://192.0.2.1:16443/openid/v1/jwks'
  const issuer = 'https://kubernetes.default.svc.cluster.local'
  const server = makeServer({ oidc: createOidcDocuments({ issuer, jwksUri, publicKeys: () => [] }) })
  const configuration = await server.call('GET', paths[0] ?? '')
  assert.deepEqual([configuration.body.issuer, configuration.body.jwks_uri], [issuer, jwksUri])
  const keys = await server.call('GET', paths[1] ?? '')
  assert.equal(keys.headers['content-type'], 'application/jwk-set+json')
  assert.deepEqual(JSON.parse(keys.body), { keys: [] })
})

test('a client in this process that never pauses leaves others their turn', async () => {
  const server = makeServer()
  await server.call('POST', maps, configMap('a'))
  const transport = server.api.transportFor(admin)
  let stopped = false
  const timer = setTimeout(() => {
    stopped = true
  }, 20)
  let requests = 0
  while (!stopped && requests < 200_000) {
    requests++
    const headers = { 'content-type': 'application/merge-patch+json' }
    const { status } = await transport.request({
      method: 'PATCH',
      path: `${maps}/a`,
      headers,
      body: Buffer.from('{}'),
    })
    assert.equal(status, 200)
  }
  clearTimeout(timer)
  assert.ok(stopped, `${requests} requests and the timer had no turn`)
})

test('who asks for it, or reads with curl, gets JSON on many lines', async () => {
  const { raw, call } = makeServer()
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { b: 'c' } }
  await call('POST', '/api/v1/namespaces/default/configmaps', map)
  const read = async (path: string, agent = 'client') => {
    const { body } = await raw('GET', `/api/v1/namespaces/default/configmaps${path}`, {
      headers: { 'user-agent': agent },
    })
    const pieces: Uint8Array[] = []
    for await (const piece of body instanceof Uint8Array ? [body] : body) pieces.push(piece)
    return Buffer.concat(pieces).toString('utf8')
  }
  assert.match(
    await read('/a?pretty=true'),
    /^\{\n {2}"apiVersion"[\s\S]*\n {2}"data": \{\n {4}"b": "c"\n {2}\}\n\}$/,
  )
  assert.match(await read('', 'curl/8.0'), /^\{\n {2}"kind": "ConfigMapList"/)
  assert.doesNotMatch(await read('/a?pretty=false', 'curl/8.0'), /\n./)
  assert.match(await read('/gone', 'curl/8.0'), /^\{\n {2}"kind": "Status",\n/)
  assert.doesNotMatch(await read('/a'), /\n./)
})

test('requests are counted by verb, resource and status, and what nobody serves is not', async () => {
  const server = makeServer()
  const { call, api } = server
  const path = '/api/v1/namespaces/default/configmaps'
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }
  await call('POST', path, map)
  await call('POST', path, map)
  await call('GET', path)
  const apply = { 'content-type': 'application/apply-patch+yaml' }
  await call('PATCH', `${path}/a?fieldManager=me&dryRun=All`, map, apply)
  await call('GET', '/api/v1/nonsense')
  await call('GET', '/readyz')
  const counted = api
    .requestMetrics()
    .filter(({ name }) => name === 'apiserver_request_total')
    .map(({ labels: { verb, resource, subresource, scope, dry_run, code } }) =>
      [verb, resource, subresource, scope, dry_run, code].join(' '),
    )
  assert.deepEqual(counted.sort(), [
    'APPLY configmaps  resource All 200',
    'GET  /readyz   200',
    'LIST configmaps  namespace  200',
    'POST configmaps  resource  201',
    'POST configmaps  resource  409',
  ])
  const durations = api.requestMetrics().filter(({ name }) => name === 'apiserver_request_duration_seconds')
  const sums = durations.map(one => one.type === 'histogram' && one.histogram.counts.reduce((a, b) => a + b))
  assert.deepEqual(sums, [2, 1, 1, 1])
  const now = api.requestMetrics().filter(({ name }) => name === 'apiserver_current_inflight_requests')
  assert.deepEqual(
    now.map(one => one.type === 'gauge' && one.value),
    [0, 0],
  )
})

test('watches are counted while they are under way', async () => {
  const { api, raw } = makeServer()
  const now = () =>
    api
      .requestMetrics()
      .filter(({ name }) => name === 'apiserver_longrunning_requests')
      .map(one => [
        one.labels['verb'],
        one.labels['resource'],
        one.labels['scope'],
        one.type === 'gauge' && one.value,
      ])
  assert.deepEqual(now(), [])
  const path = '/api/v1/namespaces/default/configmaps'
  const open = async () => {
    const ended = new AbortController()
    const reader = watchReader(await raw('GET', `${path}?watch=true`, { signal: ended.signal }))
    const next = reader.next()
    return async () => {
      ended.abort()
      assert.equal(await next, null)
    }
  }
  const [endFirst, endSecond] = [await open(), await open()]
  assert.deepEqual(now(), [['WATCH', 'configmaps', 'namespace', 2]])
  await endFirst()
  assert.deepEqual(now()[0]?.at(-1), 1)
  await endSecond()
  assert.deepEqual(now(), [['WATCH', 'configmaps', 'namespace', 0]])
})

test('how the health checks went that somebody asked for is told', async () => {
  const { api, call } = makeServer()
  await call('GET', '/livez')
  await call('GET', '/livez?verbose')
  await call('GET', '/readyz')
  const told = api.healthMetrics().map(({ name, labels, value }) => {
    const { name: check, type, status = '' } = labels
    return [name, check, type, status, value].join(' ')
  })
  assert.deepEqual(told, [
    'kubernetes_healthcheck ping livez  1',
    'kubernetes_healthcheck ping readyz  1',
    'kubernetes_healthchecks_total ping livez success 2',
    'kubernetes_healthchecks_total ping readyz success 1',
  ])
})
