/**
 * Real daemons, three servers and a worker: the cluster authority is replaced under load; the server that began it
 * is killed at each stage while another one is off; and a node that is gone is not waited for.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { connect } from 'node:tls'
import { type AdminClient, createAdminClient } from '../../src/client/admin-client.ts'
import type { AuthorityRotationStatus } from '../../src/client/authority-rotation.ts'
import { HttpsTransport } from '../../src/client/https-transport.ts'
import { CONFIG_MAPS } from '../../src/client/resources.ts'
import { nodePaths } from '../../src/host/node-files.ts'
import type { ConfigMap, Node } from '../../src/kube/types.ts'
import { nameOfBundle } from '../../src/runtime/pki/validity.ts'
import { NEXT_KEY_PATH } from '../../src/runtime/rotation/next-key.ts'
import { ApiLoad, copiedClient } from '../support/api-load.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
/** For longer than this nobody may be without an answer. */
const GAP_MS_MAX = 2_000

before(async () => {
  servers = await startServers({ count: 3 })
  await servers.join({ worker: true })
})
after(() => servers?.remove())

const nodeAt = (at: number): TestNode => {
  const node = servers.nodes[at]
  assert.ok(node)
  return node
}
const adminOf = ({ dataDir }: TestNode): AdminClient => createAdminClient(nodePaths(dataDir).adminSocket)
const fileOf = ({ dataDir }: TestNode, name: string) => readFileSync(join(dataDir, 'pki', name), 'utf8')
const bundlesOf = (nodes: readonly TestNode[]) => [
  ...new Set(nodes.map(node => fileOf(node, 'cluster-ca.crt'))),
]
const sizeOf = (bundle: string | undefined) => bundle?.match(/BEGIN CERTIFICATE/g)?.length

/** Undefined while the daemon does not answer. */
const rotationAt = (node: TestNode): Promise<AuthorityRotationStatus | null | undefined> =>
  adminOf(node)
    .authorityRotation()
    .catch(() => undefined)

const untilRotation = (
  node: TestNode,
  what: string,
  holds: (rotation: AuthorityRotationStatus | null) => boolean,
) =>
  until(what, async () => {
    const rotation = await rotationAt(node)
    return rotation !== undefined && holds(rotation)
  })

/** 'good' when who trusts `ca` only believes what is shown at the port, or why not. */
function shownAt({ address: host }: TestNode, port: number, ca: string): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({ host, port, ca }, () => {
      resolve('good')
      socket.destroy()
    })
    socket.on('error', error => resolve(`${host}:${port}: ${error.message}`))
  })
}

/** Whether one server hands the next authority's key out to who shows this certificate. */
async function keyAsked(leaf: string, next: string): Promise<[status: number, hasKey: boolean]> {
  const [node, other] = [nodeAt(0), nodeAt(2)]
  const transport = new HttpsTransport({
    server: `https://${other.address}:25000`,
    caPem: next,
    certificatePem: fileOf(node, `${leaf}.crt`),
    keyPem: fileOf(node, `${leaf}.key`),
  })
  const query = new URLSearchParams({ name: nameOfBundle([next]) })
  const { status, body } = await transport.request({ method: 'GET', path: NEXT_KEY_PATH, query })
  const chunks = body instanceof Uint8Array ? [body] : await Array.fromAsync(body)
  transport.close()
  return [status, Buffer.concat(chunks).includes('PRIVATE KEY')]
}

/** A test that failed must not have the next ones wait in vain. */
async function mustBeAtRest(): Promise<void> {
  assert.equal(await rotationAt(nodeAt(0)), null)
}

async function readySince(): Promise<Record<string, string | undefined>> {
  const { items } = (await nodeAt(0).kubectl.json(['get', 'nodes'])) as { items: Node[] }
  const entries = items.map(({ metadata, status }) => {
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')
    return [metadata.name, ready?.status === 'True' ? ready.lastTransitionTime : 'not Ready']
  })
  return Object.fromEntries(entries)
}

