/** Where the registry runs, what it is told, and how its definition reads. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Node, PersistentVolume, PersistentVolumeClaim, Secret } from '../../../../../src/kube/types.ts'
import { planRegistry, trustedNetworks } from '../../../../../src/runtime/addons/registry/plan-registry.ts'
import { planSettings } from '../../../../../src/runtime/addons/registry/registry-settings.ts'

const node = (name: string, over: Partial<Node['spec']> = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name,
    labels: { 'kubernetes.io/hostname': name },
    annotations: { 'mk8s.io/hostpath-directory': '/volumes' },
  },
  spec: over,
  status: {
    addresses: [{ type: 'InternalIP', address: `10.0.0.${name.length}` }],
    conditions: [{ type: 'Ready', status: 'True' }],
  },
})

const claim = (over: Partial<PersistentVolumeClaim['spec']> = {}): PersistentVolumeClaim => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'registry-claim', namespace: 'container-registry' },
  spec: { resources: { requests: { storage: '1Gi' } }, ...over },
})

const volumeOn = (host: string, over: object = { hostPath: { path: '/volumes/one' } }): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'pv' },
  spec: {
    nodeAffinity: {
      required: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [host] }] },
        ],
      },
    },
    ...over,
  },
})

const nodes = [node('b'), node('aa'), node('a', { unschedulable: true })]
const world = { claim: claim(), volume: undefined, nodes }
const bound = claim({ volumeName: 'pv' })

test('it waits for its volume', () => {
  assert.equal(planRegistry({ ...world, nodeName: 'aa' }).kind, 'wait')
  assert.equal(planRegistry({ ...world, claim: bound, nodeName: 'aa' }).kind, 'wait')
  assert.equal(planRegistry({ ...world, claim: undefined, nodeName: 'aa' }).kind, 'wait')
})

test('it runs on the node that has the volume, within what was asked for', () => {
  const volume = volumeOn('b')
  assert.deepEqual(planRegistry({ claim: bound, volume, nodes, nodeName: 'b' }), {
    kind: 'run',
    directory: '/volumes/one/registry',
    bytesMax: 1024 ** 3,
  })
  assert.equal(planRegistry({ claim: bound, volume, nodes, nodeName: 'aa' }).kind, 'elsewhere')
  const remote = volumeOn('b', { csi: { driver: 'x', volumeHandle: 'y' } })
  assert.equal(planRegistry({ claim: bound, volume: remote, nodes, nodeName: 'b' }).kind, 'impossible')
})

test('addresses of nodes and networks of pods are the cluster', () => {
  const networks = trustedNetworks(nodes, '10.1.0.0/16,fd01::/48')
  assert.deepEqual(networks, ['10.0.0.1', '10.0.0.2', '10.1.0.0/16', 'fd01::/48'])
})

const parameters = {
  ...{ size: '1Gi', port: 10_500, 'anonymous-pull': 'cluster', 'anonymous-push': 'none' },
  ...{ users: 'people', tls: '', mirror: '', 'mirror-login': '', 'collect-every': 2 },
  'collect-untagged': false,
}
const place = { directory: '/d', bytesMax: 5, address: '10.0.0.1', trusted: [] }
const secret = (data: Readonly<Record<string, string>>): Secret => ({
  ...{ apiVersion: 'v1', kind: 'Secret', metadata: {} },
  data: Object.fromEntries(
    Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
  ),
})

test('a Secret that is missing or damaged keeps the registry from running, and names what is wrong', () => {
  assert.deepEqual(planSettings(parameters, {}, place), {
    ok: false,
    problem: 'there is no Secret container-registry/people',
  })
  const damaged = planSettings(parameters, { users: secret({ htpasswd: 'a:$apr1$x$y' }) }, place)
  assert.deepEqual(damaged, {
    ok: false,
    problem: 'Secret people: line 1 of htpasswd is not NAME:HASH as of openssl passwd -6',
  })
  const good = planSettings(parameters, { users: secret({ htpasswd: '# us\nann:$6$salt$hash\n' }) }, place)
  assert.ok(good.ok)
  assert.deepEqual(good.config.access, {
    anonymousPull: 'cluster',
    anonymousPush: 'none',
    users: { ann: '$6$salt$hash' },
  })
  assert.equal(good.config.garbage.intervalMs, 7_200_000)
})
