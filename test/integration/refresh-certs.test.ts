/** A real daemon gets new certificates and a new authority without a restart. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { connect } from 'node:tls'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { kubectlFor } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

let cluster: TestCluster

before(async () => {
  cluster = await installCluster()
})
after(() => cluster?.remove())

/** Serial number of the certificate that is shown at the port. */
function shownAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: cluster.address, port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

const fileOf = (name: string): string => readFileSync(join(cluster.dataDir, 'pki', name), 'utf8')

test('every listener of the running daemon shows the new certificate, and the kubeconfig has one', async () => {
  const ports = [16443, 10250, 25000]
  const [pid, before] = [cluster.daemonPid(), await Promise.all(ports.map(shownAt))]
  const { code, stdout } = await cluster.mk8s(['refresh-certs', '--json'])
  assert.deepEqual([code, (JSON.parse(stdout) as { renewed: string[] }).renewed.length], [0, 6])
  const shown = await Promise.all(ports.map(shownAt))
  for (const [at, serial] of shown.entries()) assert.notEqual(serial, before[at], `port ${ports[at]}`)
  assert.equal(shown[0], new X509Certificate(fileOf('apiserver.crt')).serialNumber)
  assert.equal(cluster.daemonPid(), pid)
  await cluster.kubectl.ok(['get', 'nodes'])
  const logs = await cluster.kubectl.try(['get', '--raw', '/api/v1/nodes/node-1/proxy/pods'])
  assert.doesNotMatch(logs.stderr, /certificate|x509/)
})

test('what was copied before the authority is replaced is good until the earlier one is dropped', async () => {
  const copy = join(cluster.dataDir, 'copied.kubeconfig')
  const present = readFileSync(cluster.kubeconfig, 'utf8')
  const pid = cluster.daemonPid()
  const replaced = await cluster.mk8s(['refresh-certs', '--cert', 'ca.crt', '--yes'])
  assert.equal(replaced.code, 0, replaced.stderr)
  await cluster.kubectl.ok(['get', 'nodes'])
  writeFileSync(copy, present)
  const user = kubectlFor(copy)
  await user.ok(['get', 'nodes'])
  await until('pods can learn of both authorities', async () => {
    const published = await cluster.kubectl.json(['-n', 'default', 'get', 'configmap', 'kube-root-ca.crt'])
    return (published as { data: Record<string, string> }).data['ca.crt'] === fileOf('cluster-ca.crt')
  })
  const again = await cluster.mk8s(['refresh-certs', '--cert', 'ca.crt', '--yes'])
  assert.match(again.stdout + again.stderr, /Every node has the new authority/)
  const dropped = await cluster.mk8s(['refresh-certs', '--drop-earlier'])
  assert.equal(dropped.code, 0, dropped.stderr)
  assert.match((await user.try(['get', 'nodes'])).stderr, /certificate signed by unknown authority/)
  const next = Buffer.from(fileOf('cluster-ca.crt')).toString('base64')
  writeFileSync(copy, present.replace(/(certificate-authority-data: *)\S+/, `$1${next}`))
  assert.match((await user.try(['get', 'nodes'])).stderr, /Unauthorized|logged in|provide credentials/)
  await cluster.kubectl.ok(['get', 'nodes'])
  assert.equal(cluster.daemonPid(), pid)
  const none = await cluster.mk8s(['refresh-certs', '--drop-earlier'])
  assert.match(none.stdout, /There is no earlier authority/)
})

test('the peer authority belongs to the generation, and is refused', async () => {
  const { code, stderr } = await cluster.mk8s(['refresh-certs', '--cert', 'peer-ca.crt'])
  assert.equal(code, 6)
  assert.match(stderr, /mk8s recover/)
})

test('the dates are shown in the words of MicroK8s, and as JSON', async () => {
  const { stdout } = await cluster.mk8s(['refresh-certs', '--check'])
  assert.match(
    stdout,
    /^The CA certificate will expire in 36\d\d days\.\nThe server certificate will expire in 36\d days/,
  )
  const json = await cluster.mk8s(['refresh-certs', '--check', '--json'])
  const { certificates, rotation } = JSON.parse(json.stdout) as { certificates: unknown[]; rotation: unknown }
  assert.deepEqual([certificates.length, rotation], [9, null])
})