test('under load, the authority is replaced without a gap, by what the earlier one signed too, until that is dropped', async () => {
  const [present] = bundlesOf(servers.nodes)
  const since = await readySince()
  const stranger = copiedClient(nodeAt(2), nodeAt(0))
  const load = new ApiLoad()
  await load.start(servers.nodes.slice(0, 3))
  const replaced = await nodeAt(1).mk8s(['refresh-certs', '--cert', 'ca.crt', '--yes', '--timeout', '60'])
  assert.equal(replaced.code, 0, replaced.stderr)
  const [both, ...others] = bundlesOf(servers.nodes)
  assert.deepEqual([sizeOf(both), others.length, both?.endsWith(present ?? '?')], [2, 0, true])
  for (const node of servers.nodes.slice(0, 3)) await node.kubectl.ok(['get', 'nodes'])
  const next = both?.slice(0, both.length - (present?.length ?? 0)) ?? ''
  for (const node of servers.nodes.slice(0, 3))
    for (const port of [16443, 25000, 10250]) assert.equal(await shownAt(node, port, next), 'good')
  assert.equal(await shownAt(nodeAt(3), 10250, next), 'good')
  assert.deepEqual(await keyAsked('admin', next), [401, false])
  assert.deepEqual(await keyAsked('apiserver-kubelet-client', next), [200, true])
  await load.stop()
  assert.ok(load.written.length > 50, `${load.written.length} writes`)
  assert.ok(load.worstGapMs < GAP_MS_MAX, `${load.worstGapMs} ms without an answer`)
  const dropped = await nodeAt(0).mk8s(['refresh-certs', '--drop-earlier', '--timeout', '60'])
  assert.equal(dropped.code, 0, dropped.stderr)
  assert.deepEqual(bundlesOf(servers.nodes).map(sizeOf), [1])
  await assert.rejects(stranger().list(CONFIG_MAPS, { namespace: 'default' }))
  await until('pods and extension servers know the new one only', async () => {
    const [root] = bundlesOf(servers.nodes)
    const ofPods = await nodeAt(0).kubectl.json(['get', 'configmap', 'kube-root-ca.crt'])
    const name = 'extension-apiserver-authentication'
    const ofExtensions = await nodeAt(0).kubectl.json(['-n', 'kube-system', 'get', 'configmap', name])
    const dataOf = (map: unknown) => (map as ConfigMap).data ?? {}
    return dataOf(ofPods)['ca.crt'] === root && dataOf(ofExtensions)['client-ca-file'] === root
  })
  assert.deepEqual(await readySince(), since)
})

test('it goes on after a kill of the server that began it at each stage, and waits for one that is off', async () => {
  const [one, two, three] = [nodeAt(0), nodeAt(1), nodeAt(2)]
  const [present] = bundlesOf(servers.nodes)
  await mustBeAtRest()
  three.powerOff()
  await adminOf(two).replaceAuthority()
  await untilRotation(one, 'it waits for n3', rotation => rotation?.waitsFor.join() === 'n3')
  two.signalDaemon('SIGKILL')
  await until('n2 is back', async () => (await rotationAt(two)) !== undefined)
  assert.match((await one.mk8s(['refresh-certs', '--check'])).stdout, /waiting for .*n3\./)
  const early = await one.mk8s(['refresh-certs', '--drop-earlier'])
  assert.match(early.stderr, /still signs/)
  const { stdout } = await one.mk8s(['status'])
  assert.match(stdout, /the next authority waits for .*n3/)
  assert.equal(fileOf(one, 'cluster-ca.crt').startsWith(present ?? '?'), true)
  await three.powerOn()
  await untilRotation(one, 'the next one signs', rotation => rotation?.stage === 'sign')
  two.signalDaemon('SIGKILL')
  await untilRotation(one, 'it is in use', rotation => rotation?.inUse === true)
  assert.deepEqual(bundlesOf(servers.nodes).map(sizeOf), [2])
  await adminOf(one).dropEarlierAuthority()
  await untilRotation(one, 'the earlier one goes', rotation => rotation === null || rotation.stage === 'drop')
  two.signalDaemon('SIGKILL')
  await untilRotation(one, 'the end', rotation => rotation === null)
  assert.deepEqual(bundlesOf(servers.nodes).map(sizeOf), [1])
  await until('all are Ready', async () => !Object.values(await readySince()).includes('not Ready'))
})

test('a node that joins on the way gets both, and one that is removed is not waited for', async () => {
  const [one, three, worker] = [nodeAt(0), nodeAt(2), nodeAt(3)]
  await mustBeAtRest()
  three.powerOff()
  const url = await servers.invite()
  await adminOf(one).replaceAuthority()
  await untilRotation(one, 'it waits for n3', rotation => rotation?.waitsFor.join() === 'n3')
  const joined = await servers.join()
  await untilRotation(one, 'the new server has both', rotation => rotation?.waitsFor.join() === 'n3')
  assert.equal(fileOf(joined, 'cluster-ca.crt'), fileOf(one, 'cluster-ca.crt'))
  const removed = await one.mk8s(['remove-node', 'n3', '--force'])
  assert.equal(removed.code, 0, removed.stderr)
  await untilRotation(one, 'it is in use', rotation => rotation?.inUse === true)
  assert.deepEqual(bundlesOf([one, nodeAt(1), worker, joined]).map(sizeOf), [2])
  const settings = ['--runtime', 'simulated', '--node-name', 'late']
  const late = servers.blank()
  const { code, stderr } = await late.mk8s(['join', url, '--bind-address', late.address, ...settings])
  assert.equal(code, 0, `by the fingerprint of the earlier authority: ${stderr}`)
  await untilRotation(
    one,
    'all have it',
    rotation => rotation?.inUse === true && rotation.waitsFor.length === 0,
  )
  assert.equal(fileOf(late, 'cluster-ca.crt'), fileOf(one, 'cluster-ca.crt'))
  assert.equal(fileOf(late, 'cluster-ca.cross'), fileOf(one, 'cluster-ca.cross'))
})
