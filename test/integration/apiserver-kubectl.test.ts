/** The HTTPS listener with certificates of its own, driven by the real kubectl over HTTP/2 and by plain HTTP/1.1. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { get, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { Mk8sError } from '../../src/base/errors.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createAuthenticator } from '../../src/runtime/apiserver/authn/authn.ts'
import { createHttpsListener, type HttpsListener } from '../../src/runtime/apiserver/http/listener.ts'
import { renderKubeconfig } from '../../src/runtime/pki/kubeconfig.ts'
import { ensurePki, loadPki, type Pki } from '../../src/runtime/pki/pki.ts'
import { type Kubectl, kubectlFor, otherKubectl } from '../support/kubectl.ts'
import { configMap, deployment, makeServer, type Server } from '../unit/runtime/apiserver/harness.ts'

let directory: string
let pki: Pki
let server: Server
let listener: HttpsListener
let kubectl: Kubectl
let kubeconfig: string

const listenerFor = (port: number) =>
  createHttpsListener({
    apiServer: server.api,
    authenticator: createAuthenticator({
      serviceAccounts: { issuer: 'https://test', publicKeys: () => [pki.serviceAccount.publicKey] },
      objects: server.api.objects,
      clock: systemClock,
    }),
    host: '127.0.0.1',
    port,
    tls: {
      cert: pki.leaves.apiserver.certificate,
      key: pki.leaves.apiserver.key,
      clientCa: pki.authorities['cluster-ca'].certificate,
    },
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
  })

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mk8s-api-'))
  await ensurePki({
    directory: join(directory, 'pki'),
    nodeName: 'n1',
    addresses: ['127.0.0.1'],
    serviceIp: '10.152.183.1',
    extraSans: [],
    clusterDomain: 'cluster.local',
    clusterId: 'test',
    memberId: '1',
    clock: systemClock,
    random: systemRandom,
  })
  pki = await loadPki(join(directory, 'pki'))
  const authorizer = {
    authorize: ({ user }: { user: { groups: readonly string[] } }) => ({
      allowed: user.groups.includes('system:masters'),
      reason: '',
    }),
  }
  server = makeServer({ authorizer })
  listener = listenerFor(0)
  await listener.start()
  kubeconfig = join(directory, 'kubeconfig')
  const text = renderKubeconfig({
    server: `https://127.0.0.1:${listener.port}`,
    authority: pki.authorities['cluster-ca'].certificate,
    certificate: pki.leaves.admin.certificate,
    key: pki.leaves.admin.key,
  })
  await writeFile(kubeconfig, text, { mode: 0o600 })
  kubectl = kubectlFor(kubeconfig)
})

after(async () => {
  await server.api.stop()
  await listener.stop()
  await rm(directory, { recursive: true, force: true })
})

const manifest = (objects: readonly unknown[]) => objects.map(one => JSON.stringify(one)).join('\n')

test('kubectl lists what the server has', async () => {
  const text = await kubectl.ok(['api-resources'])
  assert.match(text, /^deployments\s+deploy\s+apps\/v1\s+true\s+Deployment$/m)
  assert.match(text, /^pods\s+po\s+v1\s+true\s+Pod$/m)
  assert.match(await kubectl.ok(['version']), /v1\.36\.0\+mk8s\.test/)
})

test('long credentials and long questions fit into the headers of HTTP/1.1 too', async () => {
  const status = (bytes: number) =>
    new Promise<number | undefined>((resolve, reject) => {
      const authority = pki.authorities['cluster-ca'].certificate
      const { certificate: cert, key } = pki.leaves.admin
      const headers = { 'x-long': 'x'.repeat(bytes) }
      const url = `https://127.0.0.1:${listener.port}/version`
      get(url, { ca: authority, cert, key, headers, agent: false }, answer => {
        answer.resume()
        resolve(answer.statusCode)
      }).on('error', reject)
    })
  assert.equal(await status(40_000), 200)
  await assert.rejects(status(200_000))
})

test('kubectl creates, gets, patches and deletes', async () => {
  await kubectl.ok(['create', 'configmap', 'one', '--from-literal=a=b'])
  assert.match(await kubectl.ok(['get', 'configmap', 'one']), /NAME\s+DATA\s+AGE\none\s+1\s+/)
  await kubectl.ok(['patch', 'configmap', 'one', '-p', '{"data":{"c":"d"}}'])
  const read = (await kubectl.json(['get', 'configmap', 'one'])) as { data: object }
  assert.deepEqual(read.data, { a: 'b', c: 'd' })
  await kubectl.ok(['label', 'configmap', 'one', 'tier=x'])
  assert.match(await kubectl.ok(['get', 'cm', '-l', 'tier=x', '-o', 'name']), /configmap\/one/)
  await kubectl.ok(['delete', 'configmap', 'one'])
  const gone = await kubectl.try(['get', 'configmap', 'one'])
  assert.equal(gone.code, 1)
  assert.match(gone.stderr, /Error from server \(NotFound\): configmaps "one" not found/)
})

test('kubectl applies twice: created, then unchanged, then configured', async () => {
  const apply = (replicas: number) => {
    const object = deployment('web') as { spec: object }
    const input = manifest([{ ...object, spec: { ...object.spec, replicas } }])
    return kubectl.ok(['apply', '-f', '-'], { input })
  }
  assert.match(await apply(2), /deployment\.apps\/web created/)
  assert.match(await apply(2), /deployment\.apps\/web unchanged/)
  assert.match(await apply(3), /deployment\.apps\/web configured/)
  await kubectl.ok(['scale', 'deployment', 'web', '--replicas=5'])
  assert.equal(await kubectl.ok(['get', 'deploy', 'web', '-o', 'jsonpath={.spec.replicas}']), '5')
})

test('kubectl applies a List and refuses an unknown field in one', async () => {
  const list = (...items: unknown[]) => JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
  await kubectl.ok(['apply', '-f', '-'], { input: list(configMap('l1'), deployment('l2')) })
  const bad = await kubectl.try(['apply', '-f', '-'], { input: list({ ...configMap('l3'), colour: 'red' }) })
  assert.equal(bad.code, 1)
  assert.match(bad.stderr, /unknown field "colour"/)
  await kubectl.ok(['apply', '-f', '-', '--validate=false'], {
    input: list({ ...configMap('l3'), colour: 'red' }),
  })
})

test('kubectl refuses an unknown field and explains a known one', async () => {
  const input = manifest([{ ...configMap('bad'), colour: 'red' }])
  const ran = await kubectl.try(['create', '-f', '-'], { input })
  assert.equal(ran.code, 1)
  assert.match(ran.stderr, /unknown field "colour"/)
  assert.match(await kubectl.ok(['explain', 'deployment.spec.replicas']), /FIELD: replicas <integer>/)
})

test('kubectl wait sees a change and kubectl delete waits for the end', async () => {
  await kubectl.ok(['create', 'configmap', 'two'])
  const waiting = kubectl.ok(['wait', '--for=jsonpath={.data.done}=yes', 'configmap/two', '--timeout=120s'])
  await kubectl.ok(['patch', 'configmap', 'two', '--type=merge', '-p', '{"data":{"done":"yes"}}'])
  assert.match(await waiting, /condition met/)
  await kubectl.ok(['delete', 'configmap', 'two', '--wait=true'])
})

test('another version of kubectl works as well', async t => {
  const program = otherKubectl()
  if (program === null) return t.skip('no other kubectl on PATH')
  const other = kubectlFor(kubeconfig, program)
  const input = manifest([configMap('skew'), deployment('skew')])
  await other.ok(['apply', '-f', '-'], { input })
  assert.match(await other.ok(['get', 'deploy,cm', 'skew']), /deployment\.apps\/skew/)
  await other.ok(['delete', 'deploy,cm', 'skew'])
})

test('kubectl watches as a table', async () => {
  await kubectl.ok(['create', 'configmap', 'seen-by-watch'])
  const args = [
    'get',
    'cm',
    '--field-selector=metadata.name=seen-by-watch',
    '--watch',
    '--output-watch-events',
  ]
  const watching = kubectl.try([...args, '--request-timeout=3s'])
  await kubectl.ok(['annotate', 'cm', 'seen-by-watch', 'a=b'])
  const { stdout } = await watching
  assert.match(stdout, /^EVENT\s+NAME\s+DATA\s+AGE\nADDED\s+seen-by-watch/)
})

interface Answer {
  readonly status: number
  readonly body: string
  readonly auditId: string | undefined
}

function send(
  path: string,
  options: { method?: string; body?: string; headers?: Record<string, string>; asAdmin?: boolean } = {},
): Promise<Answer> {
  const identity = options.asAdmin ? { cert: pki.leaves.admin.certificate, key: pki.leaves.admin.key } : {}
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      {
        host: '127.0.0.1',
        port: listener.port,
        path,
        method: options.method ?? 'GET',
        headers: options.headers ?? {},
        ca: pki.authorities['cluster-ca'].certificate,
        agent: false,
        ...identity,
      },
      response => {
        let body = ''
        response.setEncoding('utf8').on('data', chunk => (body += chunk))
        const auditId = response.headers['audit-id']?.toString()
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body, auditId }))
      },
    )
    sent.on('error', reject)
    sent.end(options.body)
  })
}

test('HTTP/1.1 works as well; without credentials a request is anonymous, with bad ones it is 401', async () => {
  assert.equal((await send('/version', { asAdmin: true })).status, 200)
  assert.equal((await send('/api/v1/pods')).status, 403)
  assert.equal((await send('/api/v1/pods', { headers: { authorization: 'Bearer nonsense' } })).status, 401)
})

test('every answer has an id, that of the client where it gave one', async () => {
  assert.match((await send('/version', { asAdmin: true })).auditId ?? '', /^[0-9a-f-]{36}$/)
  const headers = { 'audit-id': 'mine', authorization: 'Bearer nonsense' }
  assert.equal((await send('/api/v1/pods', { headers })).auditId, 'mine')
})

test('a certificate of another authority is 401', async () => {
  const { certificate: cert, key } = pki.leaves.peer
  const status = await new Promise((resolve, reject) => {
    const ca = pki.authorities['cluster-ca'].certificate
    const options = { host: '127.0.0.1', port: listener.port, path: '/version', ca, cert, key, agent: false }
    httpsRequest(options, response => resolve(response.statusCode))
      .on('error', reject)
      .end()
  })
  assert.equal(status, 401)
})

test('a body above the limit is 413 and changes nothing', async () => {
  const before = server.store.revision
  const body = JSON.stringify(configMap('big', { data: { text: 'x'.repeat(4 * 1024 * 1024) } }))
  const headers = { 'content-type': 'application/json' }
  const path = '/api/v1/namespaces/default/configmaps'
  const answer = await send(path, { method: 'POST', body, headers, asAdmin: true }).catch(() => null)
  if (answer !== null) assert.equal(answer.status, 413)
  assert.equal(server.store.revision, before)
})

test('HTTP/2 streams a watch, and closing it frees the watcher', async () => {
  const session = connect(`https://127.0.0.1:${listener.port}`, {
    ca: pki.authorities['cluster-ca'].certificate,
    cert: pki.leaves.admin.certificate,
    key: pki.leaves.admin.key,
  })
  const path = `/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=${server.store.revision}`
  const stream = session.request({ ':path': path })
  const first = new Promise<string>(resolve => stream.setEncoding('utf8').once('data', resolve))
  await new Promise(resolve => stream.once('response', resolve))
  await server.call('POST', '/api/v1/namespaces/default/configmaps', configMap('seen'))
  assert.match(await first, /^\{"type":"ADDED","object":\{"apiVersion":"v1","kind":"ConfigMap"/)
  stream.close()
  session.close()
})

test('a taken port is one clear error', async () => {
  await assert.rejects(
    listenerFor(listener.port).start(),
    error => error instanceof Mk8sError && error.code === 'host/port-taken',
  )
})
