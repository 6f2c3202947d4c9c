/** The certificates of a node, as node:tls, node:crypto and openssl see them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import tls from 'node:tls'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { renderKubeconfig } from '../../../../src/runtime/pki/kubeconfig.ts'
import { ensurePki, loadPki, type PkiParts } from '../../../../src/runtime/pki/pki.ts'

const DAY_MS = 86_400_000

function partsIn(context: TestContext, over: Partial<PkiParts> = {}): PkiParts {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-pki-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return {
    directory: join(directory, 'pki'),
    nodeName: 'node-1',
    addresses: ['192.0.2.10'],
    serviceIp: '10.152.183.1',
    extraSans: ['api.example.org'],
    clusterDomain: 'cluster.local',
    clusterId: 'c1',
    memberId: '1',
    clock: { now: () => Date.now() },
    random: systemRandom,
    ...over,
  }
}

const isInvalid = (error: unknown) => error instanceof Mk8sError && error.code === 'pki/invalid'

test('a new directory gets every certificate, and a second run keeps them all', async context => {
  const parts = partsIn(context)
  const first = await ensurePki(parts)
  assert.equal(first.created.length, 10)
  const before = readFileSync(join(parts.directory, 'apiserver.crt'), 'utf8')
  const second = await ensurePki(parts)
  assert.deepEqual([second.created, second.renewed, second.kept.length], [[], [], 10])
  assert.equal(readFileSync(join(parts.directory, 'apiserver.crt'), 'utf8'), before)
  assert.equal(statSync(parts.directory).mode & 0o777, 0o700)
  assert.equal(statSync(join(parts.directory, 'cluster-ca.key')).mode & 0o777, 0o600)
  assert.equal(statSync(join(parts.directory, 'service-account.key')).mode & 0o777, 0o600)
})

test('the API server certificate bears every name it is reached at', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  const certificate = new X509Certificate((await loadPki(parts.directory)).leaves.apiserver.certificate)
  const names = ['node-1', 'localhost', 'kubernetes.default.svc.cluster.local', 'api.example.org']
  for (const name of names) assert.ok(certificate.checkHost(name), name)
  const addresses = ['127.0.0.1', '::1', '192.0.2.10', '10.152.183.1', '127.152.183.1']
  for (const address of addresses) assert.ok(certificate.checkIP(address), address)
})

test('a leaf is renewed when its addresses change or it nears its end, and keeps its key', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  const before = await loadPki(parts.directory)
  const moved = await ensurePki({ ...parts, addresses: ['192.0.2.11'] })
  assert.deepEqual([...moved.renewed].sort(), ['apiserver', 'kubelet', 'peer'])
  const after = await loadPki(parts.directory)
  assert.equal(after.leaves.apiserver.key, before.leaves.apiserver.key)
  const later = await ensurePki({
    ...parts,
    addresses: ['192.0.2.11'],
    clock: { now: () => Date.now() + 340 * DAY_MS },
  })
  assert.equal(later.renewed.length, 6)
  assert.deepEqual((await loadPki(parts.directory)).authorities, before.authorities)
})

test('half a pair, a mismatching pair and a damaged file are errors and nothing is replaced', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  const path = (name: string) => join(parts.directory, name)
  const certificate = readFileSync(path('cluster-ca.crt'))
  unlinkSync(path('cluster-ca.crt'))
  await assert.rejects(ensurePki(parts), isInvalid)
  writeFileSync(path('cluster-ca.crt'), readFileSync(path('peer-ca.crt')))
  await assert.rejects(ensurePki(parts), isInvalid)
  writeFileSync(path('cluster-ca.crt'), 'not a certificate')
  await assert.rejects(ensurePki(parts), isInvalid)
  writeFileSync(path('cluster-ca.crt'), certificate)
  assert.equal((await ensurePki(parts)).kept.length, 10)
})

test('node:tls connects with the admin certificate and sees who it is', async context => {
  const parts = partsIn(context)
  await ensurePki(parts)
  const pki = await loadPki(parts.directory)
  const ca = pki.authorities['cluster-ca'].certificate
  const { apiserver, admin } = pki.leaves
  const server = tls.createServer(
    { cert: apiserver.certificate, key: apiserver.key, ca, requestCert: true, rejectUnauthorized: true },
    socket => {
      const subject = socket.getPeerCertificate().subject
      socket.end(`${subject.O}/${subject.CN}`)
    },
  )
  context.after(() => server.close())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = tls.connect({ port, host: '127.0.0.1', ca, cert: admin.certificate, key: admin.key })
    let text = ''
    socket.setEncoding('utf8').on('data', chunk => {
      text += chunk
    })
    socket.on('error', reject).on('end', () => resolve(text))
  })
  assert.equal(answer, 'system:masters/kubernetes-admin')
})

test('openssl accepts every chain for its purpose', async context => {
  try {
    execFileSync('openssl', ['version'])
  } catch {
    return context.skip('openssl is not installed')
  }
  const parts = partsIn(context)
  await ensurePki(parts)
  const verify = (ca: string, leaf: string, purpose: string) =>
    execFileSync(
      'openssl',
      ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', `${ca}.crt`, `${leaf}.crt`],
      { cwd: parts.directory, encoding: 'utf8' },
    )
  assert.match(verify('cluster-ca', 'apiserver', 'sslserver'), /OK/)
  assert.match(verify('cluster-ca', 'kubelet', 'sslserver'), /OK/)
  assert.match(verify('cluster-ca', 'admin', 'sslclient'), /OK/)
  assert.match(verify('cluster-ca', 'apiserver-kubelet-client', 'sslclient'), /OK/)
  assert.match(verify('front-proxy-ca', 'front-proxy-client', 'sslclient'), /OK/)
  assert.match(verify('peer-ca', 'peer', 'sslserver'), /OK/)
  assert.match(verify('peer-ca', 'peer', 'sslclient'), /OK/)
  assert.throws(() => verify('peer-ca', 'apiserver', 'sslserver'))
})

test('the kubeconfig names the server and carries the credentials', () => {
  const text = renderKubeconfig({
    server: 'https://127.0.0.1:16443',
    authority: 'A',
    certificate: 'B',
    key: 'C',
  })
  assert.match(text, /server: https:\/\/127\.0\.0\.1:16443/)
  assert.match(text, /client-key-data: Qw==/)
  assert.match(text, /current-context: "mk8s"/)
})
