/** Conformance behaviours of sig-auth, with the real kubectl, and plain requests where kubectl has no words. */
import assert from 'node:assert/strict'
import { createPublicKey, verify, type webcrypto, X509Certificate } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { type Api, apiFor } from '../support/api.ts'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { type Kubectl, run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const SIGNER = 'kubernetes.io/kube-apiserver-client'
const CSRS = '/apis/certificates.k8s.io/v1/certificatesigningrequests'

describe('[sig-auth]', () => {
  let cluster: TestCluster
  let kubectl: Kubectl
  let api: Api
  let directory = ''
  before(async () => {
    directory = temporaryDirectory()
    cluster = await installCluster()
    kubectl = cluster.kubectl
    api = apiFor(cluster.kubeconfig)
  })
  after(async () => {
    await cluster?.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  const keyFile = (name: string) => join(directory, `${name}.key`)

  async function makeRequest(name: string, subject: string, more: readonly string[] = []): Promise<string> {
    const words = ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-subj', subject, '-keyout', keyFile(name)]
    const { code, stdout, stderr } = await run('openssl', [...words, ...more])
    assert.equal(code, 0, stderr)
    return Buffer.from(stdout).toString('base64')
  }

  const csrOf = (name: string, request: string, over: object = {}) => ({
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name, labels: { test: 'auth' } },
    spec: { request, signerName: SIGNER, usages: ['digital signature', 'client auth'], ...over },
  })
  const create = (csr: object) => api(CSRS, { body: csr })
  const conditionsOf = async (name: string) =>
    ((await api(`${CSRS}/${name}`)).body['status'] as { conditions?: { type: string; message?: string }[] })
      .conditions ?? []
  const issued = (name: string) =>
    until(`the certificate of ${name}`, async () => {
      const text = await kubectl.ok(['get', 'csr', name, '-o', 'jsonpath={.status.certificate}'])
      return text === '' ? undefined : Buffer.from(text, 'base64').toString()
    })

  test('Certificates API [Privileged:ClusterAdmin] should support CSR API operations', async () => {
    const { body: discovered } = await api('/apis/certificates.k8s.io/v1')
    const names = (discovered['resources'] as { name: string }[]).map(({ name }) => name)
    for (const part of ['', '/approval', '/status'])
      assert.ok(names.includes(`certificatesigningrequests${part}`))
    const request = await makeRequest('operations', '/CN=e2e')
    for (const name of ['a', 'b', 'c'])
      assert.equal((await create(csrOf(name, request, { signerName: 'example.com/e2e' }))).status, 201)
    assert.equal(((await api(`${CSRS}?labelSelector=test%3Dauth`)).body['items'] as object[]).length, 3)
    const merge = { 'content-type': 'application/merge-patch+json' }
    const patch = (path: string, body: object) =>
      api(`${CSRS}/${path}`, { method: 'PATCH', body, headers: merge })
    const patched = await patch('a', { metadata: { annotations: { patched: 'true' } } })
    assert.deepEqual(patched.body.metadata?.['annotations'], { patched: 'true' })
    const condition = { type: 'Approved', status: 'True', reason: 'E2E', message: 'Set from an e2e test' }
    const approved = await patch('a/approval', { status: { conditions: [condition] } })
    assert.equal(approved.status, 200, approved.text)
    const certificate = Buffer.from(readFileSync(join(cluster.dataDir, 'pki/cluster-ca.crt'))).toString(
      'base64',
    )
    const signed = await patch('a/status', { status: { certificate } })
    assert.equal((signed.body['status'] as { certificate: string }).certificate, certificate)
    for (const part of ['approval', 'status']) assert.equal((await api(`${CSRS}/a/${part}`)).status, 200)
    assert.equal((await api(`${CSRS}/a`, { method: 'DELETE' })).status, 200)
    assert.equal((await api(`${CSRS}?labelSelector=test%3Dauth`, { method: 'DELETE' })).status, 200)
    assert.deepEqual((await api(`${CSRS}?labelSelector=test%3Dauth`)).body['items'], [])
  })

  test('Certificates API should support building a client with a CSR', async () => {
    const request = await makeRequest('client', '/O=e2e/CN=e2e-client')
    const { body: made } = await create(csrOf('client', request, { expirationSeconds: 3600 }))
    assert.equal((made['spec'] as { username: string }).username, 'kubernetes-admin')
    await kubectl.ok(['certificate', 'approve', 'client'])
    const cert = await issued('client')
    const shown = new X509Certificate(cert)
    assert.equal(shown.subject, 'O=e2e\nCN=e2e-client')
    assert.deepEqual(shown.keyUsage, ['1.3.6.1.5.5.7.3.2'])
    const minutes = (Date.parse(shown.validTo) - Date.parse(shown.validFrom)) / 60_000
    assert.ok(minutes >= 60 && minutes <= 70, `${minutes} minutes`)
    assert.match(await kubectl.ok(['get', 'csr', 'client']), /Approved,Issued/)
    const identity = { cert, key: readFileSync(keyFile('client'), 'utf8') }
    const me = await api('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      identity,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    })
    const { userInfo } = me.body['status'] as { userInfo: { username: string; groups: string[] } }
    assert.deepEqual([userInfo.username, userInfo.groups], ['e2e-client', ['e2e', 'system:authenticated']])
  })

  test('signers take what is theirs only, and nobody approves or signs without the right for the signer', async () => {
    const masters = await create(csrOf('masters', await makeRequest('masters', '/O=system:masters/CN=me')))
    assert.equal(masters.status, 403)
    assert.match(masters.body.message ?? '', /signer with system:masters group is not allowed/)
    const node = await makeRequest('node', '/O=system:nodes/CN=system:node:n9', [
      '-addext',
      'subjectAltName=DNS:n9',
    ])
    const usages = ['digital signature', 'client auth']
    await create(csrOf('node', node, { signerName: `${SIGNER}-kubelet`, usages }))
    await kubectl.ok(['certificate', 'approve', 'node'])
    const failed = await until('the request has failed', async () =>
      (await conditionsOf('node')).find(({ type }) => type === 'Failed'),
    )
    assert.equal(failed.message, 'DNS subjectAltNames are not allowed')
    await create(
      csrOf('serving', node, { signerName: 'kubernetes.io/kubelet-serving', usages: ['server auth'] }),
    )
    await kubectl.ok([
      'create',
      'clusterrole',
      'approver',
      '--verb=*',
      '--resource=certificatesigningrequests/approval,certificatesigningrequests',
    ])
    await kubectl.ok(['create', 'clusterrolebinding', 'approver', '--clusterrole=approver', '--user=ann'])
    const refused = await kubectl.try(['--as=ann', 'certificate', 'approve', 'serving'])
    assert.match(
      refused.stderr,
      /user not permitted to approve requests with signerName "kubernetes.io\/kubelet-serving"/,
    )
    await kubectl.ok(['certificate', 'approve', 'serving'])
    assert.equal(new X509Certificate(await issued('serving')).subjectAltName, 'DNS:n9')
  })

  test('a machine with a bootstrap token gets the certificate of its node', async () => {
    const literals = {
      'token-id': 'abcdef',
      'token-secret': '0123456789abcdef',
      'usage-bootstrap-authentication': 'true',
      'auth-extra-groups': 'system:bootstrappers:e2e',
    }
    const words = Object.entries(literals).map(([key, value]) => `--from-literal=${key}=${value}`)
    const type = '--type=bootstrap.kubernetes.io/token'
    await kubectl.ok([
      '-n',
      'kube-system',
      'create',
      'secret',
      'generic',
      'bootstrap-token-abcdef',
      type,
      ...words,
    ])
    const group = '--group=system:bootstrappers:e2e'
    await kubectl.ok([
      'create',
      'clusterrolebinding',
      'e2e-ask',
      '--clusterrole=system:node-bootstrapper',
      group,
    ])
    const role = '--clusterrole=system:certificates.k8s.io:certificatesigningrequests:nodeclient'
    await kubectl.ok(['create', 'clusterrolebinding', 'e2e-approve', role, group])
    const token = 'abcdef.0123456789abcdef'
    const request = await makeRequest('boot', '/O=system:nodes/CN=system:node:boot')
    const asked = await api(CSRS, {
      token,
      body: csrOf('boot', request, { signerName: `${SIGNER}-kubelet` }),
    })
    assert.equal(asked.status, 201, asked.text)
    assert.equal(new X509Certificate(await issued('boot')).subject, 'O=system:nodes\nCN=system:node:boot')
    assert.equal(
      (await conditionsOf('boot'))[0]?.message,
      'Auto approving kubelet client certificate after SubjectAccessReview.',
    )
    await kubectl.ok(['-n', 'kube-system', 'delete', 'secret', 'bootstrap-token-abcdef'])
    assert.equal((await api(CSRS, { token })).status, 401)
  })

  test('ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview', async () => {
    await kubectl.ok(['create', 'serviceaccount', 'reviewed'])
    const token = (await kubectl.ok(['create', 'token', 'reviewed'])).trim()
    const { body } = await api('/apis/authentication.k8s.io/v1/tokenreviews', {
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
    })
    const status = body['status'] as { authenticated: boolean; error?: string; user: { username: string } }
    assert.deepEqual(
      [status.authenticated, status.error, status.user.username],
      [true, undefined, 'system:serviceaccount:default:reviewed'],
    )
  })

  test('ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace', async () => {
    await kubectl.ok(['create', 'namespace', 'rooted'])
    const words = ['-n', 'rooted', 'get', 'configmap', 'kube-root-ca.crt', '-o', 'jsonpath={.data.ca\\.crt}']
    const certificate = readFileSync(join(cluster.dataDir, 'pki/cluster-ca.crt'), 'utf8')
    const isRight = async () => (await kubectl.try(words)).stdout === certificate
    await until('it is created', isRight)
    await kubectl.ok(['-n', 'rooted', 'delete', 'configmap', 'kube-root-ca.crt'])
    await until('it is created again', isRight)
    const patch = JSON.stringify({ data: { 'ca.crt': '' } })
    await kubectl.ok(['-n', 'rooted', 'patch', 'configmap', 'kube-root-ca.crt', '--type=merge', '-p', patch])
    await until('it is put right', isRight)
  })

  test('ServiceAccounts should run through the lifecycle of a ServiceAccount', async () => {
    const path = '/api/v1/namespaces/default/serviceaccounts'
    const metadata = { name: 'lifecycle', labels: { e2e: 'static' } }
    assert.equal(
      (await api(path, { body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata } })).status,
      201,
    )
    const headers = { 'content-type': 'application/strategic-merge-patch+json' }
    const body = { automountServiceAccountToken: false }
    const patched = await api(`${path}/lifecycle`, { method: 'PATCH', headers, body })
    assert.equal(patched.body['automountServiceAccountToken'], false)
    const put = { ...patched.body, automountServiceAccountToken: true }
    const updated = await api(`${path}/lifecycle`, { method: 'PUT', body: put })
    assert.equal(updated.body['automountServiceAccountToken'], true)
    const { body: all } = await api('/api/v1/serviceaccounts?labelSelector=e2e%3Dstatic')
    assert.equal((all['items'] as object[]).length, 1)
    await api(`${path}?labelSelector=e2e%3Dstatic`, { method: 'DELETE' })
    assert.equal((await api(`${path}/lifecycle`)).status, 404)
  })

  test('ServiceAccounts should allow opting out of API token automount', async () => {
    for (const account of ['unset', 'true', 'false']) {
      await kubectl.ok(['create', 'serviceaccount', `mount-${account}`])
      const patch = JSON.stringify({ automountServiceAccountToken: account === 'true' })
      if (account !== 'unset') await kubectl.ok(['patch', 'serviceaccount', `mount-${account}`, '-p', patch])
      for (const pod of ['unset', 'true', 'false']) {
        const spec = {
          serviceAccountName: `mount-${account}`,
          containers: [{ name: 'c', image: 'busybox' }],
          ...(pod === 'unset' ? {} : { automountServiceAccountToken: pod === 'true' }),
        }
        const metadata = { name: `${account}-${pod}` }
        const { body } = await api('/api/v1/namespaces/default/pods?dryRun=All', {
          body: { apiVersion: 'v1', kind: 'Pod', metadata, spec },
        })
        const { containers } = body['spec'] as { containers: { volumeMounts?: object[] }[] }
        const isMounted = pod === 'unset' ? account !== 'false' : pod === 'true'
        assert.equal(containers[0]?.volumeMounts?.length ?? 0, isMounted ? 1 : 0, metadata.name)
      }
    }
  })

  /** A pod whose containers run a shell line each, to its end; what they wrote, by name. */
  async function ended(name: string, lines: Readonly<Record<string, string>>, more: object = {}) {
    const { volumes, volumeMounts } = { volumes: [], volumeMounts: [], ...more }
    const containers = Object.entries(lines).map(([of, line]) => ({
      name: of,
      image: 'localhost/sh',
      command: ['/bin/sh', '-c', line],
      env: [{ name: 'SERVER', value: `https://${cluster.address}:16443` }],
      volumeMounts,
    }))
    const spec = { restartPolicy: 'Never', containers, volumes }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec }
    await kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(pod) })
    await kubectl.ok(['wait', `pod/${name}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s'])
    const said = await Promise.all(
      Object.keys(lines).map(async of => [of, (await kubectl.ok(['logs', name, '-c', of])).trim()]),
    )
    return Object.fromEntries(said) as Record<string, string>
  }
  const reviewed = async (token = '') => {
    const { body } = await api('/apis/authentication.k8s.io/v1/tokenreviews', {
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } },
    })
    return body['status'] as {
      authenticated?: boolean
      user: { username: string; extra: Record<string, string[]> }
    }
  }

  test('ServiceAccounts should mount an API token into pods', async () => {
    const mount = '/var/run/secrets/kubernetes.io/serviceaccount'
    const read = (file: string) => `cat ${mount}/${file}`
    const lines = { token: read('token'), root: read('ca.crt'), namespace: read('namespace') }
    const said = await ended('mounted', lines)
    assert.equal(said['root'], readFileSync(join(cluster.dataDir, 'pki/cluster-ca.crt'), 'utf8').trim())
    assert.equal(said['namespace'], 'default')
    const { user } = await reviewed(said['token'])
    assert.equal(user.username, 'system:serviceaccount:default:default')
    assert.deepEqual(user.extra['authentication.kubernetes.io/pod-name'], ['mounted'])
  })

  test('ServiceAccounts should mount projected service account token', async () => {
    const projected = { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3600 } }] }
    const more = {
      volumes: [{ name: 'tokens', projected }],
      volumeMounts: [{ name: 'tokens', mountPath: '/var/run/secrets/tokens' }],
    }
    const said = await ended('projected', { token: 'cat /var/run/secrets/tokens/token' }, more)
    const [, claims = ''] = (said['token'] ?? '').split('.')
    const { exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, number>
    assert.equal(Number(exp) - Number(iat), 3600)
    assert.equal((await reviewed(said['token'])).authenticated, true)
  })

  test('ServiceAccounts should update a ServiceAccount', async () => {
    await kubectl.ok(['create', 'serviceaccount', 'updated'])
    const read = (await kubectl.json(['get', 'serviceaccount', 'updated'])) as object
    const input = JSON.stringify({ ...read, automountServiceAccountToken: true })
    await kubectl.ok(['replace', '-f', '-'], { input })
    const path = 'jsonpath={.automountServiceAccountToken}'
    assert.equal(await kubectl.ok(['get', 'serviceaccount', 'updated', '-o', path]), 'true')
  })

  test('ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer', async () => {
    const mount = '/var/run/secrets/kubernetes.io/serviceaccount'
    const program =
      'const token = require("node:fs").readFileSync(process.env.MOUNT + "/token", "utf8");' +
      'fetch(process.env.SERVER + process.argv[1], { headers: { authorization: "Bearer " + token } })' +
      '.then(answer => answer.text()).then(text => process.stdout.write(text))'
    const get = (path: string) =>
      `MOUNT=${mount} NODE_EXTRA_CA_CERTS=${mount}/ca.crt '${process.execPath}' -e '${program}' ${path}`
    const lines = {
      token: `cat ${mount}/token`,
      discovery: get('/.well-known/openid-configuration'),
      keys: get('/openid/v1/jwks'),
    }
    const said = await ended('oidc-discovery-validator', lines)
    const [head = '', claims = '', signature = ''] = (said['token'] ?? '').split('.')
    const decoded = (part: string) =>
      JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, string>
    const discovery = JSON.parse(said['discovery'] ?? '') as Record<string, string>
    assert.equal(discovery['issuer'], decoded(claims)['iss'])
    assert.equal(new URL(discovery['jwks_uri'] ?? '').pathname, '/openid/v1/jwks')
    const { keys } = JSON.parse(said['keys'] ?? '') as { keys: (webcrypto.JsonWebKey & { kid: string })[] }
    const jwk = keys.find(({ kid }) => kid === decoded(head)['kid'])
    assert.ok(jwk)
    const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' as const }
    assert.ok(verify('sha256', Buffer.from(`${head}.${claims}`), key, Buffer.from(signature, 'base64url')))
  })

  test('SubjectReview should support SubjectReview API operations', async () => {
    await kubectl.ok(['create', 'serviceaccount', 'e2e'])
    const user = 'system:serviceaccount:default:e2e'
    const groups = ['system:authenticated', 'system:serviceaccounts', 'system:serviceaccounts:default']
    const resourceAttributes = { verb: 'list', resource: 'configmaps', namespace: 'default', version: 'v1' }
    const asks = async () => {
      const spec = { user, groups, resourceAttributes }
      const review = (kind: string, path: string) =>
        api(`/apis/authorization.k8s.io/v1/${path}`, {
          body: { apiVersion: 'authorization.k8s.io/v1', kind, metadata: { namespace: 'default' }, spec },
        })
      const answers = await Promise.all([
        review('SubjectAccessReview', 'subjectaccessreviews'),
        review('LocalSubjectAccessReview', 'namespaces/default/localsubjectaccessreviews'),
      ])
      const tried = await api('/api/v1/namespaces/default/configmaps', {
        headers: { 'impersonate-user': user },
      })
      const allowed = answers.map(({ body }) => (body['status'] as { allowed: boolean }).allowed)
      return [...allowed, tried.status === 200]
    }
    assert.deepEqual(await asks(), [false, false, false])
    await kubectl.ok(['create', 'rolebinding', 'e2e', '--clusterrole=view', '--serviceaccount=default:e2e'])
    await until('the right is known', async () => (await asks()).every(Boolean))
  })
})
